import { printable } from '@sekisho/telemetry';
import { formatValue, formatX } from './format.ts';
import type { Plot, Series, Table } from './report.ts';

interface SeriesFigures {
  readonly lowest: number;
  readonly mean: number;
  readonly highest: number;
  /** Index of the (first) highest value. */
  readonly highestAt: number;
  readonly last: number;
}

/** Lowest, mean, highest and last of the values that are there; nothing when none is. */
export function seriesFigures({ values }: Series): SeriesFigures | undefined {
  let lowest = Infinity;
  let highest = -Infinity;
  let highestAt = -1;
  let sum = 0;
  let count = 0;
  let last = 0;
  values.forEach((value, index) => {
    if (value === null) return;
    lowest = Math.min(lowest, value);
    if (value > highest) [highest, highestAt] = [value, index];
    sum += value;
    count += 1;
    last = value;
  });
  return count === 0 ? undefined : { lowest, mean: sum / count, highest, highestAt, last };
}

/** What a plot shows, for those who do not see it; printable. */
export function describePlot(plot: Plot): string {
  const count = `${plot.series.length} ${plot.series.length === 1 ? 'curve' : 'curves'}`;
  const highest = plot.series
    .map((series) => ({ label: printable(series.label), figures: seriesFigures(series) }))
    .reduce<{ label: string; value: number; at: number } | undefined>((best, { label, figures }) => {
      if (figures === undefined || (best !== undefined && best.value >= figures.highest)) return best;
      return { label, value: figures.highest, at: figures.highestAt };
    }, undefined);
  const what = [plot.title, plot.yLabel].filter((part) => part !== '').map(printable).join(', ');
  if (highest === undefined) return `${what}: no values.`;
  const span = `${formatX(plot.xKind, plot.xs[0] ?? 0)} to ${formatX(plot.xKind, plot.xs.at(-1) ?? 0)}`;
  return `${what}: ${count} over ${printable(plot.xLabel)}, ${span}. Highest: ${formatValue(highest.value)} (${highest.label}) at ${formatX(plot.xKind, plot.xs[highest.at] ?? 0)}.`;
}

/** The figures of each series of a plot, as a table. */
export function figuresTable(plot: Plot): Table {
  const right = ['Lowest', 'Mean', 'Highest', 'Highest at', 'Last'].map((label) => ({ label, align: 'right' as const }));
  const rows = plot.series.map((series) => {
    const figures = seriesFigures(series);
    if (figures === undefined) return [series.label, ...right.map(() => '–')];
    const { lowest, mean, highest, highestAt, last } = figures;
    const at = formatX(plot.xKind, plot.xs[highestAt] ?? 0);
    return [series.label, formatValue(lowest), formatValue(mean), formatValue(highest), at, formatValue(last)];
  });
  return { columns: [{ label: 'Curve' }, ...right], rows };
}
