import { createHash } from 'node:crypto';
import { printable } from '@sekisho/telemetry';
import { checkReport } from './check.ts';
import { escapeMarkup, markup, scriptJson } from './escape.ts';
import { formatValue, formatX } from './format.ts';
import { type PageAssets, pageAssets } from './page/assets.ts';
import { DARK_SERIES, DASHES, LIGHT_SERIES, LEGEND_ENTRIES, THICK_SERIES } from './palette.ts';
import { describePlot, figuresTable } from './plot-figures.ts';
import { paragraphs } from './prose.ts';
import { plotRange } from './range.ts';
import type { Plot, Report, Section, Table } from './report.ts';
import { renderSvg } from './svg.ts';
import { MARK_ROWS } from './svg-marks.ts';
import { thinPlot } from './thin.ts';

/** Points of a curve in a page: some two for each pixel of its width. */
const MAX_PAGE_POINTS = 2000;
/** Of a plot, all curves together: many curves get fewer points each, so that a page stays one that can be mailed. */
const MAX_PAGE_VALUES = 100_000;

/**
 * The report as one HTML page with everything in it: it makes no request of any kind, and its content security policy
 * would not let it. Without scripts, and on paper, its plots are static.
 *
 * @throws RangeError when a table or a plot is not well-formed; names it.
 */
export function renderPage(report: Report): string {
  checkReport(report);
  const assets = pageAssets();
  const plots = report.sections.flatMap((section) => section.plots ?? []);
  const style = [assets.plotterStyle, assets.style, paletteStyle()].join('\n');
  const script = scriptOf(assets);
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy(style, script)}">`,
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${markup(report.title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<main>',
    ...header(report),
    ...report.sections.flatMap((section) => sectionLines(section, plots)),
    '</main>',
    `<script type="application/json" id="plots">${scriptJson(plots.map(plotData))}</script>`,
    `<script>${script}</script>`,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function policy(style: string, script: string): string {
  const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  return `default-src 'none'; style-src ${hash(style)}; script-src ${hash(script)}; base-uri 'none'; form-action 'none'`;
}

function scriptOf({ plotterScript, plotterLicence, script }: PageAssets): string {
  const style = {
    colours: LIGHT_SERIES.length,
    dashes: DASHES,
    thickSeries: THICK_SERIES,
    legendEntries: LEGEND_ENTRIES,
    markRows: MARK_ROWS,
  };
  return [
    `/*\n${plotterLicence.trim()}\n*/`,
    plotterScript,
    // Parenthesised: a bundler may have given the function another name.
    `const formatValue = (${formatValue.toString()});`,
    `const formatX = (${formatX.toString()});`,
    `const PLOT_STYLE = ${scriptJson(style)};`,
    script,
  ].join('\n');
}

function paletteStyle(): string {
  const variables = (colours: readonly string[]) => colours.map((colour, index) => `--series-${index}: ${colour};`).join(' ');
  return [
    `:root { ${variables(LIGHT_SERIES)} }`,
    `@media screen and (prefers-color-scheme: dark) { :root { ${variables(DARK_SERIES)} } }`,
    ...LIGHT_SERIES.map((_, index) => `.series-${index} { stroke: var(--series-${index}); }`),
  ].join('\n');
}

type PlotData = Omit<Plot, 'title' | 'yLabel'>;

/** What the script draws; title and unit are in the page already. */
function plotData(plot: Plot): PlotData {
  const thin = thinPlot(plot, Math.min(MAX_PAGE_POINTS, Math.floor(MAX_PAGE_VALUES / Math.max(1, plot.series.length))));
  return {
    xKind: thin.xKind,
    xs: thin.xs,
    xLabel: printable(thin.xLabel),
    series: thin.series.map(({ label, values }) => ({ label: printable(label), values: values.map(shortNumber) })),
    marks: (thin.marks ?? []).map(({ x, label }) => ({ x, label: printable(label) })),
  };
}

/** Seven digits: more than is shown, and half of what a quotient has. */
function shortNumber(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(7));
}

function header({ title, summary, conditions }: Report): string[] {
  const facts = conditions.map(({ label, value }) => `<div><dt>${markup(label)}</dt><dd>${markup(value)}</dd></div>`);
  return [
    '<header>',
    `<h1>${markup(title)}</h1>`,
    ...paragraphs(summary).map((text) => `<p class="summary">${escapeMarkup(text)}</p>`),
    ...(facts.length === 0 ? [] : ['<dl class="facts">', ...facts, '</dl>']),
    '</header>',
  ];
}

function sectionLines(section: Section, plots: readonly Plot[]): string[] {
  const figures = (section.plots ?? []).flatMap((plot) => figureLines(plot, plots.indexOf(plot)));
  return [
    '<section>',
    `<h2>${markup(section.heading)}</h2>`,
    ...paragraphs(section.text ?? '').map((text) => `<p class="prose">${escapeMarkup(text)}</p>`),
    ...(section.tables ?? []).flatMap((table) => tableLines(table, section.heading)),
    ...(figures.length === 0 ? [] : ['<div class="plots">', ...figures, '</div>']),
    '</section>',
  ];
}

function figureLines(plot: Plot, index: number): string[] {
  const caption = `<figcaption><strong>${markup(plot.title)}</strong><span>${markup(plot.yLabel)}</span></figcaption>`;
  if (plotRange(plot) === undefined) return ['<figure>', caption, '<p class="empty">no values</p>', '</figure>'];
  return [
    '<figure class="drawn">',
    caption,
    `<div class="live" data-plot="${index}" role="group" tabindex="0" aria-label="${escapeMarkup(describePlot(plot))}"></div>`,
    `<div class="still">${renderSvg(plot)}</div>`,
    '<details>',
    '<summary>Figures of the curves</summary>',
    ...tableLines(figuresTable(plot), plot.title),
    '</details>',
    '</figure>',
  ];
}

function tableLines(table: Table, label: string): string[] {
  const classes = table.columns.map(({ align }) => (align === 'right' ? ' class="right"' : ''));
  const head = table.columns.map((column, index) => `<th scope="col"${classes[index]}>${markup(column.label)}</th>`);
  const rows = table.rows.map((row) => {
    const cells = row.map((cell, index) =>
      index === 0 ? `<th scope="row"${classes[index]}>${markup(cell)}</th>` : `<td${classes[index]}>${markup(cell)}</td>`,
    );
    return `<tr>${cells.join('')}</tr>`;
  });
  return [
    `<div class="table" role="region" tabindex="0" aria-label="${markup(label)}">`,
    '<table>',
    `<thead><tr>${head.join('')}</tr></thead>`,
    '<tbody>',
    ...rows,
    '</tbody>',
    '</table>',
    '</div>',
  ];
}
