import { expect, test } from 'vitest';
import { hottestMilli, MachineLoad } from './machine-load.ts';

test.each([
  ['one of two is busy', [[0, 0], [0, 0]], [[90, 100], [10, 100]], 900],
  ['only the difference counts', [[1000, 1000], [0, 1000]], [[1000, 1100], [50, 1100]], 500],
  ['no time has passed', [[5, 10]], [[5, 10]], 0],
  ['a core was plugged in', [[0, 0]], [[0, 100], [100, 100]], 1000],
  ['no cores', [], [], 0],
] as const)('%s', (_name, before, after, expected) => {
  const times = (cores: readonly (readonly [number, number])[]) => cores.map(([busy, total]) => ({ busy, total }));
  expect(hottestMilli(times(before), times(after))).toBe(expected);
});

test('the machine’s own load', () => {
  let nowMs = 0;
  const load = new MachineLoad({ now: () => nowMs });
  expect(load.hottestCoreMilli()).toBe(0);
  const until = performance.now() + 450;
  while (performance.now() < until);
  nowMs = 450;
  const hottest = load.hottestCoreMilli();
  expect(hottest).toBeGreaterThan(300);
  expect(hottest).toBeLessThanOrEqual(1000);
  expect(load.hottestCoreMilli()).toBe(hottest);
  expect(load.loadPerCoreMilli).toBeGreaterThanOrEqual(0);
});
