import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Backoff } from './backoff.ts';

it('doubles up to its limit, and starts over after a success', () => {
  const backoff = new Backoff({ random: () => 0.999_999 }, { firstMs: 50, maxMs: 300 });
  const pauses = (): number[] => Array.from({ length: 5 }, () => backoff.nextMs());
  expect(pauses()).toEqual([50, 100, 200, 300, 300]);
  backoff.reset();
  expect(pauses()).toEqual([50, 100, 200, 300, 300]);
});

it('draws each pause from the upper half', () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(20), (random, failures) => {
      const backoff = new Backoff({ random: () => random }, { firstMs: 50, maxMs: 5000 });
      for (let n = 0; n < failures; n += 1) backoff.nextMs();
      const full = Math.min(50 * 2 ** failures, 5000);
      const pause = backoff.nextMs();
      return pause >= full / 2 && pause <= full;
    }),
  );
});
