import { claimsRun, endOf, HEADER_BYTES, type Mail, PATTERN, readHeader, type RunId, SLICE_BYTES, sliceCount } from './mail.ts';

/** What a content turned out to be, once its final dot is there. */
export type ContentVerdict =
  | { readonly kind: 'intact'; readonly mail: Mail }
  /** Of this run, and with other bytes than it must have. */
  | { readonly kind: 'altered' }
  /** Of another run, or of no run. */
  | { readonly kind: 'foreign' };

type DotState = 0 | 1 | 2 | 3 | 4;
/** How far a CRLF.CRLF has come: 2 is the beginning of a line. */
const AFTER: Readonly<Record<DotState, (byte: number) => DotState | 'end'>> = {
  0: (byte) => (byte === CR ? 1 : 0),
  1: (byte) => (byte === LF ? 2 : byte === CR ? 1 : 0),
  2: (byte) => (byte === DOT ? 3 : byte === CR ? 1 : 0),
  3: (byte) => (byte === CR ? 4 : 0),
  4: (byte) => (byte === LF ? 'end' : byte === CR ? 1 : 0),
};
const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;

/**
 * Reads the content of a mail up to and with its final dot and compares every byte with what it must be. That leaves no
 * doubt, as a hash does, and costs a twentieth of one (0.03 s a GB against 0.67 for SHA-256). Only content that has turned
 * out to be altered is looked at byte by byte, for its end.
 */
export class ContentCheck {
  /** Bytes so far. */
  bytes = 0;
  verdict: ContentVerdict | undefined = undefined;
  readonly #run: RunId;
  readonly #header = Buffer.allocUnsafe(HEADER_BYTES);
  #mail: Mail | undefined;
  #wrong: 'altered' | 'foreign' | undefined;
  #dot: DotState = 2;

  constructor(run: RunId) {
    this.#run = run;
  }

  /** Expects the next content. */
  reset(): void {
    this.bytes = 0;
    this.verdict = undefined;
    this.#mail = undefined;
    this.#wrong = undefined;
    this.#dot = 2;
  }

  /** Takes bytes of `chunk` from `start` up to `end`; returns where it stopped, which is before `end` only with a verdict. */
  push(chunk: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.verdict === undefined) {
      if (this.#wrong !== undefined) at = this.#scan(chunk, at, end);
      else if (this.#mail === undefined) at = this.#pushHeader(chunk, at, end);
      else at = this.#compare(this.#mail, chunk, at, end);
    }
    return at;
  }

  #pushHeader(chunk: Buffer, start: number, end: number): number {
    const taken = Math.min(end - start, HEADER_BYTES - this.bytes);
    chunk.copy(this.#header, this.bytes, start, start + taken);
    // What is shorter than a header has its end somewhere in these few bytes.
    const stop = this.#scan(chunk, start, start + taken);
    if (this.verdict !== undefined || this.bytes < HEADER_BYTES) return stop;
    this.#mail = readHeader(this.#header, this.#run);
    if (this.#mail === undefined) this.#wrong = claimsRun(this.#header, this.#run) ? 'altered' : 'foreign';
    return stop;
  }

  /** One piece, as far as what is expected lies in one buffer. */
  #compare(mail: Mail, chunk: Buffer, start: number, end: number): number {
    const offset = this.bytes - HEADER_BYTES;
    const slicesEnd = sliceCount(mail.bytes) * SLICE_BYTES;
    const [expected, from, left] =
      offset < slicesEnd
        ? [PATTERN, offset % SLICE_BYTES, Math.min(slicesEnd - offset, SLICE_BYTES)]
        : [endOf(mail.bytes), offset - slicesEnd, endOf(mail.bytes).length - (offset - slicesEnd)];
    const length = Math.min(left, end - start);
    if (chunk.compare(expected, from, from + length, start, start + length) !== 0) {
      this.#wrong = 'altered';
      this.#dot = this.#dotStateBefore(expected, from);
      return start;
    }
    this.bytes += length;
    if (offset >= slicesEnd && length === left) this.verdict = { kind: 'intact', mail };
    return start + length;
  }

  /** What the bytes before this place say; they were as expected. */
  #dotStateBefore(expected: Buffer, from: number): DotState {
    // Before the body stands the empty line of the header, and before a slice or an end the last line of a slice.
    if (from === 0) return 2;
    let state: DotState = 0;
    for (const byte of expected.subarray(Math.max(from - 4, 0), from)) {
      const next: DotState | 'end' = AFTER[state](byte);
      state = next === 'end' ? 0 : next;
    }
    return state;
  }

  #scan(chunk: Buffer, start: number, end: number): number {
    for (let at = start; at < end; at += 1) {
      const next = AFTER[this.#dot](chunk[at] ?? 0);
      this.bytes += 1;
      if (next === 'end') {
        this.verdict = { kind: this.#wrong ?? (this.bytes > HEADER_BYTES ? 'altered' : 'foreign') };
        return at + 1;
      }
      this.#dot = next;
    }
    return end;
  }
}
