import { GrowingBuffer } from './growing-buffer.ts';

const NUL = 0;
const LF = 0x0a;
const CR = 0x0d;

export type LineFault = 'line_too_long' | 'bare_line_break';

export interface LineRead {
  /** Behind the last byte taken. */
  readonly next: number;
  /** A whole line with its CRLF; undefined: its end has not come yet. */
  readonly line?: Buffer;
  readonly fault?: LineFault | undefined;
}

/**
 * Cuts bytes into lines that end with CRLF. A CR or LF alone and a NUL are faults: one reader takes them for the end of a
 * line and another does not. A line is judged when its LF has come, or its limit is passed: how it was cut into pieces
 * does not matter.
 */
export class LineReader {
  readonly #begun = new GrowingBuffer();

  /** @param maxBytes of the line, with its CRLF */
  read(bytes: Buffer, at: number, maxBytes: number): LineRead {
    const lf = bytes.indexOf(LF, at);
    const next = lf === -1 ? bytes.length : lf + 1;
    if (this.#begun.length + next - at > maxBytes) return { next, fault: 'line_too_long' };
    const piece = bytes.subarray(at, next);
    if (lf === -1) {
      this.#begun.push(piece);
      return { next };
    }
    const line = this.#complete(piece);
    return isStrict(line) ? { next, line } : { next, fault: 'bare_line_break' };
  }

  /** Whether the line that goes on at `bytes[at]` begins with this, in any case. */
  beginsWith(prefix: string, bytes: Buffer, at: number): boolean {
    const begun = this.#begun.bytes.toString('latin1', 0, Math.min(prefix.length, this.#begun.length));
    const start = begun + bytes.toString('latin1', at, Math.min(bytes.length, at + prefix.length - begun.length));
    return start.toUpperCase() === prefix;
  }

  /** Takes a line back except for its LF, which is to be offered again. */
  withholdEnd(line: Buffer): void {
    this.#begun.push(line.subarray(0, -1));
  }

  #complete(piece: Buffer): Buffer {
    if (this.#begun.length === 0) return piece;
    this.#begun.push(piece);
    return this.#begun.take();
  }
}

function isStrict(line: Buffer): boolean {
  return line.length >= 2 && line.indexOf(CR) === line.length - 2 && line.indexOf(NUL) === -1;
}
