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
  const columns = head.map((title, column) => [title, ...rows.map((row) => text(row[column] ?? ''))]);
  const widths = columns.map((cells) => cells.reduce((most, cell) => Math.max(most, displayWidth(cell)), 0));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const shown = text(cell);
        const space = ' '.repeat(width - displayWidth(shown));
        const padded = typeof cell === 'number' ? space + shown : shown + space;
        return typeof cell === 'object' ? paint(cell.colour, padded) : padded;
      })
      .join('  ')
      .trimEnd();
  return [line(head.map((title) => ({ text: title, colour: 'dim' }))), ...rows.map((row) => line(row))].join('\n');
}

/** Columns of a terminal: labels are Japanese as often as not, and those characters take two (UAX #11). */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}/u.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
