import { expect, test } from 'vitest';
import { drawSize, meanBytes, type Mix, MIXES } from './mix.ts';
import { exponential, seeded } from './random.ts';

test.each(Object.entries<Mix>(MIXES))('the shares of %s sum up to 1, and are drawn as they say', (_, mix) => {
  expect(mix.sizes.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
  const random = seeded(3);
  const drawn = Array.from({ length: 50_000 }, () => drawSize(mix, random));
  for (const { share, bytes } of mix.sizes)
    expect(drawn.filter((size) => size === bytes).length / drawn.length).toBeCloseTo(share, 1);
});

test('a draw at the very end of the range is the last size', () => {
  expect(drawSize(MIXES.office, () => 1 - 2 ** -32)).toBe(2 * 1024 * 1024);
  expect(drawSize(MIXES.office, () => 0)).toBe(4 * 1024);
});

test('the mean of the office mix is what the manual says', () => {
  expect(Math.round(meanBytes(MIXES.office) / 1024)).toBe(96);
});

test('the same seed gives the same numbers, another one others', () => {
  const take = (seed: number): number[] => Array.from({ length: 5 }, seeded(seed));
  expect(take(7)).toEqual(take(7));
  expect(take(7)).not.toEqual(take(8));
});

test('pauses have the mean that was asked for', () => {
  const random = seeded(1);
  const pauses = Array.from({ length: 20_000 }, () => exponential(10, random));
  expect(pauses.reduce((sum, pause) => sum + pause, 0) / pauses.length).toBeCloseTo(10, 0);
});
