import { checkPlot } from './check.ts';
import { escapeMarkup, markup } from './escape.ts';
import { formatValue, formatX } from './format.ts';
import { LEGEND_ENTRIES, THICK_SERIES, seriesColour, seriesDash } from './palette.ts';
import { describePlot } from './plot-figures.ts';
import { shortened } from './prose.ts';
import { plotRange } from './range.ts';
import type { Plot } from './report.ts';
import { markLabels, type MarkLabels } from './svg-marks.ts';
import { linePath } from './svg-path.ts';
import { thinPlot } from './thin.ts';
import { stepOf, ticks } from './ticks.ts';

/** Points of a line that is some 800 pixels wide: two for each bucket. */
const MAX_SVG_POINTS = 1200;

const WIDTH = 880;
const PLOT_HEIGHT = 240;
const LEFT = 72;
const RIGHT = 24;
const LEGEND_ROW = 22;
const MARK_ROW = 16;
const CHARACTER = 7;
const TITLE_CHARACTERS = 84;
const LABEL_CHARACTERS = 48;
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const INK = '#1d2329';
const MUTED = '#5b6672';
const GRID = '#e4e7ea';

interface Frame {
  readonly top: number;
  readonly bottom: number;
  readonly toX: (x: number) => number;
  readonly toY: (value: number) => number;
  readonly low: number;
  readonly high: number;
  readonly firstX: number;
  readonly lastX: number;
}

/**
 * One plot as a static SVG that stands alone: no script, no style sheet, no request. Its ground is white, so that it can
 * be read on a dark page, too.
 *
 * @throws RangeError when the plot is not well-formed; names the series.
 */
export function renderSvg(plot: Plot): string {
  checkPlot(plot);
  const thin = thinPlot(plot, MAX_SVG_POINTS);
  const marks = markLabels(plot, (x) => frameX(plot, x), { left: LEFT, right: WIDTH - RIGHT, character: CHARACTER, labelCharacters: LABEL_CHARACTERS });
  const frame = frameOf(thin, 68 + marks.rows * MARK_ROW);
  const legend = legendOf(plot, frame.bottom + 60);
  const height = legend.bottom + 14;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeMarkup(describePlot(plot))}" font-family="${FONT}" font-size="12" fill="${MUTED}">`,
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#fff"/>`,
    `<text x="${LEFT}" y="30" font-size="16" font-weight="600" fill="${INK}">${markup(shortened(plot.title, TITLE_CHARACTERS))}</text>`,
    `<text x="${LEFT}" y="52">${markup(plot.yLabel)}</text>`,
    ...(plotRange(thin) === undefined
      ? [`<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${frame.bottom - PLOT_HEIGHT / 2}" text-anchor="middle">no values</text>`]
      : [...yAxis(frame), ...xAxis(thin, frame), ...markLines(marks, frame), ...curves(thin, frame)]),
    ...legend.lines,
    '</svg>',
    '',
  ].join('\n');
}

function frameX(plot: Plot, x: number): number {
  const { firstX, lastX } = xRange(plot);
  return round(LEFT + ((x - firstX) / (lastX - firstX)) * (WIDTH - LEFT - RIGHT));
}

function xRange(plot: Plot): { firstX: number; lastX: number } {
  const firstX = plot.xs[0] ?? 0;
  const lastX = plot.xs.at(-1) ?? 0;
  return firstX === lastX ? { firstX: firstX - 1, lastX: lastX + 1 } : { firstX, lastX };
}

function frameOf(plot: Plot, top: number): Frame {
  const range = plotRange(plot) ?? { low: 0, high: 1 };
  const step = stepOf((range.high - range.low) / 5);
  const low = Math.floor(range.low / step) * step;
  const high = Math.ceil(range.high / step - 1e-9) * step;
  const bottom = top + PLOT_HEIGHT;
  const toY = (value: number) => round(bottom - ((value - low) / (high - low)) * PLOT_HEIGHT);
  return { top, bottom, low, high, toY, toX: (x) => frameX(plot, x), ...xRange(plot) };
}

function yAxis({ low, high, toY }: Frame): string[] {
  return ticks(low, high, 5).map((value) => {
    const y = toY(value);
    const line = `<line x1="${LEFT}" y1="${y}" x2="${WIDTH - RIGHT}" y2="${y}" stroke="${value === 0 ? '#9aa5b1' : GRID}"/>`;
    return `${line}<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end">${formatValue(value)}</text>`;
  });
}

function xAxis(plot: Plot, { firstX, lastX, bottom, toX }: Frame): string[] {
  const labels = ticks(firstX, lastX, 8, plot.xKind).map((x) => {
    const line = `<line x1="${toX(x)}" y1="${bottom}" x2="${toX(x)}" y2="${bottom + 5}" stroke="#9aa5b1"/>`;
    return `${line}<text x="${toX(x)}" y="${bottom + 19}" text-anchor="middle">${formatX(plot.xKind, x)}</text>`;
  });
  return [...labels, `<text x="${WIDTH - RIGHT}" y="${bottom + 38}" text-anchor="end">${markup(plot.xLabel)}</text>`];
}

function markLines(marks: MarkLabels, { top, bottom }: Frame): string[] {
  return marks.labels.map(({ x, row, anchor, textX, label }) => {
    const baseline = top - 8 - (marks.rows - row - 1) * MARK_ROW;
    const start = label === '' ? top : baseline - 9;
    const line = `<line x1="${x}" y1="${start}" x2="${x}" y2="${bottom}" stroke="${MUTED}" stroke-dasharray="3 3"/>`;
    return label === '' ? line : `${line}<text x="${textX}" y="${baseline}" text-anchor="${anchor}">${markup(label)}</text>`;
  });
}

function curves(plot: Plot, frame: Frame): string[] {
  const width = plot.series.length > THICK_SERIES ? 1 : 1.75;
  return plot.series.flatMap(({ values }, index) => {
    const path = linePath(plot.xs.map(frame.toX), values.map((value) => (value === null ? null : frame.toY(value))));
    if (path.line === '' && path.dots.length === 0) return [];
    const colour = seriesColour(index);
    const line = `<path d="${path.line}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linejoin="round"${dashes(index)}/>`;
    return [...(path.line === '' ? [] : [line]), ...path.dots.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="${width + 0.75}" fill="${colour}"/>`)];
  });
}

function dashes(index: number): string {
  const dash = seriesDash(index);
  return dash.length === 0 ? '' : ` stroke-dasharray="${dash.join(' ')}"`;
}

function legendOf(plot: Plot, top: number): { readonly lines: string[]; readonly bottom: number } {
  let x = LEFT;
  let y = top;
  const place = (width: number) => {
    if (x > LEFT && x + width > WIDTH - RIGHT) {
      x = LEFT;
      y += LEGEND_ROW;
    }
    const at = x;
    x += width + 20;
    return at;
  };
  const lines = plot.series.slice(0, LEGEND_ENTRIES).map((series, index) => {
    const label = shortened(series.label, LABEL_CHARACTERS);
    const at = place(26 + label.length * CHARACTER);
    const swatch = `<line x1="${at}" y1="${y - 4}" x2="${at + 20}" y2="${y - 4}" stroke="${seriesColour(index)}" stroke-width="2.5"${dashes(index)}/>`;
    return `${swatch}<text x="${at + 26}" y="${y}" fill="${INK}">${markup(label)}</text>`;
  });
  const more = plot.series.length - lines.length;
  if (more > 0) lines.push(`<text x="${place(90)}" y="${y}">and ${more} more</text>`);
  return { lines, bottom: y };
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}
