import type { LineFault, LineReader } from '../line-reader.ts';

const FINAL_DOT = Buffer.from('.\r\n');

export interface ListRead {
  /** Behind the last byte taken. */
  readonly next: number;
  readonly isEnd: boolean;
  readonly fault?: LineFault | undefined;
}

/**
 * Reads lines up to one that is a dot, and passes them on, as many at once as there are.
 *
 * @param components.lines holds the line that is not complete yet
 */
export function readList(
  components: { readonly lines: LineReader; readonly onLines: (lines: Buffer) => void },
  init: { readonly bytes: Buffer; readonly at: number; readonly maxLineBytes: number },
): ListRead {
  const { lines, onLines } = components;
  const { bytes, at, maxLineBytes } = init;
  let next = at;
  // Whole lines from here to `next` are still to be passed on.
  let start = at;
  let isEnd = false;
  let fault: LineFault | undefined;
  while (next < bytes.length && !isEnd && fault === undefined) {
    const before = next;
    const read = lines.read(bytes, before, maxLineBytes);
    ({ next, fault } = read);
    if (read.line === undefined) {
      if (before > start) onLines(bytes.subarray(start, before));
      start = next;
    } else if (read.line.length > next - before) {
      // It began in an earlier piece.
      onLines(read.line);
      start = next;
    }
    isEnd = read.line?.equals(FINAL_DOT) === true;
  }
  if (next > start) onLines(bytes.subarray(start, next));
  return { next, isEnd, fault };
}
