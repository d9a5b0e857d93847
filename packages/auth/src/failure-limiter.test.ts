import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FailureLimiter, MAX_LIMITED_KEYS } from './failure-limiter.ts';

test('so many failures at once, then one each refill; asking costs nothing', () => {
  const limiter = new FailureLimiter({ burst: 3, refillMs: 1000 });
  expect([1, 2, 3].map(() => limiter.fail('a', 0))).toEqual([0, 0, 0]);
  expect([limiter.fail('a', 0), limiter.waitMs('a', 400), limiter.waitMs('a', 400)]).toEqual([1000, 600, 600]);
  expect([limiter.waitMs('b', 400), limiter.fail('b', 400)]).toEqual([0, 0]);
  expect([limiter.fail('a', 1000), limiter.fail('a', 1000)]).toEqual([0, 1000]);
});

test('a clock that is set back takes no tokens away and gives none', () => {
  const limiter = new FailureLimiter({ burst: 1, refillMs: 1000 });
  limiter.fail('a', 5000);
  expect(limiter.waitMs('a', 1000)).toBe(1000);
  expect(limiter.waitMs('a', 2000)).toBe(0);
});

test('whatever the order of times, no more failures pass than burst and refill allow', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(500), { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (steps, burst) => {
      const limiter = new FailureLimiter({ burst, refillMs: 1000 });
      let nowMs = 0;
      let passed = 0;
      for (const step of steps) {
        nowMs += step;
        if (limiter.fail('a', nowMs) === 0) passed += 1;
      }
      expect(passed).toBeLessThanOrEqual(burst + nowMs / 1000);
    }),
  );
});

test('it remembers a bounded number of keys', () => {
  const limiter = new FailureLimiter({ burst: 1, refillMs: 1000 });
  for (let key = 0; key < MAX_LIMITED_KEYS + 100; key += 1) limiter.fail(`k${key}`, 0);
  expect(limiter.size).toBe(MAX_LIMITED_KEYS);
});
