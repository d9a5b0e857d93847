import { printable } from '@sekisho/telemetry';
import { checkReport } from './check.ts';
import { paragraphs, width, wrap } from './prose.ts';
import type { Fact, Report, Section } from './report.ts';
import { sparklines } from './sparkline.ts';
import { textTable } from './text-table.ts';

const COLUMNS = 100;
const LABEL_COLUMNS = 32;

/**
 * The report for a terminal of 100 columns, in plain text without colours, ending with a line feed. A table whose cells
 * cannot be wrapped any further may be wider.
 *
 * @throws RangeError when a table or a plot is not well-formed; names it.
 */
export function renderText(report: Report): string {
  checkReport(report);
  const title = printable(report.title);
  const blocks = [
    [title, '='.repeat(Math.min(width(title), COLUMNS))],
    ...prose(report.summary),
    report.conditions.length === 0 ? [] : ['Conditions', ...report.conditions.flatMap(factLines(report.conditions))],
    ...report.sections.flatMap(sectionBlocks),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function sectionBlocks(section: Section): string[][] {
  const heading = printable(section.heading);
  return [
    [heading, '-'.repeat(Math.min(width(heading), COLUMNS))],
    ...prose(section.text ?? ''),
    ...(section.tables ?? []).map((table) => textTable(table, COLUMNS)),
    ...(section.plots ?? []).map((plot) => sparklines(plot, COLUMNS)),
  ];
}

function prose(text: string): string[][] {
  return paragraphs(text).map((paragraph) => wrap(paragraph, COLUMNS));
}

function factLines(facts: readonly Fact[]): (fact: Fact) => string[] {
  const labelColumns = Math.min(LABEL_COLUMNS, Math.max(...facts.map(({ label }) => width(printable(label)))));
  return ({ label, value }) => {
    const name = printable(label);
    const lines = wrap(value, COLUMNS - labelColumns - 4);
    return lines.map((line, index) => `  ${(index === 0 ? name : '').padEnd(labelColumns)}  ${line}`.trimEnd());
  };
}
