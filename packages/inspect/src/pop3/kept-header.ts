import { GrowingBuffer } from '../growing-buffer.ts';

/** Of a message's header; those of large providers have 10 KiB. */
export const MAX_KEPT_HEADER_BYTES = 16 * 1024;

const LF = 0x0a;
const LINE_BREAK = Buffer.from('\r\n');
const HEADER_END = Buffer.from('\r\n\r\n');

/**
 * A field that says nothing about what follows, or a line that goes on with one. Not safe are fields that say how the body
 * is to be read, everything that a lax reader could take for the end of the header (a line without a name, with white
 * space only, with a line break of another kind), and dots that would have to be unstuffed.
 */
const SAFE_FIELD = /^(?!\.|content-|mime-version)[!-9;-~]+[ \t]*:[\t -~\u0080-\u00ff]*\r\n$/iu;
const SAFE_CONTINUATION = /^[ \t]+[!-~\u0080-\u00ff][\t -~\u0080-\u00ff]*\r\n$/u;

/** A copy of the beginning of a message as it is on the wire, up to the empty line behind its header. */
export class KeptHeader {
  readonly #bytes = new GrowingBuffer();
  #isComplete = false;

  get bytes(): Buffer {
    return this.#bytes.bytes;
  }

  push(content: Buffer): void {
    if (this.#isComplete) return;
    const before = this.#bytes.length;
    this.#bytes.push(content.subarray(0, MAX_KEPT_HEADER_BYTES - before));
    const end = endOfHeader(this.bytes, Math.max(0, before - HEADER_END.length + 1));
    if (end !== undefined) this.#bytes.truncate(end);
    this.#isComplete = end !== undefined || this.#bytes.length === MAX_KEPT_HEADER_BYTES;
  }

  /** How many bytes from the beginning may be shown before anybody has looked at the message: whole lines only. */
  get safeLength(): number {
    const { bytes } = this;
    let safe = 0;
    for (let lf = bytes.indexOf(LF); lf !== -1; lf = bytes.indexOf(LF, safe)) {
      const line = bytes.toString('latin1', safe, lf + 1);
      if (!SAFE_FIELD.test(line) && !(safe > 0 && SAFE_CONTINUATION.test(line))) break;
      safe = lf + 1;
    }
    return safe;
  }
}

/** Behind the empty line, which is looked for from `from` on. */
function endOfHeader(bytes: Buffer, from: number): number | undefined {
  if (bytes.subarray(0, LINE_BREAK.length).equals(LINE_BREAK)) return LINE_BREAK.length;
  const at = bytes.indexOf(HEADER_END, from);
  return at === -1 ? undefined : at + HEADER_END.length;
}
