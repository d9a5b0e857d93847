import type { Socket } from 'node:net';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';

/** How a session ended, as far as the two legs show it. */
export type PumpEnd = 'completed' | 'client_aborted' | 'destination_aborted';

/**
 * Moves bytes between a client's socket and a stream of a relay: no copies, no stream objects between. The client's
 * writes are slowed by the stream's window, the relay's by the socket's buffer, half-close passes in both directions,
 * and an abort stays an abort: a message that was cut off must not look complete.
 */
export class StreamPump implements MuxStreamHandler {
  bytesUp = 0;
  bytesDown = 0;
  readonly #client: Socket;
  readonly #stream: MuxStream;
  readonly #onEnded: (end: PumpEnd) => void;
  /** Received from the relay and not yet given back to its window: what waits in the client's socket. */
  #owedBytes = 0;
  #clientEnded = false;
  #destinationEnded = false;
  #isOver = false;

  constructor(components: { readonly client: Socket; readonly stream: MuxStream; readonly onEnded: (end: PumpEnd) => void }) {
    this.#client = components.client;
    this.#stream = components.stream;
    this.#onEnded = components.onEnded;
  }

  /** @param rest what the destination has said before */
  start(rest: Buffer): void {
    const client = this.#client;
    const stream = this.#stream;
    stream.handler = this;
    client.on('data', (chunk: Buffer) => {
      this.bytesUp += chunk.length;
      if (!stream.write(chunk)) client.pause();
    });
    client.on('end', () => {
      this.#clientEnded = true;
      stream.end();
    });
    client.on('drain', () => this.#settle());
    client.on('close', () => this.#finish(this.#clientEnded && this.#destinationEnded ? 'completed' : 'client_aborted'));
    if (client.destroyed) return this.#finish('client_aborted');
    if (rest.length > 0) this.onData(rest);
    client.resume();
  }

  onAck(): void {}

  onData(chunk: Buffer): void {
    this.bytesDown += chunk.length;
    this.#owedBytes += chunk.length;
    this.#client.write(chunk);
    this.#settle();
  }

  onEnd(): void {
    this.#destinationEnded = true;
    this.#client.end();
  }

  onReset(): void {
    this.#finish('destination_aborted');
    this.#client.resetAndDestroy();
  }

  onDrain(): void {
    this.#client.resume();
  }

  /** Ends both sides at once. */
  abort(): void {
    this.#stream.reset();
    this.onReset();
  }

  /** Gives back what has left the socket's buffer; without a callback for each write. */
  #settle(): void {
    const sentBytes = this.#owedBytes - this.#client.writableLength;
    if (sentBytes <= 0) return;
    this.#owedBytes -= sentBytes;
    this.#stream.consumed(sentBytes);
  }

  #finish(end: PumpEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // What the client said before it ended may still wait for the stream's window.
    if (end !== 'completed') this.#stream.reset();
    this.#onEnded(end);
  }
}
