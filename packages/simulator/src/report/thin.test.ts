import { expect, test } from 'vitest';
import { samplePlot } from './samples.ts';
import { thinPlot } from './thin.ts';

const xs = Array.from({ length: 100_000 }, (_, index) => index);

test('100,000 points become few, and no peak and no trough is lost', () => {
  const values = xs.map((x) => (x === 77_777 ? 1000 : x === 12_345 ? -1000 : Math.sin(x)));
  const thin = thinPlot(samplePlot({ xs, series: [{ label: 's1', values }] }), 2000);
  expect(thin.xs.length).toBe(2000);
  expect([thin.xs[0], thin.xs.at(-1)]).toEqual([0, 99_999]);
  const kept = thin.series[0]?.values ?? [];
  expect(kept.length).toBe(2000);
  expect(thin.xs[kept.indexOf(1000)]).toSatisfy((x: number) => Math.abs(x - 77_777) <= 100);
  expect(thin.xs[kept.indexOf(-1000)]).toSatisfy((x: number) => Math.abs(x - 12_345) <= 100);
});

test('the extremes of a bucket stay in their order', () => {
  const plot = samplePlot({ xs: [0, 1, 2, 3, 4, 5, 6, 7], series: [{ label: 's1', values: [5, 1, 9, 5, 5, 9, 1, 5] }] });
  expect(thinPlot(plot, 4)).toMatchObject({ xs: [0, 3, 4, 7], series: [{ values: [1, 9, 9, 1] }] });
});

test('a gap of a whole bucket stays a gap; a value beside gaps stays a value', () => {
  const plot = samplePlot({ xs: [0, 1, 2, 3, 4, 5], series: [{ label: 's1', values: [null, null, null, null, 7, null] }] });
  expect(thinPlot(plot, 4).series[0]?.values).toEqual([null, null, 7, 7]);
});

test('a plot that is small enough is left as it is', () => {
  const plot = samplePlot();
  expect(thinPlot(plot, 3)).toBe(plot);
});
