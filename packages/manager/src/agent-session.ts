import { ChannelError, ControlConnection, type Peer } from '@sekisho/channel';
import type { TLSSocket } from 'node:tls';
import { type Message, PROTOCOL_VERSIONS, type Refusal, REFUSALS } from '@sekisho/wire';
import { Allowance } from './allowance.ts';

type FromAgent = 'hello' | 'ping' | 'pong' | 'bye' | 'refuse';

/** What is kept of the last grant, for a push: the ticket is good at every relay of the table. */
export interface HeldTicket {
  readonly ticket: Buffer;
  /** By the manager's clock. */
  readonly expiresAtMs: number;
}

export interface AgentSessionComponents {
  readonly clock: { now(): number };
  /** A hello within the limits. */
  onHello(agent: AgentSession, hello: Message<'hello'>): void;
  /** A hello that came too soon; it has been refused. */
  onLimited(): void;
  onBye(agent: AgentSession, bye: Message<'bye'>): void;
  onClose(agent: AgentSession, error: ChannelError): void;
}

/** A lease of a large site has 4 KiB: what an agent leaves unread stays small. */
const MAX_BUFFERED_BYTES = 64 * 1024;
/** Hellos that wait for auth at once. */
const MAX_HELLOS_WAITING = 4;
const HELLO_BURST = 4;
/** Refused for coming too often, and still coming. */
const MAX_HELLOS_REFUSED = 100;
/** Pings and byes: a busy office ends many mails in a second, but not for long. */
const MESSAGES_PER_SECOND = 100;
const MESSAGES_BURST = 1000;

/** The manager's end of a connection from an agent. Without timers of its own: a site has thousands. */
export class AgentSession {
  readonly peer: Peer;
  readonly address: string;
  readonly #components: AgentSessionComponents;
  readonly #connection: ControlConnection<FromAgent>;
  readonly #hellos: Allowance;
  readonly #messages: Allowance;
  #hellosRefused = 0;
  #hellosWaiting = 0;

  /** Sweeps since something was heard, or since the beginning from somebody whom neither CA nor auth has vouched for. */
  silentSweeps = 0;
  /** Of its first hello; another one on the same connection is a violation. */
  mac: Buffer | undefined;
  /** The first relay of its last lease. */
  relay: string | undefined;
  direct = false;
  held: HeldTicket | undefined;

  constructor(
    socket: TLSSocket,
    components: AgentSessionComponents,
    init: { readonly peer: Peer; readonly address: string; readonly hellosPerSecond: number },
  ) {
    this.peer = init.peer;
    this.address = init.address;
    this.#components = components;
    const nowMs = components.clock.now();
    const { hellosPerSecond } = init;
    this.#hellos = new Allowance({ perSecond: hellosPerSecond, burst: hellosPerSecond * HELLO_BURST, nowMs });
    this.#messages = new Allowance({ perSecond: MESSAGES_PER_SECOND, burst: MESSAGES_BURST, nowMs });
    this.#connection = new ControlConnection<FromAgent>(
      socket,
      { accepts: ['hello', 'ping', 'pong', 'bye', 'refuse'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES },
      { onMessage: (message) => this.#onMessage(message), onClose: (error) => components.onClose(this, error) },
    );
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  lease(lease: Message<'lease'>): void {
    this.#hellosWaiting = Math.max(0, this.#hellosWaiting - 1);
    this.#connection.send(lease);
  }

  push(lease: Message<'lease'>): void {
    this.#connection.send(lease);
  }

  /** Answers a hello, and closes unless the same may succeed later. */
  refuse(id: number, refusal: Refusal): void {
    this.#hellosWaiting = Math.max(0, this.#hellosWaiting - 1);
    const { code, message, retryAfterMs } = refusal;
    this.#connection.send({
      type: 'refuse',
      id,
      code: REFUSALS[code].number,
      text: message,
      ...(code === 'VERSION' ? { versions: Buffer.from(PROTOCOL_VERSIONS) } : {}),
      ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
    });
    if (!refusal.temporary) this.close(new ChannelError('CLOSED', `refused: ${code}`));
  }

  close(error: ChannelError): void {
    this.#connection.close(error);
  }

  #onMessage(message: Message<FromAgent>): void {
    // Whoever has proved nothing cannot keep his place among the agents by talking.
    if (this.peer.verified || this.held !== undefined) this.silentSweeps = 0;
    if (message.type === 'hello') return this.#onHello(message);
    if (this.#messages.take(this.#components.clock.now()) > 0)
      return this.close(new ChannelError('BUSY', 'more messages than an agent has reason to send'));
    if (message.type === 'ping') this.#connection.send({ type: 'pong', id: message.id });
    if (message.type === 'bye') this.#components.onBye(this, message);
  }

  #onHello(hello: Message<'hello'>): void {
    const waitMs = this.#hellos.take(this.#components.clock.now());
    if (waitMs === 0 && this.#hellosWaiting < MAX_HELLOS_WAITING) {
      this.#hellosWaiting += 1;
      this.#components.onHello(this, hello);
      return;
    }
    this.#hellosRefused += 1;
    this.#components.onLimited();
    if (this.#hellosRefused > MAX_HELLOS_REFUSED)
      return this.close(new ChannelError('BUSY', 'more hellos than an agent has reason to send'));
    this.#connection.send({
      type: 'refuse',
      id: hello.id,
      code: REFUSALS.RATE_LIMITED.number,
      text: 'too many hellos on one connection',
      retryAfterMs: Math.max(waitMs, 1),
    });
  }
}
