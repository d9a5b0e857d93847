import { expect, test } from 'vitest';
import { Allowance } from './allowance.ts';

test('a burst, then so many a second', () => {
  const allowance = new Allowance({ perSecond: 2, burst: 3, nowMs: 0 });
  expect([1, 2, 3, 4].map(() => allowance.take(0))).toEqual([0, 0, 0, 500]);
  expect([allowance.take(250), allowance.take(500), allowance.take(500)]).toEqual([250, 0, 500]);
  expect([1, 2, 3, 4].map(() => allowance.take(1e9))).toEqual([0, 0, 0, 500]);
});
