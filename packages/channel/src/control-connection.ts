import type { TLSSocket } from 'node:tls';
import { encodeFrame, FrameReader, type Message, type MessageName, REFUSALS, WireError } from '@sekisho/wire';
import { ChannelError } from './channel-error.ts';

/** Messages that answer another one by its id. */
type Answer = Extract<MessageName, 'welcome' | 'lease' | 'refuse' | 'grant' | 'pong'>;
type Question = Extract<MessageName, 'hello' | 'authorize' | 'ping'>;

const LINGER_MS = 1000;
/** So much goes out before the turn's end: what the system would take at once is not to count as what a peer leaves unread. */
const MAX_BATCH_BYTES = 64 * 1024;
// How most connections end. Made once: a stack that nobody looks at costs 20 us.
const ENDED_BY_PEER = new ChannelError('CLOSED', 'the peer closed the connection');
const ENDED = new ChannelError('CLOSED', 'the connection ended');

export interface ControlInit<N extends MessageName> {
  /** The message types this end accepts; any other is a violation. */
  readonly accepts: readonly N[];
  /** Questions of ours that may wait for an answer at once. */
  readonly maxPending: number;
  /** Bytes that may wait in our socket; a peer that asks and does not read its answers is cut off. */
  readonly maxBufferedBytes: number;
  /**
   * What is sent in one turn of the event loop goes out at its end, in one TLS record and one system call: for a
   * connection that carries the questions of many.
   */
  readonly isBatched?: boolean;
}

export interface ControlHandler<N extends MessageName> {
  /** A message that is no answer to a question of ours. An answer that comes after its time-out is dropped. */
  onMessage(message: Message<N>): void;
  /** Once, whoever ended it and why. */
  onClose(error: ChannelError): void;
}

interface Pending {
  readonly resolve: (message: Message<Answer>) => void;
  readonly reject: (error: ChannelError) => void;
  readonly timer: NodeJS.Timeout;
}

/** The control channel over one TLS connection: frames out, frames in, answers matched to questions by id. */
export class ControlConnection<N extends MessageName> {
  readonly socket: TLSSocket;
  readonly #init: ControlInit<N>;
  readonly #handler: ControlHandler<N>;
  readonly #reader: FrameReader<N>;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed: ChannelError | undefined;
  /** Frames of this turn, if they are sent in batches. */
  #held: Buffer[] = [];
  #heldBytes = 0;

  constructor(socket: TLSSocket, init: ControlInit<N>, handler: ControlHandler<N>) {
    this.socket = socket;
    this.#init = init;
    this.#handler = handler;
    this.#reader = new FrameReader(init.accepts);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.close(ENDED_BY_PEER));
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(new ChannelError('CLOSED', error.code ?? error.message)));
    socket.on('close', () => this.close(ENDED));
    // It ended before anybody listened: nothing else will say so.
    if (socket.destroyed) process.nextTick(() => this.close(ENDED));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * Sends a message; does nothing on a closed connection.
   * @throws WireError when a field is out of bounds
   */
  send<M extends MessageName>(message: Message<M>): void {
    if (this.#closed === undefined) this.#write(encodeFrame(message));
  }

  /**
   * Asks and waits for the answer with the same id; the id is set here.
   * @throws ChannelError TIMEOUT, BUSY (maxPending) or why the connection ended; WireError when a field is out of bounds
   */
  ask<Q extends Question>(question: Omit<Message<Q>, 'id'>, timeoutMs: number): Promise<Message<Answer>> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#pending.size >= this.#init.maxPending)
      return Promise.reject(new ChannelError('BUSY', `${this.#pending.size} questions already wait`));
    const id = this.#nextId;
    // Before anything is noted down, because a field out of bounds throws here.
    const frame = encodeFrame({ ...question, id } as unknown as Message<Q>);
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1;
    const { promise, resolve, reject } = Promise.withResolvers<Message<Answer>>();
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new ChannelError('TIMEOUT', `no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    this.#pending.set(id, { resolve, reject, timer });
    this.#write(frame);
    return promise;
  }

  /** Ends the connection after what is written; every open question fails with `error`. */
  close(error: ChannelError = new ChannelError('CLOSED', 'closed')): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#flush();
    this.socket.end();
    // A peer that does not read must not keep what we still had to say in memory.
    const linger = setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    this.socket.once('close', () => clearTimeout(linger));
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
    this.#handler.onClose(error);
  }

  #onData(chunk: Buffer): void {
    let rest = chunk;
    // One at a time: what a message brought about, the end of the connection for one, comes before the next is read.
    while (this.#closed === undefined) {
      const next = this.#read(rest);
      if (next === undefined) return;
      this.#deliver(next.message);
      rest = next.rest;
    }
  }

  #read(bytes: Buffer): { message: Message<N>; rest: Buffer } | undefined {
    try {
      return this.#reader.pushOne(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.send({ type: 'refuse', id: 0, code: REFUSALS.PROTOCOL.number, text: error.message });
      this.close(new ChannelError('PROTOCOL', error.message));
      return undefined;
    }
  }

  #deliver(message: Message<N>): void {
    const answer = answerIn(message as unknown as Message);
    // Id 0 is of no question: a push, or a refusal before anything was asked.
    if (answer === undefined || answer.id === 0) return this.#handler.onMessage(message);
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return; // too late
    this.#pending.delete(answer.id);
    clearTimeout(pending.timer);
    pending.resolve(answer);
  }

  #write(frame: Buffer): void {
    if (this.#init.isBatched === true) this.#hold(frame);
    else this.socket.write(frame);
    const waiting = this.socket.writableLength + this.#heldBytes;
    if (waiting > this.#init.maxBufferedBytes)
      this.close(new ChannelError('BUSY', `the peer does not read: ${waiting} bytes wait`));
  }

  #hold(frame: Buffer): void {
    if (this.#held.length === 0) setImmediate(() => this.#flush());
    this.#held.push(frame);
    this.#heldBytes += frame.length;
    if (this.#heldBytes >= MAX_BATCH_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#held.length === 0) return;
    const batch = Buffer.concat(this.#held, this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    this.socket.write(batch);
  }
}

function answerIn(message: Message): Message<Answer> | undefined {
  switch (message.type) {
    case 'welcome':
    case 'lease':
    case 'refuse':
    case 'grant':
    case 'pong':
      return message;
    default:
      return undefined;
  }
}
