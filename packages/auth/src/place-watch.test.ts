import { expect, test } from 'vitest';
import { PlaceWatch } from './place-watch.ts';

const MINUTE = 60_000;

test('two addresses within the time are an alarm, once', () => {
  const watch = new PlaceWatch({ withinMs: 10 * MINUTE });
  expect(watch.seen('a', '192.0.2.1', 0)).toBe(false);
  expect(watch.seen('a', '192.0.2.1', MINUTE)).toBe(false);
  expect(watch.seen('b', '192.0.2.2', MINUTE)).toBe(false);
  expect(watch.seen('a', '192.0.2.2', 5 * MINUTE)).toBe(true);
  expect(watch.seen('a', '192.0.2.1', 6 * MINUTE)).toBe(false);
  expect(watch.seen('a', '192.0.2.2', 15 * MINUTE)).toBe(false);
  expect(watch.seen('a', '192.0.2.1', 16 * MINUTE)).toBe(true);
});

test('a move after the time is none', () => {
  const watch = new PlaceWatch({ withinMs: 10 * MINUTE });
  watch.seen('a', '192.0.2.1', 0);
  expect(watch.seen('a', '192.0.2.2', 11 * MINUTE)).toBe(false);
});

test.each([
  ['192.0.2.1', '2001:db8::1', false],
  ['2001:db8::1', '2001:db8::2', false],
  ['2001:db8:0:0:1:2:3:4', '2001:db8::9', false],
  ['2001:db8::1', '2001:db8:0:1::1', true],
  ['2001:db8:1::', '2001:db8:2::', true],
])('%s and %s are two places: %s', (first, second, alarm) => {
  const watch = new PlaceWatch({ withinMs: MINUTE });
  watch.seen('a', first, 0);
  expect(watch.seen('a', second, 1)).toBe(alarm);
});
