import type { Plot } from './report.ts';

export interface Range {
  readonly low: number;
  readonly high: number;
}

/** From zero (or below) to the highest value, so that heights can be compared; nothing when there is no value at all. */
export function plotRange(plot: Plot): Range | undefined {
  let low = Infinity;
  let high = -Infinity;
  for (const { values } of plot.series)
    for (const value of values)
      if (value !== null) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
  if (low > high) return undefined;
  const range = { low: Math.min(0, low), high: Math.max(0, high) };
  return range.low === range.high ? { low: 0, high: 1 } : range;
}
