import { printable } from '@sekisho/telemetry';
import { width, wrap } from './prose.ts';
import type { Table } from './report.ts';

const INDENT = 2;
const GUTTER = 2;
const NARROWEST_COLUMNS = 12;

/** The lines of a table: a head, a rule, the rows; the widest left-aligned columns are wrapped when all of it is wider than `columns`. */
export function textTable(table: Table, columns: number): string[] {
  const head = table.columns.map(({ label }) => printable(label));
  const rows = table.rows.map((row) => row.map(printable));
  const widths = fit(table, [head, ...rows], columns);
  const line = (row: readonly string[]) => tableRow(table, row, widths);
  return [...line(head), ...line(widths.map((columnWidth) => '-'.repeat(columnWidth))), ...rows.flatMap(line)];
}

function fit(table: Table, rows: readonly (readonly string[])[], columns: number): number[] {
  const widths = table.columns.map((_, column) => rows.reduce((widest, row) => Math.max(widest, width(row[column] ?? '')), 0));
  for (;;) {
    const excess = INDENT + widths.reduce((sum, columnWidth) => sum + columnWidth + GUTTER, -GUTTER) - columns;
    if (excess <= 0) return widths;
    const wrappable = widths.map((columnWidth, column) => (table.columns[column]?.align === 'right' ? 0 : columnWidth));
    const widest = Math.max(0, ...wrappable);
    if (widest <= NARROWEST_COLUMNS) return widths;
    widths[wrappable.indexOf(widest)] = Math.max(NARROWEST_COLUMNS, widest - excess);
  }
}

function tableRow(table: Table, row: readonly string[], widths: readonly number[]): string[] {
  const cells = row.map((cell, column) => (width(cell) > (widths[column] ?? 0) ? wrap(cell, widths[column] ?? 0) : [cell]));
  const height = Math.max(1, ...cells.map((cell) => cell.length));
  return Array.from({ length: height }, (_, index) => {
    const parts = cells.map((cell, column) => aligned(cell[index] ?? '', widths[column] ?? 0, table.columns[column]?.align));
    return `${' '.repeat(INDENT)}${parts.join(' '.repeat(GUTTER))}`.trimEnd();
  });
}

function aligned(text: string, columns: number, align: 'left' | 'right' | undefined): string {
  const padding = ' '.repeat(Math.max(0, columns - width(text)));
  return align === 'right' ? padding + text : text + padding;
}
