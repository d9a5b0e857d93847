import { join } from 'node:path';
import { type AuthServer, type AuthSettings, type IssuedCertificate, type IssuedSite, Operator, startAuth } from '@sekisho/auth';
import {
  type ChannelError,
  connectEndpoint,
  ControlConnection,
  type Credentials,
  Listener,
  secureContext,
} from '@sekisho/channel';
import { type Manager, type ManagerSettings, startManager } from '@sekisho/manager';
import { openStore, type Store } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { CONTROL_ALPN, macBytes, type Message, PROTOCOL_VERSIONS, type RelayReport } from '@sekisho/wire';
import { makeTempDir } from '../../kit/temp-dir.ts';

export const MAC = '02:00:5e:10:00:01';
export const MANAGER_NAME = 'manager.example.com';
const RIGHTS = ['smtp', 'pop3', 'imap'];

export const IDLE_REPORT: RelayReport = {
  loadPerCoreMilli: 10,
  hottestCoreMilli: 10,
  loopDelayUs: 100,
  sessions: 0,
  maxSessions: 1000,
  devices: 0,
  bytesPerSecond: 0,
  bytesPerSecondLimit: 0,
  draining: 0,
};

/** Polls until `check` gives something that is not false or undefined. */
export async function eventually<T>(what: string, check: () => T | undefined | false, timeoutMs = 15_000): Promise<T> {
  const untilMs = Date.now() + timeoutMs;
  for (;;) {
    const value = check();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > untilMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Counters and gauges with a value other than 0, by name and labels. */
export async function values(metrics: Metrics): Promise<Record<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))] as const).filter(([, value]) => value !== 0));
}

/** A relay's control port that says what the test wants. */
export class FakeRelay {
  report: RelayReport = IDLE_REPORT;
  /** False: questions are taken and never answered. */
  answers = true;
  /** What its welcome says besides its name. */
  welcome: { readonly config?: string; readonly at?: () => number } = {};
  readonly #connections = new Set<ControlConnection<'hello' | 'ping'>>();
  readonly name: string;
  readonly #listener: Listener;
  port = 0;

  constructor(init: { name: string; welcomeAs?: string; credentials: Credentials; port?: number }) {
    this.name = init.name;
    this.#listener = new Listener(
      {
        host: '127.0.0.1',
        port: init.port ?? 0,
        credentials: init.credentials,
        alpn: CONTROL_ALPN,
        handshakeTimeoutMs: 2000,
        maxConnections: 16,
        maxPerAddress: 16,
      },
      {
        onConnection: (socket) => {
          const connection = new ControlConnection<'hello' | 'ping'>(
            socket,
            { accepts: ['hello', 'ping'], maxPending: 1, maxBufferedBytes: 65_536 },
            {
              onMessage: (message) => {
                if (!this.answers) return;
                if (message.type === 'ping') connection.send({ type: 'pong', id: message.id, report: this.report });
                else connection.send({ type: 'welcome', id: message.id, version: 1, software: 'test', name: init.welcomeAs ?? this.name, site: 'tokyo-1', config: this.welcome.config, at: this.welcome.at?.() });
              },
              onClose: () => this.#connections.delete(connection),
            },
          );
          this.#connections.add(connection);
        },
        onReject: () => {},
        onError: () => {},
      },
    );
  }

  /** Closes the connections that are there. */
  drop(): void {
    for (const connection of this.#connections) connection.close();
  }

  async listen(): Promise<void> {
    ({ port: this.port } = await this.#listener.listen());
  }

  close(): void {
    this.#listener.close();
  }
}

type FromManager = 'lease' | 'refuse' | 'pong' | 'ping' | 'welcome' | 'grant';

/** One end of a control connection in the hands of a test. */
export class TestPeer {
  readonly connection: ControlConnection<FromManager>;
  readonly messages: Message<FromManager>[] = [];
  closed: ChannelError | undefined;

  private constructor(socket: ConstructorParameters<typeof ControlConnection>[0]) {
    this.connection = new ControlConnection<FromManager>(
      socket,
      { accepts: ['lease', 'refuse', 'pong', 'ping', 'welcome', 'grant'], maxPending: 1000, maxBufferedBytes: 1 << 20 },
      { onMessage: (message) => this.messages.push(message), onClose: (error) => (this.closed = error) },
    );
  }

  static async connect(init: {
    port: number;
    caPem: string;
    certificate: IssuedCertificate;
    role?: 'manager' | 'auth';
    localAddress?: string;
  }): Promise<TestPeer> {
    const { caPem, certificate, role = 'manager', port } = init;
    const socket = await connectEndpoint({
      host: '127.0.0.1',
      port,
      context: secureContext({ caPem, certPem: certificate.certPem, keyPem: certificate.keyPem }),
      alpn: CONTROL_ALPN,
      expect: role === 'manager' ? { role, serverName: MANAGER_NAME } : { role },
      timeoutMs: 5000,
    });
    return new TestPeer(socket);
  }

  hello(fields: Partial<Message<'hello'>> = {}, timeoutMs = 5000): Promise<Message> {
    return this.connection.ask<'hello'>(
      { type: 'hello', versions: Buffer.from(PROTOCOL_VERSIONS), software: 'test', mac: macBytes(MAC), avoid: [], ...fields },
      timeoutMs,
    );
  }

  whenClosed(): Promise<ChannelError> {
    return eventually('the connection is closed', () => this.closed);
  }
}

/** A site on loopback: an operator, auth, a manager and relays that only have a control port; all real but these. */
export class MiniSite {
  readonly operator: Operator;
  readonly keys: IssuedSite;
  readonly store: Store;
  readonly directory: string;
  readonly authMetrics = new Metrics();
  readonly managerMetrics = new Metrics();
  readonly logged: Record<string, unknown>[] = [];
  readonly relays: FakeRelay[] = [];
  readonly auths: AuthServer[] = [];
  manager: Manager | undefined;
  readonly #remove: () => Promise<void>;

  private constructor(parts: { operator: Operator; keys: IssuedSite; store: Store; directory: string; remove: () => Promise<void> }) {
    this.operator = parts.operator;
    this.keys = parts.keys;
    this.store = parts.store;
    this.directory = parts.directory;
    this.#remove = parts.remove;
  }

  static async make(): Promise<MiniSite> {
    const temporary = await makeTempDir('site');
    const directory = temporary.path;
    const operator = await Operator.init(join(directory, 'operator'), { name: 'Example', managerName: MANAGER_NAME });
    const keys = await operator.issueSite({ site: 'tokyo-1', days: 10 });
    const store = await openStore({}, { url: `sqlite:${join(directory, 'site.db')}`, site: 'tokyo-1' });
    return new MiniSite({ operator, keys, store, directory, remove: () => temporary.remove() });
  }

  credentials(role: 'manager' | 'relay' | 'auth', keys = this.keys): Credentials {
    return { caPem: this.operator.caCertPem, certPem: keys[role].certPem, keyPem: keys[role].keyPem };
  }

  device(mac = MAC): Promise<IssuedCertificate> {
    return this.operator.enrollDevice({ mac, rights: RIGHTS, days: 5, proof: 'certificate' });
  }

  /** A key of the device's owner's own making, as an impostor has it. */
  selfSigned(mac = MAC): Promise<IssuedCertificate> {
    return this.operator.enrollDevice({ mac, rights: RIGHTS, days: 5, proof: 'mac-only' });
  }

  #log(role: string) {
    return createLogger({ role, level: 'debug', destination: { write: (line) => void this.logged.push(JSON.parse(line) as Record<string, unknown>) } });
  }

  async startAuth(changes: Partial<AuthSettings> = {}): Promise<AuthServer> {
    const auth = await startAuth(
      { log: this.#log('auth'), metrics: this.auths.length === 0 ? this.authMetrics : new Metrics(), store: this.store },
      {
        site: 'tokyo-1',
        name: `s${this.auths.length + 1}`,
        listen: { host: '127.0.0.1', port: 0 },
        serverAddresses: [],
        credentials: this.credentials('auth'),
        ticketKeyPem: this.keys.ticketKey.privatePem,
        ticketTtlMs: 600_000,
        proof: 'certificate',
        revocations: { urls: [], refreshMs: 100, maxAgeMs: 1e9 },
        ...changes,
      },
    );
    this.auths.push(auth);
    return auth;
  }

  async startRelays(count: number): Promise<void> {
    for (let number = 1; number <= count; number += 1) {
      const relay = new FakeRelay({ name: `s${number}`, credentials: this.credentials('relay') });
      await relay.listen();
      this.relays.push(relay);
    }
  }

  async startManager(changes: Partial<ManagerSettings> = {}, components: { store?: Store } = {}): Promise<Manager> {
    this.manager = await startManager(
      { log: this.#log('manager'), metrics: this.managerMetrics, store: components.store ?? this.store },
      {
        site: 'tokyo-1',
        name: 's1',
        listen: { host: '127.0.0.1', port: 0 },
        credentials: this.credentials('manager'),
        relays: this.relays.map(({ name, port }) => ({ name, host: '127.0.0.1', port: 7026, controlPort: port })),
        table: { entries: this.relays.map(({ name }) => name) },
        auths: this.auths.map(({ port }, index) => ({ name: `s${index + 1}`, host: '127.0.0.1', port })),
        maxAgents: 100,
        maxPerAddress: 100,
        probeIntervalMs: 100,
        probeTimeoutMs: 500,
        adminSocket: join(this.directory, 'manager.sock'),
        closeSpreadMs: 100,
        ...changes,
      },
    );
    return this.manager;
  }

  agent(certificate: IssuedCertificate): Promise<TestPeer> {
    return TestPeer.connect({ port: this.manager!.port, caPem: this.operator.caCertPem, certificate });
  }

  async close(): Promise<void> {
    await this.manager?.close();
    for (const auth of this.auths) await auth.close();
    for (const relay of this.relays) relay.close();
    await this.store.close();
    await this.#remove();
  }
}

