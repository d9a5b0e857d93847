import { expect, test } from 'vitest';
import { seeded } from '../random.ts';
import { Histogram } from './histogram.ts';

const of = (values: readonly number[]): Histogram => {
  const histogram = new Histogram();
  for (const value of values) histogram.add(value);
  return histogram;
};

test('without values there are no quantiles', () => {
  expect(new Histogram().quantile(0.5)).toBeUndefined();
  expect(new Histogram()).toMatchObject({ count: 0, max: 0, mean: 0 });
});

test('small values and the maximum are exact', () => {
  const histogram = of([1, 2, 3, 63, 1_000_003]);
  expect([0, 0.2, 0.5, 0.8, 1].map((share) => histogram.quantile(share))).toEqual([1, 1, 3, 63, 1_000_003]);
  expect(histogram.max).toBe(1_000_003);
  expect(histogram.mean).toBe(200_014.4);
});

test('a quantile is never below the truth and less than 1.6 % above it', () => {
  const random = seeded(1);
  const values = Array.from({ length: 10_000 }, () => Math.floor(Math.exp(random() * 22))).sort((a, b) => a - b);
  const histogram = of(values);
  for (const share of [0.01, 0.25, 0.5, 0.9, 0.99, 0.999]) {
    const truth = values[Math.ceil(share * values.length) - 1] ?? 0;
    expect(histogram.quantile(share)).toBeGreaterThanOrEqual(truth);
    expect(histogram.quantile(share)).toBeLessThanOrEqual(truth * (1 + 1 / 64));
  }
});

test('merged parts are the same as one histogram of all values', () => {
  const random = seeded(2);
  const parts = Array.from({ length: 3 }, () => Array.from({ length: 500 }, () => Math.floor(random() ** 4 * 1e7)));
  const merged = new Histogram();
  for (const values of parts) merged.merge(of(values).parts());
  merged.merge(new Histogram().parts());
  expect(merged.parts()).toEqual(of(parts.flat()).parts());
  expect(merged.count).toBe(1500);
});

test('what is taken is gone', () => {
  const histogram = of([5, 500]);
  expect(histogram.take()).toEqual(of([5, 500]).parts());
  expect(histogram.parts()).toEqual(new Histogram().parts());
});

test('values outside the range are counted at its ends', () => {
  expect(of([-3, 2 ** 40])).toMatchObject({ count: 2, max: 2 ** 32 - 1 });
});
