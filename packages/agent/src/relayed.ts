import type { Socket } from 'node:net';
import { Splice, type SpliceEnd, type SpliceOwner } from '@sekisho/channel';
import type { MuxStream } from '@sekisho/wire';

/** How a session ended, as far as its two legs show it. */
export type ConnectionEnd = 'completed' | 'client_aborted' | 'destination_aborted';

/** A client's connection through a relay, once that has reached the destination. */
export class RelayedConnection implements SpliceOwner {
  bytesUp = 0;
  bytesDown = 0;
  readonly #client: Socket;
  readonly #stream: MuxStream;
  readonly #splice: Splice;
  readonly #onEnded: (end: ConnectionEnd) => void;

  constructor(components: { readonly client: Socket; readonly stream: MuxStream; readonly onEnded: (end: ConnectionEnd) => void }) {
    this.#client = components.client;
    this.#stream = components.stream;
    this.#onEnded = components.onEnded;
    this.#splice = new Splice({ stream: components.stream, socket: components.client, owner: this });
  }

  /** @param rest what the destination has said before */
  start(rest: Buffer): void {
    if (this.#client.destroyed) {
      // Its 'close' was heard by nobody.
      this.#stream.reset();
      this.#onEnded('client_aborted');
      return;
    }
    this.#splice.start(rest.length > 0 ? [rest] : []);
    this.#client.resume();
  }

  /** Ends both sides at once; onEnded is not called. */
  abort(): void {
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
    if (end === 'completed') this.#onEnded('completed');
    else this.#onEnded(end === 'socket_reset' ? 'client_aborted' : 'destination_aborted');
  }
}
