import { expect, test } from 'vitest';
import { age, clockTime, count, percent, rate } from './quantities.ts';

test('figures as people read them', () => {
  expect([-5, 0, 59_999, 60_000, 3_599_999, 3_600_000, 47.9 * 3_600_000, 48 * 3_600_000].map(age)).toEqual(['0 s', '0 s', '59 s', '1 min', '59 min', '1 h', '47 h', '2 d']);
  expect([0, 999, 1000, 9_940, 9_960, 999_499, 999_500, 3_400_000, 125e6, 5e12].map(rate)).toEqual([
    '0 B/s', '999 B/s', '1.0 kB/s', '9.9 kB/s', '10 kB/s', '999 kB/s', '1.0 MB/s', '3.4 MB/s', '125 MB/s', '5000 GB/s',
  ]);
  expect([0, 0.004, 0.5, 1.12].map(percent)).toEqual(['0 %', '0 %', '50 %', '112 %']);
  expect([0, 999, 1000, 1_234_567].map(count)).toEqual(['0', '999', '1\u2009000', '1\u2009234\u2009567']);
  expect(clockTime(Date.UTC(2026, 0, 2, 3, 4, 5, 999))).toBe('03:04:05');
});
