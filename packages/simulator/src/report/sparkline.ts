import { printable } from '@sekisho/telemetry';
import { formatValue, formatX } from './format.ts';
import { seriesFigures } from './plot-figures.ts';
import { shortened, width, wrap } from './prose.ts';
import type { Plot, Series } from './report.ts';
import { plotRange, type Range } from './range.ts';

/** A plot of more series shows these in text, and says how many more there are. */
const MAX_TEXT_SERIES = 40;
const LABEL_COLUMNS = 28;
const SPARK_COLUMNS = 40;
const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/** The lines of a plot: a series a line, all on one scale, each with its lowest and highest value. */
export function sparklines(plot: Plot, columns: number): string[] {
  const shown = plot.series.slice(0, MAX_TEXT_SERIES);
  const range = plotRange(plot);
  const labelColumns = Math.min(LABEL_COLUMNS, Math.max(0, ...shown.map(({ label }) => width(printable(label)))));
  const title = [plot.title, plot.yLabel].filter((part) => part !== '').join(', ');
  if (range === undefined) return [...wrap(title, columns), '  no values'];
  const rows = aligned(shown.map((series) => seriesCells(series, range, labelColumns)));
  const more = plot.series.length - shown.length;
  return [
    ...wrap(title, columns),
    ...rows,
    ...(more > 0 ? [`  and ${more} more`] : []),
    ...axisLines(plot, columns).map((line) => `  ${line}`),
  ];
}

interface Cells {
  readonly head: string;
  readonly lowest: string;
  readonly highest: string;
}

function seriesCells(series: Series, range: Range, labelColumns: number): Cells {
  const label = shortened(printable(series.label), labelColumns);
  const head = `  ${label}${' '.repeat(labelColumns - width(label))}  ${spark(series.values, range)}`;
  const figures = seriesFigures(series);
  return { head, lowest: figures ? formatValue(figures.lowest) : '–', highest: figures ? formatValue(figures.highest) : '–' };
}

function aligned(cells: readonly Cells[]): string[] {
  const columns = Math.max(...cells.flatMap(({ lowest, highest }) => [lowest.length, highest.length]));
  return cells.map(({ head, lowest, highest }) => `${head}  min ${lowest.padStart(columns)}  max ${highest.padStart(columns)}`);
}

/** Of the values that fall together the highest is shown: what a report is read for are its peaks. */
function spark(values: readonly (number | null)[], range: Range): string {
  return Array.from({ length: SPARK_COLUMNS }, (_, column) => {
    const from = Math.floor((column * values.length) / SPARK_COLUMNS);
    const to = Math.max(from + 1, Math.floor(((column + 1) * values.length) / SPARK_COLUMNS));
    const present = values.slice(from, to).filter((value) => value !== null);
    if (present.length === 0) return ' ';
    // Not Math.max(...present): there may be more than a call has room for.
    const highest = present.reduce((high, value) => Math.max(high, value), -Infinity);
    const share = (highest - range.low) / (range.high - range.low);
    return BARS[Math.min(BARS.length - 1, Math.floor(share * BARS.length))] ?? ' ';
  }).join('');
}

function axisLines(plot: Plot, columns: number): string[] {
  const ends = `${formatX(plot.xKind, plot.xs[0] ?? 0)} to ${formatX(plot.xKind, plot.xs.at(-1) ?? 0)}`;
  const marks = (plot.marks ?? []).map(({ x, label }) => `${formatX(plot.xKind, x)} ${label}`);
  return [`${plot.xLabel}: ${ends}`, ...(marks.length > 0 ? [`marks: ${marks.join('; ')}`] : [])].flatMap((line) => wrap(line, columns - 2));
}
