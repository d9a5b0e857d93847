import type { TLSSocket } from 'node:tls';
import { Mux, type MuxError, type MuxStream } from '@sekisho/wire';
import { ChannelError } from './channel-error.ts';

export interface MuxConnectionInit {
  /** The agent is the client. */
  readonly role: 'client' | 'server';
  /** Receive window of a stream, at least 256 KiB; the most that a session can make its owner hold. */
  readonly windowBytes: number;
  readonly maxStreams: number;
  /** So long without a byte from the peer, pings included, and the connection is dead. */
  readonly deadAfterMs: number;
}

export interface MuxConnectionHandler {
  /** The peer opened a stream: give it a handler now. */
  onStream(stream: MuxStream): void;
  /** The peer wants no new streams; the open ones go on. */
  onGoAway(): void;
  /** A ping of the heartbeat was answered: the time there and back. */
  onPong?(roundTripMs: number): void;
  /** Once, whoever ended it. Every stream has been reset before. */
  onClose(error: ChannelError): void;
}

/** A data frame at most; larger chunks are cut, so that streams take turns. */
const MAX_FRAME_BYTES = 64 * 1024;
/** Checks within deadAfterMs. A peer that was silent in the last one is pinged; silent in three running, it is dead. */
const CHECKS = 4;
const LINGER_MS = 1000;

/**
 * Drives a yamux Mux over one TLS socket: one corked write a turn of the event loop, back-pressure of the socket handed
 * to the streams, and a heartbeat, since a line that is cut resets nothing.
 */
export class MuxConnection {
  readonly socket: TLSSocket;
  readonly #mux: Mux;
  readonly #handler: MuxConnectionHandler;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #flush = (): void => this.#mux.flush();
  #heard = true;
  #silentChecks = 0;
  #pings = 0;
  #pingedAtMs = 0;
  #closed = false;

  constructor(socket: TLSSocket, init: MuxConnectionInit, handler: MuxConnectionHandler) {
    this.socket = socket;
    this.#handler = handler;
    this.#mux = new Mux(
      { role: init.role, windowBytes: init.windowBytes, maxStreams: init.maxStreams, maxFrameBytes: MAX_FRAME_BYTES },
      {
        write: (buffers) => this.#write(buffers),
        // After the poll phase: what all sockets of this turn had to say goes out in one TLS record, not one each.
        scheduleFlush: () => void setImmediate(this.#flush),
        onStream: (stream) => handler.onStream(stream),
        onPong: (value) => {
          if (value === this.#pings) handler.onPong?.(performance.now() - this.#pingedAtMs);
        },
        onGoAway: () => handler.onGoAway(),
        onError: (error) => this.#violated(error),
      },
    );
    this.#heartbeat = setInterval(() => this.#check(), init.deadAfterMs / CHECKS);
    socket.on('data', (chunk: Buffer) => {
      this.#heard = true;
      this.#mux.receive(chunk);
    });
    socket.on('drain', () => this.#mux.setCongested(false));
    socket.on('end', () => this.close(new ChannelError('CLOSED', 'the peer closed the connection')));
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(new ChannelError('CLOSED', error.code ?? error.message)));
    socket.on('close', () => this.close(new ChannelError('CLOSED', 'the connection ended')));
    // It ended before anybody listened: nothing else will say so.
    if (socket.destroyed) process.nextTick(() => this.close(new ChannelError('CLOSED', 'the connection ended')));
  }

  get streamCount(): number {
    return this.#mux.streamCount;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Opens a stream; give it a handler before returning to the event loop.
   * @throws MuxError when the connection is closed or going away, or has too many streams
   */
  open(): MuxStream {
    return this.#mux.open();
  }

  /** Tells the peer to open no new streams. */
  goAway(): void {
    this.#mux.goAway(0);
  }

  /** Ends the connection now; every stream is reset. */
  close(error: ChannelError = new ChannelError('CLOSED', 'closed')): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#mux.flush();
    this.#mux.abort();
    this.socket.end();
    setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    this.#handler.onClose(error);
  }

  #write(buffers: Uint8Array[]): void {
    const { socket } = this;
    if (socket.destroyed || socket.writableEnded) return;
    let roomLeft = true;
    socket.cork();
    for (const buffer of buffers) roomLeft = socket.write(buffer);
    socket.uncork();
    if (!roomLeft) this.#mux.setCongested(true);
  }

  #violated(error: MuxError): void {
    this.close(new ChannelError('PROTOCOL', error.message));
  }

  #check(): void {
    if (this.#heard) {
      this.#heard = false;
      this.#silentChecks = 0;
      return;
    }
    this.#silentChecks += 1;
    if (this.#silentChecks >= CHECKS - 1) {
      this.close(new ChannelError('TIMEOUT', 'the peer is silent: the line or the server is gone'));
      return;
    }
    this.#pings = (this.#pings + 1) >>> 0;
    this.#pingedAtMs = performance.now();
    this.#mux.ping(this.#pings);
  }
}
