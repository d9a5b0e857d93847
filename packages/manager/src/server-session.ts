import { ChannelError, ControlConnection } from '@sekisho/channel';
import { chooseVersion, type Message, PROTOCOL_VERSIONS, Refusal, REFUSALS } from '@sekisho/wire';
import type { TLSSocket } from 'node:tls';
import { Allowance } from './allowance.ts';
import { HELLOS_PER_SECOND } from './settings.ts';

type FromServer = 'hello' | 'ping' | 'pong' | 'refuse';

export interface ServerSessionComponents {
  readonly clock: { now(): number };
  /** The answer to a hello. Throws Refusal. */
  welcome(answer: { readonly id: number; readonly version: number }): Message<'welcome'>;
  onClose(error: ChannelError): void;
}

const MAX_BUFFERED_BYTES = 16 * 1024;
/** Hellos and pings at once; a server that watches says one a second. */
const MESSAGES_BURST = 20;

/** The manager's end of a connection from another server of the mesh: it is told who this is, and how late; never a lease. */
export class ServerSession {
  /** Site and role of its certificate. */
  readonly who: string;
  readonly address: string;
  readonly #components: ServerSessionComponents;
  readonly #connection: ControlConnection<FromServer>;
  readonly #messages: Allowance;
  #isWelcome = false;

  /** Sweeps since something was heard, or since the beginning from one that says no hello. */
  silentSweeps = 0;

  constructor(socket: TLSSocket, components: ServerSessionComponents, init: { readonly who: string; readonly address: string }) {
    this.who = init.who;
    this.address = init.address;
    this.#components = components;
    this.#messages = new Allowance({ perSecond: HELLOS_PER_SECOND, burst: MESSAGES_BURST, nowMs: components.clock.now() });
    this.#connection = new ControlConnection<FromServer>(
      socket,
      { accepts: ['hello', 'ping', 'pong', 'refuse'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES },
      { onMessage: (message) => this.#onMessage(message), onClose: (error) => components.onClose(error) },
    );
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  close(error: ChannelError): void {
    this.#connection.close(error);
  }

  #onMessage(message: Message<FromServer>): void {
    if (this.#isWelcome) this.silentSweeps = 0;
    if (this.#messages.take(this.#components.clock.now()) > 0)
      return this.close(new ChannelError('BUSY', 'more messages than a server has reason to send'));
    if (message.type === 'ping') this.#connection.send({ type: 'pong', id: message.id });
    if (message.type === 'hello') this.#onHello(message);
  }

  #onHello({ id, versions }: Message<'hello'>): void {
    try {
      const version = chooseVersion(versions, PROTOCOL_VERSIONS);
      if (version === undefined) throw new Refusal('VERSION', 'this manager speaks none of these versions');
      this.#connection.send(this.#components.welcome({ id, version }));
      this.#isWelcome = true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { code, message, temporary } = error;
      const ours = code === 'VERSION' ? { versions: Buffer.from(PROTOCOL_VERSIONS) } : {};
      this.#connection.send({ type: 'refuse', id, code: REFUSALS[code].number, text: message, ...ours });
      if (!temporary) this.close(new ChannelError('CLOSED', `refused: ${code}`));
    }
  }
}
