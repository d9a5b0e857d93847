const LF = 0x0a;
const CR = 0x0d;
const LINE_BREAK = Buffer.from('\r\n');
const LF_DOT = Buffer.from('\n.');
const CR_DOT_LF = Buffer.from('\r.\n');
const END = Buffer.from('\r\n.\r\n');
/** What of the end may have come already and would not be content. */
const DOT_CR = Buffer.from('.\r');
/** So much of what has gone before decides about the next byte. */
const TAIL = END.length - 1;

/**
 * Finds the end of a message in a multi-line reply: CRLF.CRLF, or .CRLF at once, and nothing else (RFC 1939 section 3).
 *
 * Many clients are not so strict. They end lines at an LF alone (fetchmail, Python's poplib, Go, Perl), take LF.CR for the
 * end whatever follows (JavaMail), or skip a CR at the start of a line that ends with LF (poplib). A server that is strict
 * hands out what somebody mailed with LF alone, so that a stranger decides where such a client sees the end, and which
 * dots it removes: the rest of the mail would be the next reply, or another mail than was scanned. Such a message is
 * *ambiguous*: the scanner has seen only one of its readings. An LF alone without a dot behind it is harmless, and so is
 * a CR alone: nobody is known to end a line there.
 */
export class MessageEnd {
  readonly #onContent: (content: Buffer) => void;
  /** The last bytes of what was seen. The line break of the status line counts as the first. */
  #tail: Buffer = LINE_BREAK;
  /** How much of the tail was not passed on, because it may belong to the end: nothing, the dot, or the dot and CR. */
  #pending = 0;
  #isAmbiguous = false;

  /** @param init.onContent gets the content: views of what was pushed */
  constructor(init: { readonly onContent: (content: Buffer) => void }) {
    this.#onContent = init.onContent;
  }

  /** Some readers see another message than the scanner, as far as it has come. */
  get isAmbiguous(): boolean {
    return this.#isAmbiguous;
  }

  /** Behind the status line of another message. */
  restart(): void {
    this.#tail = LINE_BREAK;
    this.#pending = 0;
    this.#isAmbiguous = false;
  }

  /** Returns how many of the bytes belong to the message and its end; undefined: all, and the end has not come. */
  push(bytes: Buffer): number | undefined {
    const end = this.#findEnd(bytes);
    if (end === undefined) {
      const before = this.#pending;
      this.#remember(bytes);
      this.#emit(bytes, before, before + bytes.length - this.#pending);
      return undefined;
    }
    this.#emit(bytes, this.#pending, this.#pending + end + LINE_BREAK.length);
    return end + END.length;
  }

  /** Where CRLF.CRLF begins: below zero when in the tail. */
  #findEnd(bytes: Buffer): number | undefined {
    // The seam first: what lies across it comes before what lies behind it.
    const seam = Buffer.concat([this.#tail, bytes.subarray(0, TAIL)]);
    const inSeam = this.#examine(seam);
    return inSeam === undefined ? this.#examine(bytes) : inSeam - this.#tail.length;
  }

  #examine(bytes: Buffer): number | undefined {
    let end: number | undefined;
    for (let lf = bytes.indexOf(LF_DOT); lf !== -1 && end === undefined; lf = bytes.indexOf(LF_DOT, lf + 2)) {
      // Its CR would be on the other side of the seam, where this was looked at.
      if (lf === 0) continue;
      const meaning = meaningOf(bytes, lf);
      if (meaning === 'end') end = lf - 1;
      if (meaning === 'ambiguous') this.#isAmbiguous = true;
    }
    if (!this.#isAmbiguous) {
      const at = bytes.indexOf(CR_DOT_LF);
      this.#isAmbiguous = at !== -1 && (end === undefined || at < end);
    }
    return end;
  }

  #remember(bytes: Buffer): void {
    const seen = bytes.length >= TAIL ? bytes : Buffer.concat([this.#tail, bytes]);
    // A copy: it must not keep the whole chunk in memory.
    this.#tail = Buffer.from(seen.subarray(-TAIL));
    this.#pending = this.#tail.equals(END.subarray(0, 4)) ? 2 : endsWith(this.#tail, END.subarray(0, 3)) ? 1 : 0;
  }

  /** Passes on the first `count` bytes of what was pending and the new ones together. */
  #emit(bytes: Buffer, pending: number, count: number): void {
    if (pending > 0 && count > 0) this.#onContent(DOT_CR.subarray(0, Math.min(pending, count)));
    if (count > pending) this.#onContent(bytes.subarray(0, count - pending));
  }
}

/** What LF and a dot at `lf` are; a byte that is not there yet makes them text, to be asked again with what follows. */
function meaningOf(bytes: Buffer, lf: number): 'end' | 'ambiguous' | 'text' {
  if (bytes[lf - 1] !== CR) return 'ambiguous';
  if (bytes[lf + 2] === LF) return 'ambiguous';
  if (bytes[lf + 2] !== CR || lf + 3 === bytes.length) return 'text';
  return bytes[lf + 3] === LF ? 'end' : 'ambiguous';
}

function endsWith(bytes: Buffer, end: Buffer): boolean {
  return bytes.subarray(-end.length).equals(end);
}
