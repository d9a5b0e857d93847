import { expect, test } from 'vitest';
import { seeded } from '../load/random.ts';
import { binomial, poisson } from './draws.ts';

function moments(draw: () => number): { mean: number; variance: number; least: number; most: number } {
  const draws = Array.from({ length: 20_000 }, draw);
  const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
  const variance = draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length;
  return { mean, variance, least: Math.min(...draws), most: Math.max(...draws) };
}

test.each([0.05, 1, 8, 29, 31, 400])('poisson(%f) has its mean and variance', (mean) => {
  const random = seeded(3);
  const drawn = moments(() => poisson(mean, random));
  expect(Math.abs(drawn.mean - mean)).toBeLessThan(5 * Math.sqrt(mean / 20_000));
  expect(drawn.variance / mean).toBeGreaterThan(0.93);
  expect(drawn.variance / mean).toBeLessThan(1.07);
  expect(drawn.least).toBeGreaterThanOrEqual(0);
});

test.each([
  [10, 0.3],
  [30, 0.9],
  [500, 0.01],
  [500, 0.995],
  [100, 0.2],
  [2000, 0.4],
])('binomial(%i, %f) has its mean and variance, and never more than there are', (trials, chance) => {
  const random = seeded(4);
  const drawn = moments(() => binomial(trials, chance, random));
  const variance = trials * chance * (1 - chance);
  expect(Math.abs(drawn.mean - trials * chance)).toBeLessThan(5 * Math.sqrt(variance / 20_000));
  expect(drawn.variance / variance).toBeGreaterThan(0.93);
  expect(drawn.variance / variance).toBeLessThan(1.07);
  expect(drawn.least).toBeGreaterThanOrEqual(0);
  expect(drawn.most).toBeLessThanOrEqual(trials);
});

test('nothing of nothing, all of certain', () => {
  const random = seeded(5);
  expect([poisson(0, random), binomial(0, 0.5, random), binomial(7, 0, random), binomial(7, 1, random)]).toEqual([0, 0, 0, 7]);
});
