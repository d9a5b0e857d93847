import { printable } from '@sekisho/telemetry';

/** The paragraphs (parted by empty lines) of a text of any length, each in one line and fit for a terminal. */
export function paragraphs(text: string): string[] {
  return text
    .split(/\n\s*\n/u)
    .map((paragraph) => words(paragraph).join(' '))
    .filter((paragraph) => paragraph !== '');
}

/** A text in lines of at most `columns` characters; a longer word has a line of its own. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words(text)) {
    if (line !== '' && width(line) + 1 + width(word) > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A text of at most `columns` characters; what was cut off is an ellipsis. */
export function shortened(text: string, columns: number): string {
  const characters = Array.from(text);
  return characters.length <= columns ? text : `${characters.slice(0, columns - 1).join('')}…`;
}

/** In characters, not in UTF-16 units. */
export function width(text: string): number {
  return Array.from(text).length;
}

// Word by word: printable() caps what it is given, and a paragraph of ours may be longer than a line of a log.
function words(text: string): string[] {
  return text
    .split(/[ \t\r\n]+/u)
    .filter((word) => word !== '')
    .map(printable);
}
