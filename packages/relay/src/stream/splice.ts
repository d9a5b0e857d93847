import type { Socket } from 'node:net';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';
import { HeldBytes } from './held-bytes.ts';

/** How a splice ended; its owner knows whether a reset was the client's or the connection's. */
export type SpliceEnd = 'completed' | 'client_reset' | 'server_reset';

export interface SpliceOwner {
  /** Bytes have passed. Called for every chunk: no allocation here. */
  onBytesUp(bytes: number): void;
  onBytesDown(bytes: number): void;
  /** One side has ended, the other goes on. */
  onHalfClosed(): void;
  /** Once; stream and socket are closed. */
  onSpliceEnd(end: SpliceEnd): void;
}

/** A splice finds itself from the socket's events without a closure for each of them. */
const SPLICE = Symbol('splice');
type SplicedSocket = Socket & { [SPLICE]?: Splice };

const NOTHING = Buffer.alloc(0);

/**
 * The bytes of one session, between the stream of a device and the socket of a destination.
 *
 * - Back-pressure up: what the kernel does not take at once is held here, within the stream's window, and the window is
 *   given back when the destination's write is done.
 * - Back-pressure down: the socket is paused while the stream has bytes queued.
 * - FIN is passed on as FIN after everything before it, in both directions. A reset, an error and a deadline are passed
 *   on as resets: a DATA that was cut off must never look like one that ended.
 */
export class Splice implements MuxStreamHandler {
  readonly #stream: MuxStream;
  readonly #socket: SplicedSocket;
  readonly #owner: SpliceOwner;
  /** The kernel took less than it was given: everything waits for the socket's drain. */
  #isBlocked = false;
  #held: HeldBytes | undefined;
  /** Received, and not yet given back to the stream's window. */
  #uncreditedBytes = 0;
  #onMark: ((error?: Error | null) => void) | undefined;

  #clientEnded = false;
  #serverEnded = false;
  /** FIN was sent to the client. */
  #downEnded = false;
  #socketClosed = false;
  /** The destination ended properly and broke off afterwards: what the client still says goes nowhere. */
  #isDiscarding = false;
  #isOver = false;

  constructor(components: { readonly stream: MuxStream; readonly socket: Socket; readonly owner: SpliceOwner }) {
    this.#stream = components.stream;
    this.#socket = components.socket;
    this.#owner = components.owner;
  }

  /** Takes over stream and socket. `early` came before the destination was there and has not been given back yet. */
  start(early: readonly Buffer[]): void {
    const socket = this.#socket;
    this.#stream.handler = this;
    socket[SPLICE] = this;
    socket.on('data', onSocketData);
    socket.on('end', onSocketEnd);
    socket.on('drain', onSocketDrain);
    socket.on('error', onSocketError);
    socket.on('close', onSocketClose);
    for (const chunk of early) this.onData(chunk);
  }

  /** Ends both sides with resets; the owner hears nothing. */
  abort(): void {
    this.#isOver = true;
    this.#stream.reset();
    this.#socket.resetAndDestroy();
  }

  onAck(): void {}

  onData(chunk: Buffer): void {
    const { length } = chunk;
    this.#uncreditedBytes += length;
    this.#owner.onBytesUp(length);
    if (this.#isBlocked) {
      this.#held ??= new HeldBytes();
      this.#held.push(chunk);
      return;
    }
    if (this.#isDiscarding) return this.#credit();
    this.#afterWrite(this.#socket.write(chunk));
  }

  onEnd(): void {
    this.#clientEnded = true;
    this.#owner.onHalfClosed();
    if (!this.#isBlocked && !this.#isDiscarding) this.#socket.end();
    this.#checkEnd();
  }

  onReset(): void {
    this.#socket.resetAndDestroy();
    this.#end('client_reset');
  }

  onDrain(): void {
    if (this.#serverEnded) this.#endDown();
    else this.#socket.resume();
  }

  /** @param belowMark what socket.write() said: false means that 'drain' will follow */
  #afterWrite(belowMark: boolean): void {
    if (this.#socket.writableLength === 0) return this.#credit();
    this.#isBlocked = true;
    if (!belowMark) return;
    // Something is left, and not enough for a 'drain'.
    this.#onMark ??= (error) => {
      if (!error) this.takeSocketDrain();
    };
    this.#socket.write(NOTHING, this.#onMark);
  }

  #credit(): void {
    const bytes = this.#uncreditedBytes - (this.#held?.bytes ?? 0);
    this.#uncreditedBytes -= bytes;
    this.#stream.consumed(bytes);
  }

  takeSocketData(chunk: Buffer): void {
    this.#owner.onBytesDown(chunk.length);
    if (!this.#stream.write(chunk)) this.#socket.pause();
  }

  takeSocketEnd(): void {
    this.#serverEnded = true;
    this.#owner.onHalfClosed();
    // Not before the queue is empty: a stream that has ended says no more when it is done.
    if (this.#stream.queuedBytes === 0) this.#endDown();
  }

  takeSocketDrain(): void {
    if (!this.#isBlocked || this.#socket.writableLength > 0) return;
    this.#isBlocked = false;
    this.#credit();
    const held = this.#held;
    if (held !== undefined && held.bytes > 0) this.#writeHeld(held.take());
    if (this.#clientEnded && !this.#isBlocked) this.#socket.end();
  }

  takeSocketError(): void {
    if (this.#isOver) return;
    // Its last words, a 421 perhaps, are with the stream already and must reach the client.
    if (this.#serverEnded) {
      this.#discard();
      return;
    }
    this.#stream.reset();
    this.#end('server_reset');
  }

  takeSocketClose(): void {
    this.#socketClosed = true;
    if (!this.#isOver && !this.#serverEnded) return this.takeSocketError();
    this.#checkEnd();
  }

  #writeHeld(chunks: readonly Buffer[]): void {
    const socket = this.#socket;
    let belowMark = true;
    socket.cork();
    for (const chunk of chunks) belowMark = socket.write(chunk);
    socket.uncork();
    this.#afterWrite(belowMark);
  }

  #discard(): void {
    this.#isDiscarding = true;
    this.#isBlocked = false;
    this.#held = undefined;
    this.#credit();
    this.#checkEnd();
  }

  #endDown(): void {
    this.#downEnded = true;
    this.#stream.end();
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (!this.#clientEnded || !this.#downEnded) return;
    if (this.#isDiscarding) this.#end('server_reset');
    else if (this.#socketClosed) this.#end('completed');
  }

  #end(end: SpliceEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onSpliceEnd(end);
  }
}

function onSocketData(this: SplicedSocket, chunk: Buffer): void {
  this[SPLICE]?.takeSocketData(chunk);
}

function onSocketEnd(this: SplicedSocket): void {
  this[SPLICE]?.takeSocketEnd();
}

function onSocketDrain(this: SplicedSocket): void {
  this[SPLICE]?.takeSocketDrain();
}

function onSocketError(this: SplicedSocket): void {
  this[SPLICE]?.takeSocketError();
}

function onSocketClose(this: SplicedSocket): void {
  this[SPLICE]?.takeSocketClose();
}
