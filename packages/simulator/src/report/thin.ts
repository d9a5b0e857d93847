import type { Plot } from './report.ts';

/**
 * The same plot with at most `maxPoints` (2 at least) of `xs`. Neighbours are put into buckets, and of each bucket every
 * series keeps its lowest and its highest value in their order, at the bucket's first and last x: a peak is never
 * lost. A gap stays when it fills a bucket.
 */
export function thinPlot(plot: Plot, maxPoints: number): Plot {
  const count = plot.xs.length;
  if (count <= maxPoints) return plot;
  const buckets = Math.max(1, Math.floor(maxPoints / 2));
  const bounds = Array.from({ length: buckets + 1 }, (_, bucket) => Math.floor((bucket * count) / buckets));
  return {
    ...plot,
    xs: overBuckets(bounds, (from, to) => [plot.xs[from] ?? 0, plot.xs[to - 1] ?? 0]),
    series: plot.series.map(({ label, values }) => ({ label, values: overBuckets(bounds, (from, to) => extremes(values, from, to)) })),
  };
}

function overBuckets<T>(bounds: readonly number[], pick: (from: number, to: number) => readonly [T, T]): T[] {
  return bounds.slice(1).flatMap((to, index) => pick(bounds[index] ?? 0, to));
}

function extremes(values: readonly (number | null)[], from: number, to: number): readonly [number | null, number | null] {
  let lowest = -1;
  let highest = -1;
  for (let index = from; index < to; index += 1) {
    const value = values[index] ?? null;
    if (value === null) continue;
    if (lowest < 0 || value < (values[lowest] ?? value)) lowest = index;
    if (highest < 0 || value > (values[highest] ?? value)) highest = index;
  }
  const [first, second] = lowest < highest ? [lowest, highest] : [highest, lowest];
  return [values[first] ?? null, values[second] ?? null];
}
