import type { Plot, Report, Table } from './report.ts';

/**
 * Refuses what cannot be drawn or would be drawn wrongly.
 *
 * @throws RangeError naming the table, or the plot and its series.
 */
export function checkReport(report: Report): void {
  for (const section of report.sections) {
    for (const table of section.tables ?? []) checkTable(table, section.heading);
    for (const plot of section.plots ?? []) checkPlot(plot);
  }
}

/**
 * Refuses `xs` that do not rise, series of another length, and values that are not finite numbers (a gap is null).
 *
 * @throws RangeError naming the plot and the series.
 */
export function checkPlot(plot: Plot): void {
  const where = `plot "${plot.title}"`;
  plot.xs.forEach((x, index) => {
    if (!Number.isFinite(x)) throw new RangeError(`${where}: x ${index} is ${x}`);
    if (index > 0 && x <= (plot.xs[index - 1] ?? x)) throw new RangeError(`${where}: x ${index} does not rise`);
  });
  for (const mark of plot.marks ?? [])
    if (!Number.isFinite(mark.x)) throw new RangeError(`${where}, mark "${mark.label}": x is ${mark.x}`);
  for (const { label, values } of plot.series) {
    const series = `${where}, series "${label}"`;
    if (values.length !== plot.xs.length) throw new RangeError(`${series}: ${values.length} values for ${plot.xs.length} xs`);
    const bad = values.findIndex((value) => value !== null && !Number.isFinite(value));
    if (bad >= 0) throw new RangeError(`${series}: value ${bad} is ${values[bad]}`);
  }
}

function checkTable(table: Table, heading: string): void {
  const wrong = table.rows.findIndex((row) => row.length !== table.columns.length);
  if (wrong >= 0)
    throw new RangeError(`table of "${heading}": row ${wrong} has ${table.rows[wrong]?.length} cells for ${table.columns.length} columns`);
}
