import { ChannelError, connectEndpoint, ControlConnection, type Expectation } from '@sekisho/channel';
import { CONTROL_ALPN, type Message, PROTOCOL_VERSIONS, refusalCode, type RelayReport } from '@sekisho/wire';
import type { SecureContext } from 'node:tls';

type FromServer = 'welcome' | 'refuse' | 'pong' | 'grant' | 'ping' | 'detection';

/** What a server says of itself in its welcome. */
export interface Introduction {
  readonly software: string;
  /** Unknown of a server of before it was told. */
  readonly config: string | undefined;
  /** Its clock minus ours, give or take half of the time that it took to ask. */
  readonly clockOffsetMs: number | undefined;
}

export interface SiteLinkComponents {
  /** At least 0 and below 1. */
  random(): number;
  /** Welcomed, and the name is the one in the table. */
  onUp(): void;
  /** After onUp, and again from time to time. */
  onWelcome?(introduction: Introduction): void;
  /** An answer to a ping. */
  onPong(report: RelayReport | undefined): void;
  /** A connection that could not be made or was lost, or a ping without answer; again each time. */
  onFailure(reason: string): void;
  /** For relays: a virus was found. To be answered once the site has it in its store. */
  onDetection?(detection: Message<'detection'>, note: () => void): void;
}

export interface SiteLinkInit {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly context: SecureContext;
  readonly expect: Expectation & { readonly site: string };
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Questions that may wait at once. */
  readonly maxPending: number;
}

/** TCP and TLS together: on a machine that is busy, the handshake takes longer than a ping. */
const CONNECT_TIMEOUT_MS = 2000;
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 2000;
/** Pings without answer, one after the other, until the connection is given up. */
const MAX_MISSED = 3;
/** Clocks drift while a connection lasts. */
const GREET_AGAIN_MS = 30_000;
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
const SOFTWARE = 'sekisho-manager';

/**
 * The manager's one connection to another server of its site, kept up as long as the manager runs: hello and welcome,
 * a ping each second, and after a loss a new attempt with a pause of at most 2 s.
 */
export class SiteLink {
  readonly #components: SiteLinkComponents;
  readonly #init: SiteLinkInit;
  #connection: ControlConnection<FromServer> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #abort = new AbortController();
  #backoffMs = FIRST_BACKOFF_MS;
  #missed = 0;
  #greetedAtMs = 0;
  #welcomed = false;
  #stopped = false;

  constructor(components: SiteLinkComponents, init: SiteLinkInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Connected and welcomed. */
  get up(): boolean {
    return this.#welcomed;
  }

  /** Up, and the last question was answered. */
  get trusted(): boolean {
    return this.#welcomed && this.#missed === 0;
  }

  /** Resolves when the first attempt has succeeded (with a first answer to a ping) or failed. */
  async start(): Promise<void> {
    await this.#connect();
  }

  /** @throws ChannelError TIMEOUT, BUSY or CLOSED */
  async authorize(question: Omit<Message<'authorize'>, 'id'>, timeoutMs: number): Promise<Message> {
    if (this.#connection === undefined || !this.#welcomed) throw new ChannelError('CLOSED', 'not connected');
    try {
      return await this.#connection.ask<'authorize'>(question, timeoutMs);
    } catch (error) {
      // Until its next pong the others are asked first.
      if (error instanceof ChannelError && error.code === 'TIMEOUT') this.#missed = Math.max(this.#missed, 1);
      throw error;
    }
  }

  close(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#abort.abort();
    this.#connection?.close();
  }

  async #connect(): Promise<void> {
    const { host, port, context, expect, maxPending } = this.#init;
    let connection: ControlConnection<FromServer> | undefined;
    try {
      const { signal } = this.#abort;
      const socket = await connectEndpoint({
        host,
        port,
        context,
        alpn: CONTROL_ALPN,
        expect,
        timeoutMs: CONNECT_TIMEOUT_MS,
        signal,
      });
      const made: ControlConnection<FromServer> = new ControlConnection<FromServer>(
        socket,
        { accepts: this.#accepts(), maxPending, maxBufferedBytes: MAX_BUFFERED_BYTES, isBatched: true },
        { onMessage: (message) => this.#onMessage(made, message), onClose: (error) => this.#onClose(made, error) },
      );
      connection = made;
      this.#connection = connection;
      await this.#greet(connection);
      await this.#ping(connection);
    } catch (error) {
      if (connection === undefined) this.#failed(reasonOf(error));
      else connection.close(error instanceof ChannelError ? error : new ChannelError('CLOSED', String(error)));
    }
  }

  #accepts(): readonly FromServer[] {
    const always = ['welcome', 'refuse', 'pong', 'grant', 'ping'] as const;
    return this.#components.onDetection === undefined ? always : [...always, 'detection'];
  }

  async #greet(connection: ControlConnection<FromServer>): Promise<void> {
    const { name, expect, pingTimeoutMs } = this.#init;
    const detections = this.#components.onDetection === undefined ? {} : { detections: 1 };
    const question = { type: 'hello', versions: Buffer.from(PROTOCOL_VERSIONS), software: SOFTWARE, avoid: [], ...detections } as const;
    const askedAtMs = Date.now();
    const answer = await connection.ask<'hello'>(question, pingTimeoutMs);
    if (answer.type === 'refuse') throw new ChannelError('PROTOCOL', `refused: ${refusalCode(answer.code)}`);
    if (answer.type !== 'welcome') throw new ChannelError('PROTOCOL', 'the answer to hello is not welcome');
    // The certificate says the role and the site; which server of the site it is, only the server says.
    if (answer.site !== expect.site || answer.name !== name)
      throw new ChannelError('IDENTITY', `at this address is another server than ${name}: compare the addresses in site.yaml`);
    this.#greetedAtMs = performance.now();
    if (!this.#welcomed) this.#components.onUp();
    this.#welcomed = true;
    this.#missed = 0;
    this.#backoffMs = FIRST_BACKOFF_MS;
    const { software, config, at } = answer;
    const clockOffsetMs = at === undefined ? undefined : Math.round(at - (askedAtMs + Date.now()) / 2);
    this.#components.onWelcome?.({ software, config, clockOffsetMs });
  }

  /** One ping, and a timer for the next. */
  async #ping(connection: ControlConnection<FromServer>): Promise<void> {
    const { pingIntervalMs, pingTimeoutMs } = this.#init;
    const startedAtMs = performance.now();
    try {
      if (startedAtMs - this.#greetedAtMs > GREET_AGAIN_MS) await this.#greet(connection);
      const answer = await connection.ask<'ping'>({ type: 'ping' }, pingTimeoutMs);
      this.#missed = 0;
      this.#components.onPong(answer.type === 'pong' ? answer.report : undefined);
    } catch (error) {
      if (connection.closed) return; // onClose has said so
      this.#missed += 1;
      if (this.#missed >= MAX_MISSED) {
        connection.close(new ChannelError('TIMEOUT', `no answer to ${MAX_MISSED} pings`));
        return;
      }
      this.#components.onFailure(reasonOf(error));
    }
    if (this.#stopped || connection.closed) return;
    const jitter = 0.8 + 0.4 * this.#components.random();
    const pauseMs = Math.max(0, pingIntervalMs * jitter - (performance.now() - startedAtMs));
    this.#timer = setTimeout(() => void this.#ping(connection), pauseMs);
  }

  #onMessage(connection: ControlConnection<FromServer>, message: Message<FromServer>): void {
    if (message.type === 'ping') connection.send({ type: 'pong', id: message.id });
    // On this connection only: to a relay that was restarted meanwhile, the number means another one.
    if (message.type === 'detection')
      this.#components.onDetection?.(message, () => connection.send({ type: 'noted', id: message.id }));
    // Id 0: said before it was asked anything, as to a stranger. Any other is an answer that came too late.
    if (message.type === 'refuse' && message.id === 0)
      connection.close(new ChannelError('PROTOCOL', `refused: ${refusalCode(message.code)}`));
  }

  #onClose(connection: ControlConnection<FromServer>, error: ChannelError): void {
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#welcomed = false;
    clearTimeout(this.#timer);
    this.#failed(error.message);
  }

  #failed(reason: string): void {
    if (this.#stopped) return;
    this.#components.onFailure(reason);
    const pauseMs = this.#backoffMs * (0.5 + this.#components.random() / 2);
    this.#backoffMs = Math.min(MAX_BACKOFF_MS, this.#backoffMs * 2);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), pauseMs);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
