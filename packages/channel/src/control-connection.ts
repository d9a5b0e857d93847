import type { TLSSocket } from 'node:tls';
import { encodeFrame, FrameReader, type Message, type MessageName, WireError } from '@sekisho/wire';
import { ChannelError } from './channel-error.ts';

/** Messages that answer another one by its id. */
type Answer = Extract<MessageName, 'welcome' | 'lease' | 'refuse' | 'grant' | 'pong'>;
type Question = Extract<MessageName, 'hello' | 'authorize' | 'ping'>;

const LINGER_MS = 1000;

export interface ControlInit<N extends MessageName> {
  /** The message types this end accepts; any other is a violation. */
  readonly accepts: readonly N[];
  /** Questions of ours that may wait for an answer at once. */
  readonly maxPending: number;
  /** Bytes that may wait in our socket; a peer that asks and does not read its answers is cut off. */
  readonly maxBufferedBytes: number;
}

export interface ControlHandler<N extends MessageName> {
  /** A message that is no answer to a question of ours. */
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

  constructor(socket: TLSSocket, init: ControlInit<N>, handler: ControlHandler<N>) {
    this.socket = socket;
    this.#init = init;
    this.#handler = handler;
    this.#reader = new FrameReader(init.accepts);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.close(new ChannelError('CLOSED', 'the peer closed the connection')));
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(new ChannelError('CLOSED', error.code ?? error.message)));
    socket.on('close', () => this.close(new ChannelError('CLOSED', 'the connection ended')));
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Sends a message; does nothing on a closed connection. */
  send<M extends MessageName>(message: Message<M>): void {
    if (this.#closed !== undefined) return;
    this.socket.write(encodeFrame(message));
    if (this.socket.writableLength > this.#init.maxBufferedBytes)
      this.close(new ChannelError('BUSY', `the peer does not read: ${this.socket.writableLength} bytes wait`));
  }

  /**
   * Asks and waits for the answer with the same id; the id is set here.
   * @throws ChannelError TIMEOUT, BUSY (maxPending) or CLOSED
   */
  ask<Q extends Question>(question: Omit<Message<Q>, 'id'>, timeoutMs: number): Promise<Message<Answer>> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#pending.size >= this.#init.maxPending)
      return Promise.reject(new ChannelError('BUSY', `${this.#pending.size} questions already wait`));
    const id = this.#nextId;
    this.#nextId = id >= 0xffff_ffff ? 1 : id + 1;
    const { promise, resolve, reject } = Promise.withResolvers<Message<Answer>>();
    const timer = setTimeout(() => {
      this.#pending.delete(id);
      reject(new ChannelError('TIMEOUT', `no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    this.#pending.set(id, { resolve, reject, timer });
    this.send({ ...question, id } as unknown as Message<Q>);
    return promise;
  }

  /** Ends the connection after what is written; every open question fails with `error`. */
  close(error: ChannelError = new ChannelError('CLOSED', 'closed')): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.socket.end();
    // A peer that does not read must not keep what we still had to say in memory.
    setTimeout(() => this.socket.destroy(), LINGER_MS).unref();
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
    this.#handler.onClose(error);
  }

  #onData(chunk: Buffer): void {
    if (this.#closed !== undefined) return;
    try {
      for (const message of this.#reader.push(chunk)) this.#deliver(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.send({ type: 'refuse', id: 0, code: 2, text: error.message });
      this.close(new ChannelError('PROTOCOL', error.message));
    }
  }

  #deliver(message: Message<N>): void {
    const answer = answerIn(message as unknown as Message);
    const pending = answer === undefined ? undefined : this.#pending.get(answer.id);
    if (answer === undefined || pending === undefined) return this.#handler.onMessage(message);
    this.#pending.delete(answer.id);
    clearTimeout(pending.timer);
    pending.resolve(answer);
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
