import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ticks } from './ticks.ts';

test('round numbers, without the dust of sums', () => {
  expect(ticks(0, 0.5, 5)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
  expect(ticks(-3, 11, 5)).toEqual([0, 5, 10]);
});

test('time in steps of the clock', () => {
  expect(ticks(0, 86_400, 8, 'timeOfDay')).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24].map((hours) => hours * 3600));
  expect(ticks(0, 60, 8, 'elapsed')).toEqual([0, 10, 20, 30, 40, 50, 60]);
  expect(ticks(0, 0.4, 4, 'elapsed')).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
  expect(ticks(0, 30 * 86_400, 6, 'elapsed')).toEqual([0, 5, 10, 15, 20, 25, 30].map((days) => days * 86_400));
});

test('never more than asked for and one, and all of them inside', () => {
  const property = fc.property(
    fc.double({ min: -1e3, max: 1e3, noNaN: true }),
    fc.double({ min: 1e-3, max: 1e9, noNaN: true }),
    fc.constantFrom('number' as const, 'elapsed' as const),
    (spans, span, kind) => {
      const low = spans * span;
      const found = ticks(low, low + span, 8, kind);
      expect(found.length).toBeLessThanOrEqual(9);
      for (const tick of found) expect(tick).toSatisfy((x: number) => x >= low - span * 1e-3 && x <= low + span * 1.001);
    },
  );
  fc.assert(property);
});
