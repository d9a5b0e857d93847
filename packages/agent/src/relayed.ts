import type { Socket } from 'node:net';
import { Splice, type SpliceEnd, type SpliceOwner } from '@sekisho/channel';
import type { MuxStream } from '@sekisho/wire';

/** How a session ended, as far as its two legs show it. */
export type ConnectionEnd = 'completed' | 'client_aborted' | 'destination_aborted';

/** Looks within the idle time: whoever moves no byte in all of them, and one more, is idle. */
const IDLE_CHECKS = 20;

/** A client's connection through a relay, once that has reached the destination. */
export class RelayedConnection implements SpliceOwner {
  bytesUp = 0;
  bytesDown = 0;
  readonly #client: Socket;
  readonly #stream: MuxStream;
  readonly #splice: Splice;
  readonly #onEnded: (end: ConnectionEnd) => void;
  readonly #idleMs: number;
  #idleTimer: NodeJS.Timeout | undefined;
  #bytesSeen = 0;
  #idleChecks = 0;

  constructor(
    components: { readonly client: Socket; readonly stream: MuxStream; readonly onEnded: (end: ConnectionEnd) => void },
    init: {
      /** The relay's deadline for a session in which no byte moves. */
      readonly idleMs: number;
    },
  ) {
    this.#client = components.client;
    this.#stream = components.stream;
    this.#onEnded = components.onEnded;
    this.#splice = new Splice({ stream: components.stream, socket: components.client, owner: this });
    this.#idleMs = init.idleMs;
  }

  /** @param rest what the destination has said before */
  start(rest: Buffer): void {
    if (this.#client.destroyed) {
      // Its 'close' was heard by nobody.
      this.#stream.reset();
      this.#onEnded('client_aborted');
      return;
    }
    this.#idleTimer = setInterval(() => this.#checkIdle(), this.#idleMs / IDLE_CHECKS);
    this.#splice.start(rest.length > 0 ? [rest] : []);
    this.#client.resume();
  }

  /** Ends both sides at once; onEnded is not called. */
  abort(): void {
    clearInterval(this.#idleTimer);
    this.#splice.abort();
  }

  onBytesToStream(bytes: number): void {
    this.bytesUp += bytes;
  }

  onBytesToSocket(bytes: number): void {
    this.bytesDown += bytes;
  }

  onHalfClosed(): void {}

  onSpliceEnd(end: SpliceEnd): void {
    clearInterval(this.#idleTimer);
    if (end === 'completed') this.#onEnded('completed');
    else this.#onEnded(end === 'socket_reset' ? 'client_aborted' : 'destination_aborted');
  }

  /**
   * The relay ends an idle session; this is for one that does not, and so a twentieth to a tenth of the time later. No timer
   * is touched when bytes pass: they are counted anyway.
   */
  #checkIdle(): void {
    const bytes = this.bytesUp + this.bytesDown;
    this.#idleChecks = bytes === this.#bytesSeen ? this.#idleChecks + 1 : 0;
    this.#bytesSeen = bytes;
    if (this.#idleChecks <= IDLE_CHECKS) return;
    this.abort();
    this.#onEnded('destination_aborted');
  }
}
