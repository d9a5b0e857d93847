import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS, schedulerSettings, type SchedulerSettings } from './settings.ts';

test('what is not given is the default', () => {
  expect(schedulerSettings({ rise: 5 })).toEqual({ ...DEFAULT_SETTINGS, rise: 5 });
  expect(schedulerSettings()).toEqual(DEFAULT_SETTINGS);
});

test.each<[string, Partial<SchedulerSettings>, RegExp]>([
  ['half a report', { rise: 1.5 }, /rise is 1.5: a whole number from 1/],
  ['no failure at all', { fall: 0 }, /fall is 0/],
  ['a limit of 0', { loadPerCoreLimit: 0 }, /loadPerCoreLimit is 0: a number above 0/],
  ['NaN', { handOutLoad: Number.NaN }, /handOutLoad is NaN/],
  ['a negative time', { slowStartMs: -1 }, /slowStartMs is -1/],
  ['a floor of 0', { slowStartFloor: 0 }, /slowStartFloor is 0/],
  ['more than all', { panicFraction: 1.1 }, /panicFraction is 1.1: a number from 0 to 1/],
  ['stale before it is old', { freshForMs: 3_000 }, /freshForMs < staleAfterMs < downAfterMs/],
  ['down before it is stale', { downAfterMs: 3_000 }, /freshForMs < staleAfterMs < downAfterMs/],
])('%s is refused', (_what, given, message) => {
  expect(() => schedulerSettings(given)).toThrow(message);
});
