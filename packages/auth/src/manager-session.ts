import { ChannelError, ControlConnection, type WelcomeInit, welcomeMessage } from '@sekisho/channel';
import type { TLSSocket } from 'node:tls';
import { chooseVersion, type Message, PROTOCOL_VERSIONS, Refusal, type RefusalCode, REFUSALS } from '@sekisho/wire';

type FromManager = 'hello' | 'authorize' | 'ping' | 'refuse';

export interface ManagerSessionComponents {
  /** Grants or throws Refusal. */
  authorize(question: Message<'authorize'>): { readonly ticket: Buffer; readonly ttlMs: number };
  onClose(error: ChannelError): void;
}

/** Answers to a manager that does not read them; about 500 grants. */
const MAX_BUFFERED_BYTES = 1024 * 1024;

/** Auth's end of a connection from a manager: hello and welcome, then an answer to each authorize. */
export class ManagerSession {
  readonly #components: ManagerSessionComponents;
  readonly #init: WelcomeInit;
  readonly #connection: ControlConnection<FromManager>;
  #welcomed = false;
  /** Set to false by the sweep that looks for the silent. */
  heard = true;

  constructor(socket: TLSSocket, components: ManagerSessionComponents, init: WelcomeInit) {
    this.#components = components;
    this.#init = init;
    this.#connection = new ControlConnection<FromManager>(
      socket,
      { accepts: ['hello', 'authorize', 'ping', 'refuse'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES, isBatched: true },
      { onMessage: (message) => this.#onMessage(message), onClose: (error) => components.onClose(error) },
    );
  }

  close(error: ChannelError): void {
    this.#connection.close(error);
  }

  /** Says why and closes. */
  refuse(code: RefusalCode, text: string, error: ChannelError): void {
    this.#connection.send({ type: 'refuse', id: 0, code: REFUSALS[code].number, text });
    this.#connection.close(error);
  }

  #onMessage(message: Message<FromManager>): void {
    this.heard = true;
    if (message.type === 'ping') return this.#connection.send({ type: 'pong', id: message.id });
    if (message.type === 'hello') return this.#welcome(message);
    if (message.type === 'authorize') return this.#answer(message);
  }

  #welcome({ id, versions }: Message<'hello'>): void {
    const version = chooseVersion(versions, PROTOCOL_VERSIONS);
    if (version === undefined) {
      const { number } = REFUSALS.VERSION;
      this.#connection.send({
        type: 'refuse',
        id,
        code: number,
        text: 'no common version',
        versions: Buffer.from(PROTOCOL_VERSIONS),
      });
      this.#connection.close(new ChannelError('PROTOCOL', 'no common version'));
      return;
    }
    this.#welcomed = true;
    this.#connection.send(welcomeMessage(this.#init, { id, version }));
  }

  #answer(question: Message<'authorize'>): void {
    const { id } = question;
    if (!this.#welcomed) {
      this.#connection.send({ type: 'refuse', id, code: REFUSALS.PROTOCOL.number, text: 'hello comes first' });
      this.#connection.close(new ChannelError('PROTOCOL', 'authorize before hello'));
      return;
    }
    try {
      const { ticket, ttlMs } = this.#components.authorize(question);
      this.#connection.send({ type: 'grant', id, ticket, ttlMs });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message, retryAfterMs } = error;
      this.#connection.send({
        type: 'refuse',
        id,
        code: REFUSALS[code].number,
        text: message,
        ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
      });
    }
  }
}
