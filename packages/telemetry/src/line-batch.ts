import type { DestinationStream } from 'pino';

/** A turn that logs more than this does not wait for its end. */
const MAX_PENDING_CHARACTERS = 64 * 1024;
/** As in pino's levels. */
const WARN = 40;

/**
 * Lines of one turn of the event loop, written together: a system call for each line of each session would be a twentieth
 * of what a short session costs. A warning and what is graver is written at once, with all that came before it, and so is
 * the rest when the process ends by itself; what ends it from outside (SIGKILL) loses the lines of the turn it was in.
 */
export class LineBatch implements DestinationStream {
  /** Asks pino for `lastLevel`, set before each write. */
  readonly [Symbol.for('pino.metadata')] = true;
  lastLevel = 0;
  readonly #sink: DestinationStream;
  readonly #flush = (): void => this.flush();
  #pending = '';

  constructor(sink: DestinationStream) {
    this.#sink = sink;
  }

  write(line: string): void {
    if (this.#pending === '') setImmediate(this.#flush);
    this.#pending += line;
    if (this.lastLevel >= WARN || this.#pending.length > MAX_PENDING_CHARACTERS) this.flush();
  }

  /** Writes what waits. */
  flush(): void {
    const lines = this.#pending;
    if (lines === '') return;
    this.#pending = '';
    this.#sink.write(lines);
  }
}
