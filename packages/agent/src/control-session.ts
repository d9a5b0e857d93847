import type { SecureContext } from 'node:tls';
import { ChannelError, connectEndpoint, ControlConnection, peerOf, type SessionStore } from '@sekisho/channel';
import { CONTROL_ALPN, type Message, PROTOCOL_VERSIONS, type RefusalCode, refusalCode } from '@sekisho/wire';
import type { LeaseOffer } from './lease-state.ts';
import type { ManagerFailure } from './manager-set.ts';

export interface ControlSessionInit {
  readonly address: string;
  readonly port: number;
  /** The name in the manager's certificate. */
  readonly managerName: string;
  /** For the connection, and for an answer. */
  readonly timeoutMs: number;
  readonly deadAfterMs: number;
}

/** What the manager at one address does. Nothing is called after close(). */
export interface ControlSessionHandler {
  /** The answer to a hello, or (push) sent by itself. */
  onLease(offer: LeaseOffer, push: boolean): void;
  onRefused(code: RefusalCode, text: string, retryAfterMs: number): void;
  /** The answer to a probe. */
  onAnswered(): void;
  /** Once; nothing follows. */
  onLost(cause: ManagerFailure, problem: string): void;
}

export type Hello = Omit<Message<'hello'>, 'id' | 'type'>;

/** Pings in deadAfterMs: three may be lost before the connection counts as dead. */
const PINGS = 3;
/** No question of ours has this id: a pong is a sign of life and nothing else. */
const PING_ID = 0;
/** A hello, and the next one if the first was slow; a probe's ping. */
const MAX_PENDING = 4;
/** A hello with 32 names has 2 KiB. */
const MAX_BUFFERED_BYTES = 64 * 1024;

type Accepted = 'lease' | 'refuse' | 'ping' | 'pong';

/** The control connection to one manager. */
export class ControlSession {
  readonly #init: ControlSessionInit;
  readonly #handler: ControlSessionHandler;
  readonly #abort = new AbortController();
  #connection: ControlConnection<Accepted> | undefined;
  #whenOpen: (() => void) | undefined;
  #site: string | undefined;
  #watch: NodeJS.Timeout | undefined;
  #heard = true;
  #silentTurns = 0;
  #isOver = false;

  constructor(
    components: {
      readonly context: SecureContext;
      /** Of the context; without it every handshake is a full one. */
      readonly sessions?: SessionStore | undefined;
      readonly handler: ControlSessionHandler;
    },
    init: ControlSessionInit,
  ) {
    this.#init = init;
    this.#handler = components.handler;
    void this.#connect(components);
  }

  /**
   * Asks for a lease, as soon as the connection is there.
   * @param namesOf the site whose relays `hello` names. Another one does not hear of them: its relays have the same names,
   *   and it would leave out its own because ours cannot be reached.
   */
  hello(hello: Hello, namesOf: string | undefined): void {
    this.#send(() => void this.#ask(namesOf === this.#site ? hello : withoutNames(hello)));
  }

  /** Asks for a sign of life. */
  probe(): void {
    this.#send(() => {
      this.#connection?.ask<'ping'>({ type: 'ping' }, this.#init.timeoutMs).then(
        () => !this.#isOver && this.#handler.onAnswered(),
        (error: unknown) => this.#failed(error),
      );
    });
  }

  /** Tells of a session that has ended; not repeated when the connection is not there. */
  bye(message: Message<'bye'>): void {
    this.#connection?.send(message);
  }

  /** Ends it; the handler hears nothing more. */
  close(): void {
    this.#isOver = true;
    clearInterval(this.#watch);
    this.#abort.abort();
    this.#connection?.close();
  }

  async #connect({ context, sessions }: { context: SecureContext; sessions?: SessionStore | undefined }): Promise<void> {
    const { address, port, managerName, timeoutMs } = this.#init;
    try {
      const socket = await connectEndpoint({
        host: address,
        port,
        context,
        sessions,
        alpn: CONTROL_ALPN,
        expect: { role: 'manager', serverName: managerName },
        timeoutMs,
        signal: this.#abort.signal,
      });
      const identity = peerOf(socket)?.identity;
      this.#site = identity?.kind === 'server' ? identity.site : undefined;
      socket.on('data', () => (this.#heard = true));
      this.#connection = new ControlConnection<Accepted>(
        socket,
        { accepts: ['lease', 'refuse', 'ping', 'pong'], maxPending: MAX_PENDING, maxBufferedBytes: MAX_BUFFERED_BYTES },
        { onMessage: (message) => this.#onMessage(message), onClose: (error) => this.#failed(error) },
      );
      if (this.#isOver) return this.#connection.close();
      this.#watch = setInterval(() => this.#check(), this.#init.deadAfterMs / (PINGS + 1));
      this.#whenOpen?.();
    } catch (error) {
      this.#failed(error);
    }
  }

  #send(action: () => void): void {
    if (this.#connection === undefined) this.#whenOpen = action;
    else action();
  }

  async #ask(hello: Hello): Promise<void> {
    try {
      const answer = await this.#connection?.ask<'hello'>({ type: 'hello', ...hello }, this.#init.timeoutMs);
      if (this.#isOver || answer === undefined) return;
      if (answer.type === 'lease') this.#onLease(answer);
      else if (answer.type === 'refuse') this.#onRefuse(answer);
      else this.#lose('protocol', `the manager answered a hello with ${answer.type}`);
    } catch (error) {
      this.#failed(error);
    }
  }

  #onMessage(message: Message<Accepted>): void {
    if (this.#isOver) return;
    if (message.type === 'ping') this.#connection?.send({ type: 'pong', id: message.id });
    else if (message.type === 'lease' && message.id === 0 && message.push === 1) this.#onLease(message);
    else if (message.type === 'refuse' && message.id === 0) this.#onRefuse(message);
    // Anything else answers a question that nobody waits for any more.
  }

  #onLease(lease: Message<'lease'>): void {
    if (!PROTOCOL_VERSIONS.includes(lease.version)) return this.#lose('protocol', 'a lease of a version that we do not speak');
    if (lease.relays.length === 0) return this.#lose('protocol', 'a lease without a relay');
    // A manager speaks for its own site: a stolen one leads nobody to another's relays.
    if (lease.site !== this.#site) return this.#lose('identity', 'a lease of another site than that of the certificate');
    const { site, manager, relays, reason, ttlMs, renewAfterMs, push } = lease;
    // A copy: the ticket is a view of what the socket delivered.
    const ticket = Buffer.from(lease.ticket);
    this.#handler.onLease({ site, manager, relays, ticket, reason, ttlMs, renewAfterMs }, push === 1);
  }

  #onRefuse({ code, text, retryAfterMs }: Message<'refuse'>): void {
    this.#handler.onRefused(refusalCode(code), text, retryAfterMs ?? 0);
  }

  #check(): void {
    this.#silentTurns = this.#heard ? 0 : this.#silentTurns + 1;
    this.#heard = false;
    if (this.#silentTurns >= PINGS) this.#lose('silent', `not a byte for ${this.#init.deadAfterMs} ms`);
    else this.#connection?.send({ type: 'ping', id: PING_ID });
  }

  #failed(error: unknown): void {
    if (!(error instanceof ChannelError)) throw error;
    this.#lose(FAILURE_OF[error.code], error.message);
  }

  #lose(cause: ManagerFailure, problem: string): void {
    if (this.#isOver) return;
    this.close();
    this.#handler.onLost(cause, problem);
  }
}

function withoutNames({ relay: _relay, ...hello }: Hello): Hello {
  return { ...hello, avoid: [] };
}

/** How the end of a connection is counted. */
export const FAILURE_OF = {
  TIMEOUT: 'silent',
  UNREACHABLE: 'unreachable',
  ABORTED: 'closed',
  TLS: 'tls',
  IDENTITY: 'identity',
  PROTOCOL: 'protocol',
  BUSY: 'silent',
  CLOSED: 'closed',
} as const satisfies Readonly<Record<ChannelError['code'], ManagerFailure>>;
