import { randomBytes } from 'node:crypto';
import { ControlConnection, type Credentials, Listener } from '@sekisho/channel';
import { CONTROL_ALPN, type Message, type RefusalCode, REFUSALS, type RelayAddress } from '@sekisho/wire';

export type ManagerScript =
  | { readonly kind: 'lease' }
  | { readonly kind: 'refuse'; readonly code: RefusalCode; readonly retryAfterMs?: number }
  | { readonly kind: 'silent' };

type FromAgent = 'hello' | 'ping' | 'pong' | 'bye' | 'refuse';

export interface FakeManagerInit {
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  readonly site?: string;
  readonly relays: readonly RelayAddress[];
}

/** A manager that answers as it is told to; what it hears is kept. */
export class FakeManager {
  script: ManagerScript = { kind: 'lease' };
  relays: readonly RelayAddress[];
  ttlMs = 600_000;
  renewAfterMs = 300_000;
  site: string;
  /** Nothing is answered any more, pings neither, as when the line is cut. */
  isCut = false;
  readonly hellos: Message<'hello'>[] = [];
  readonly byes: Message<'bye'>[] = [];
  pings = 0;
  connections = 0;
  /** Of them, those with a TLS session from before. */
  resumed = 0;
  port = 0;
  readonly #listener: Listener;
  readonly #open = new Set<ControlConnection<FromAgent>>();

  constructor(init: FakeManagerInit) {
    this.relays = init.relays;
    this.site = init.site ?? 'tokyo-1';
    this.#listener = new Listener(
      {
        host: init.host,
        port: init.port,
        credentials: init.credentials,
        alpn: CONTROL_ALPN,
        handshakeTimeoutMs: 10_000,
        maxConnections: 100,
        maxPerAddress: 100,
        sessionKey: randomBytes(48),
      },
      {
        onConnection: (socket) => {
          this.connections += 1;
          if (socket.isSessionReused()) this.resumed += 1;
          const connection: ControlConnection<FromAgent> = new ControlConnection<FromAgent>(
            socket,
            { accepts: ['hello', 'ping', 'pong', 'bye', 'refuse'], maxPending: 1, maxBufferedBytes: 65_536 },
            {
              onMessage: (message) => this.#onMessage(connection, message),
              onClose: () => this.#open.delete(connection),
            },
          );
          this.#open.add(connection);
        },
        onReject: () => {},
        onError: () => {},
      },
    );
  }

  async listen(): Promise<void> {
    this.port = (await this.#listener.listen()).port;
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** Sends every agent a lease with other relays. */
  push(relays: readonly RelayAddress[]): void {
    this.relays = relays;
    for (const connection of this.#open) connection.send({ ...this.#lease(0), push: 1 });
  }

  /** Ends the connections; the port stays open. */
  disconnect(): void {
    for (const connection of this.#open) connection.socket.destroy();
  }

  close(): void {
    this.#listener.close();
  }

  #onMessage(connection: ControlConnection<FromAgent>, message: Message<FromAgent>): void {
    if (message.type === 'hello') this.hellos.push(message);
    if (message.type === 'bye') this.byes.push(message);
    if (this.isCut) return;
    if (message.type === 'ping') {
      this.pings += 1;
      connection.send({ type: 'pong', id: message.id });
    }
    if (message.type === 'hello') this.#answer(connection, message.id);
  }

  #answer(connection: ControlConnection<FromAgent>, id: number): void {
    const { script } = this;
    if (script.kind === 'lease') connection.send(this.#lease(id));
    else if (script.kind === 'refuse') {
      const { number, temporary } = REFUSALS[script.code];
      connection.send({
        type: 'refuse',
        id,
        code: number,
        text: 'as the script says',
        ...(script.retryAfterMs === undefined ? {} : { retryAfterMs: script.retryAfterMs }),
      });
      if (!temporary) connection.close();
    }
  }

  #lease(id: number): Message<'lease'> {
    return {
      type: 'lease',
      id,
      version: 1,
      site: this.site,
      manager: 'm1',
      relays: [...this.relays],
      ticket: Buffer.alloc(100, 7),
      ttlMs: this.ttlMs,
      renewAfterMs: this.renewAfterMs,
      reason: 'least load',
    };
  }
}
