import type { Socket } from 'node:net';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';
import { HeldBytes } from './held-bytes.ts';
import { resetSocket } from './reset-socket.ts';

/** How a splice ended; its owner knows what a reset of the stream means: the peer's, or the end of the connection. */
export type SpliceEnd = 'completed' | 'stream_reset' | 'socket_reset';

export interface SpliceOwner {
  /** Bytes have passed. Called for every chunk: no allocation here. */
  onBytesToSocket(bytes: number): void;
  onBytesToStream(bytes: number): void;
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
 * A read of the connection brings up to four TLS records of 16 KiB. Written one by one, each costs a system call and wakes
 * the reader; from this size on they wait for the end of the turn (docs/performance.md has what it gave). Smaller ones
 * are commands and replies, which nothing would join in the same turn.
 */
const GATHER_FROM_BYTES = 4 * 1024;
let gathering: Splice[] = [];

function gather(splice: Splice): void {
  if (gathering.push(splice) === 1) setImmediate(writeAllGathered);
}

function writeAllGathered(): void {
  const splices = gathering;
  gathering = [];
  for (const splice of splices) splice.writeGathered();
}

/**
 * The bytes of one session, between its stream and a socket: the destination's at a relay, the client's at an agent.
 *
 * - Back-pressure to the socket: what the kernel does not take at once is held here, within the stream's window, and the
 *   window is given back when the write is done.
 * - Back-pressure to the stream: the socket is paused while the stream has bytes queued.
 * - FIN is passed on as FIN after everything before it, in both directions. A reset, an error and a deadline are passed
 *   on as resets: a DATA that was cut off must never look like one that ended.
 */
export class Splice implements MuxStreamHandler {
  readonly #stream: MuxStream;
  readonly #socket: SplicedSocket;
  readonly #owner: SpliceOwner;
  /** The kernel took less than it was given: everything waits for the socket's drain. */
  #isBlocked = false;
  /** Large chunks of this turn wait for its end, to be written together. */
  #isGathering = false;
  #held: HeldBytes | undefined;
  /** Received, and not yet given back to the stream's window. */
  #uncreditedBytes = 0;
  #onMark: ((error?: Error | null) => void) | undefined;

  #streamEnded = false;
  #socketEnded = false;
  /** Our FIN is on the stream. */
  #finSent = false;
  #socketClosed = false;
  /** The socket ended properly and broke off afterwards: what the stream still brings goes nowhere. */
  #isDiscarding = false;
  #isOver = false;

  constructor(components: { readonly stream: MuxStream; readonly socket: Socket; readonly owner: SpliceOwner }) {
    this.#stream = components.stream;
    this.#socket = components.socket;
    this.#owner = components.owner;
  }

  /** Takes over stream and socket. `early` came from the stream before and has not been given back to its window yet. */
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
    resetSocket(this.#socket);
  }

  onAck(): void {}

  onData(chunk: Buffer): void {
    const { length } = chunk;
    this.#uncreditedBytes += length;
    this.#owner.onBytesToSocket(length);
    if (this.#isBlocked || this.#isGathering) return this.#hold(chunk);
    if (this.#isDiscarding) return this.#credit();
    if (length < GATHER_FROM_BYTES) return this.#afterWrite(this.#socket.write(chunk));
    this.#isGathering = true;
    this.#hold(chunk);
    gather(this);
  }

  /** What was gathered in this turn goes out in one write. */
  writeGathered(): void {
    this.#isGathering = false;
    const held = this.#held;
    if (this.#isOver || this.#isDiscarding || held === undefined) return;
    this.#writeHeld(held.take());
    if (this.#streamEnded && !this.#isBlocked) this.#socket.end();
  }

  onEnd(): void {
    this.#streamEnded = true;
    this.#owner.onHalfClosed();
    if (!this.#isBlocked && !this.#isGathering && !this.#isDiscarding) this.#socket.end();
    this.#checkEnd();
  }

  onReset(): void {
    resetSocket(this.#socket);
    this.#end('stream_reset');
  }

  onDrain(): void {
    if (this.#socketEnded) this.#endStream();
    else this.#socket.resume();
  }

  #hold(chunk: Buffer): void {
    this.#held ??= new HeldBytes();
    this.#held.push(chunk);
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

  // A socket that is being reset may still speak: nobody listens.
  takeSocketData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#owner.onBytesToStream(chunk.length);
    if (!this.#stream.write(chunk)) this.#socket.pause();
  }

  takeSocketEnd(): void {
    if (this.#isOver) return;
    this.#socketEnded = true;
    this.#owner.onHalfClosed();
    // Not before the queue is empty: a stream that has ended says no more when it is done.
    if (this.#stream.queuedBytes === 0) this.#endStream();
  }

  takeSocketDrain(): void {
    if (!this.#isBlocked || this.#socket.writableLength > 0) return;
    this.#isBlocked = false;
    this.#credit();
    const held = this.#held;
    if (held !== undefined && held.bytes > 0) this.#writeHeld(held.take());
    if (this.#streamEnded && !this.#isBlocked) this.#socket.end();
  }

  takeSocketError(): void {
    if (this.#isOver) return;
    // Its last words, a 421 perhaps, are with the stream already and must reach the other end.
    if (this.#socketEnded) {
      this.#discard();
      return;
    }
    this.#stream.reset();
    this.#end('socket_reset');
  }

  takeSocketClose(): void {
    this.#socketClosed = true;
    if (!this.#isOver && !this.#socketEnded) return this.takeSocketError();
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
    // What else comes in this turn is not to wait for a write that will not be: its credit would be lost.
    this.#isGathering = false;
    this.#held = undefined;
    this.#credit();
    this.#checkEnd();
  }

  #endStream(): void {
    this.#finSent = true;
    this.#stream.end();
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (!this.#streamEnded || !this.#finSent) return;
    if (this.#isDiscarding) this.#end('socket_reset');
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
