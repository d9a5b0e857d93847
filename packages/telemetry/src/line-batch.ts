import type { DestinationStream } from 'pino';

/**
 * What Linux writes to a pipe in one piece (PIPE_BUF, pipe(7)): a relay's workers have the same standard output, and a
 * longer write could end up in the middle of another one's line. Lines beyond it do not wait for the turn's end.
 */
const MAX_PENDING_BYTES = 4096;
const METADATA = Symbol.for('pino.metadata');
/** As in pino's levels. */
const WARN = 40;

/**
 * Lines of one turn of the event loop, written together: a system call for each line of each session would be a twentieth
 * of what a short session costs. A warning and what is graver is written at once, with all that came before it, and so is
 * the rest when the process ends by itself; what ends it from outside (SIGKILL) loses the lines of the turn it was in.
 */
export class LineBatch implements DestinationStream {
  /** Asks pino for `lastLevel`, set before each write. */
  readonly [METADATA] = true;
  lastLevel = 0;
  readonly #sink: DestinationStream;
  readonly #flush = (): void => this.flush();
  #pending = '';
  #pendingBytes = 0;

  constructor(sink: DestinationStream) {
    this.#sink = sink;
  }

  write(line: string): void {
    const bytes = Buffer.byteLength(line);
    if (this.#pendingBytes + bytes > MAX_PENDING_BYTES) this.flush();
    if (this.#pending === '') setImmediate(this.#flush);
    this.#pending += line;
    this.#pendingBytes += bytes;
    if (this.lastLevel >= WARN) this.flush();
  }

  /** Writes what waits. */
  flush(): void {
    const lines = this.#pending;
    if (lines === '') return;
    this.#pending = '';
    this.#pendingBytes = 0;
    this.#sink.write(lines);
  }
}
