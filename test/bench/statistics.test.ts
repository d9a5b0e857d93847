import { expect, test } from 'vitest';
import { median, percentile, spread } from '../../bench/statistics.ts';

test('a median is the middle, or lies between the two in the middle', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([10, 1, 4, 2])).toBe(3);
  expect(median([7])).toBe(7);
  expect(median([])).toBeNaN();
});

test('a percentile is a value that was measured', () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  expect(percentile(values, 0.5)).toBe(100);
  expect(percentile(values, 0.99)).toBe(198);
  expect(percentile(values, 1)).toBe(200);
  expect(percentile(values, 0)).toBe(1);
  expect(percentile([], 0.5)).toBeNaN();
});

test('a spread is a share of the median', () => {
  expect(spread([8, 10, 12])).toBeCloseTo(0.4);
  expect(spread([5])).toBe(0);
});
