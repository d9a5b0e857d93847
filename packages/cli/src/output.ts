import { printable } from '@sekisho/telemetry';

/** Results go to standard output, everything else to standard error (clig.dev). */
export function result(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function resultJson(value: unknown): void {
  result(JSON.stringify(value, null, 2));
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

type Colour = 'red' | 'green' | 'yellow' | 'dim';
const CODES: Readonly<Record<Colour, number>> = { red: 31, green: 32, yellow: 33, dim: 2 };

/** Colours text where somebody sees it and did not ask for none (no-color.org). */
export function paint(colour: Colour, text: string): string {
  if (!process.stdout.isTTY || (process.env['NO_COLOR'] ?? '') !== '') return text;
  return `\u001b[${CODES[colour]}m${text}\u001b[0m`;
}

/** A cell: its text, and its colour if it has one. What strangers wrote is made printable. */
export type Cell = string | number | { readonly text: string; readonly colour: Colour };

/** Lines up columns; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const text = (cell: Cell): string => (typeof cell === 'object' ? printable(cell.text) : printable(String(cell)));
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => text(row[column] ?? '').length)));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const padded = typeof cell === 'number' ? text(cell).padStart(width) : text(cell).padEnd(width);
        return typeof cell === 'object' ? paint(cell.colour, padded) : padded;
      })
      .join('  ')
      .trimEnd();
  return [line(head.map((title) => ({ text: title, colour: 'dim' }))), ...rows.map((row) => line(row))].join('\n');
}
