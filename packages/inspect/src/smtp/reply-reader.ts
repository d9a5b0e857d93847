import { LineReader } from '../line-reader.ts';

/** A line of a reply with its CRLF. RFC 5321 4.5.3.1.5 says 512. */
export const MAX_REPLY_LINE_BYTES = 4096;

/** A line of a reply. */
export interface ReplyLine {
  readonly bytes: Buffer;
  readonly code: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

export type ReplyFault = 'line_too_long' | 'bare_line_break' | 'malformed_reply';

export interface ReplyRead {
  /** Behind the last byte taken. */
  readonly next: number;
  /** Undefined: its end has not come yet. */
  readonly line?: ReplyLine;
  readonly fault?: ReplyFault;
}

const REPLY_LINE = /^([2-5][0-9]{2})(?:([ -])|\r\n)/u;
const LONGEST_START = 5;

/** Reads the replies of a server line by line (RFC 5321 4.2): a code each, and all lines of a reply have the same one. */
export class ReplyReader {
  readonly #lines = new LineReader();
  /** Of the reply whose last line has not come. */
  #code: number | undefined;

  /** @param maxBytes of a line, with its CRLF */
  read(bytes: Buffer, at: number, maxBytes: number): ReplyRead {
    const { next, line, fault } = this.#lines.read(bytes, at, maxBytes);
    if (fault !== undefined) return { next, fault };
    if (line === undefined) return { next };
    const [, digits, separator] = REPLY_LINE.exec(line.toString('latin1', 0, LONGEST_START)) ?? [];
    const code = Number(digits);
    const isFirst = this.#code === undefined;
    if (digits === undefined || (!isFirst && code !== this.#code)) return { next, fault: 'malformed_reply' };
    const isLast = separator !== '-';
    this.#code = isLast ? undefined : code;
    return { next, line: { bytes: line, code, isFirst, isLast } };
  }
}
