import fc from 'fast-check';
import { expect, test } from 'vitest';
import { report } from '../test/fake-site.ts';
import { agedScore, loadOf } from './load.ts';
import { DEFAULT_SETTINGS, schedulerSettings } from './settings.ts';

const settings = schedulerSettings({ loadPerCoreLimit: 2, hottestCoreLimit: 0.8, loopDelayLimitMs: 100 });

test('each figure is a fraction of its limit', () => {
  const figures = { loadPerCore: 1, hottestCore: 0.4, loopDelayMs: 20, sessions: 250, bytesPerSecond: 90, bytesPerSecondLimit: 100 };
  expect(loadOf(report(figures), settings).components).toEqual({
    loadPerCore: 0.5,
    hottestCore: 0.5,
    loopDelay: 0.2,
    bytesPerSecond: 0.9,
    sessions: 0.25,
  });
});

test.each([
  ['loadPerCore', { loadPerCore: 1.8 }],
  ['hottestCore', { hottestCore: 0.72 }],
  ['loopDelay', { loopDelayMs: 90 }],
  ['bytesPerSecond', { bytesPerSecond: 9, bytesPerSecondLimit: 10 }],
] as const)('one exhausted figure is the load, however idle the rest is: %s', (name, figures) => {
  const load = loadOf(report(figures), settings);
  expect(load.score).toBeCloseTo(0.9);
  expect(load.pressure).toBeCloseTo(0.9);
  expect(load.pressureBy).toBe(name);
});

test('sessions are load and no pressure: full is a state of its own', () => {
  const load = loadOf(report({ sessions: 900, maxSessions: 1_000 }), settings);
  expect(load.score).toBeCloseTo(0.9);
  expect(load.pressure).toBe(0);
});

test('what has no limit is no load', () => {
  const load = loadOf(report({ sessions: 5, maxSessions: 0, bytesPerSecond: 1e9, bytesPerSecondLimit: 0 }), settings);
  expect(load.score).toBe(0);
});

test('nonsense counts as far over the limit, a negative figure as nothing', () => {
  expect(loadOf(report({ loadPerCore: Number.NaN }), settings).pressure).toBe(100);
  expect(loadOf(report({ loopDelayMs: Number.POSITIVE_INFINITY }), settings).pressure).toBe(100);
  expect(loadOf(report({ sessions: Number.NaN, maxSessions: 0 }), settings).score).toBe(100);
  expect(loadOf(report({ hottestCore: -3 }), settings).score).toBe(0);
});

test('no report whatever gives a score that is not a number from 0 to 100', () => {
  const figure = fc.double();
  fc.assert(
    fc.property(figure, figure, figure, figure, figure, figure, (a, b, c, d, e, f) => {
      const figures = { loadPerCore: a, hottestCore: b, loopDelayMs: c, sessions: d, maxSessions: e, bytesPerSecond: f };
      const { score } = loadOf(report({ ...figures, bytesPerSecondLimit: e }), DEFAULT_SETTINGS);
      expect(score >= 0 && score <= 100).toBe(true);
    }),
  );
});

test('an old report counts as rising load', () => {
  const ages = schedulerSettings({ freshForMs: 1_000, staleAfterMs: 3_000 });
  expect(agedScore(0.4, 1_000, ages)).toBe(0.4);
  expect(agedScore(0.4, 2_000, ages)).toBeCloseTo(0.7);
  expect(agedScore(0.4, 3_000, ages)).toBe(1);
  expect(agedScore(0.4, 90_000, ages)).toBe(1);
  expect(agedScore(1.5, 2_000, ages)).toBe(1.5);
});
