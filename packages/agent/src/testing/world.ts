import { connect, createServer, type Server, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { createLogger, Metrics } from '@sekisho/telemetry';
import type { RelayAddress } from '@sekisho/wire';
import { afterEach } from 'vitest';
import { credentials, MAC, makeMesh, MANAGER_NAME, type Mesh } from '../../../channel/src/testing/mesh.ts';
import { until } from '../../../channel/src/testing/wait.ts';
import { type DnsServer, startDnsServer } from '../../../../test/kit/dns-server.ts';
import { listenOn } from '../../../../test/kit/loopback-listen.ts';
import { freePort } from '../../../../test/kit/ports.ts';
import { type Agent, type AgentComponents, startAgent } from '../agent.ts';
import type { AgentSettings, AgentTimings } from '../settings.ts';
import { FakeManager, type FakeManagerInit } from './fake-manager.ts';
import { FakeRelay } from './fake-relay.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** Runs when the test is over, the last one first. */
export function atEnd(cleanUp: () => unknown): void {
  cleanUps.push(cleanUp);
}

/** An agent with the log it wrote and the metrics it counts. */
export interface TestAgent {
  readonly agent: Agent;
  readonly metrics: Metrics;
  readonly port: number;
  /** Log lines of an event. */
  readonly events: (event: string) => Record<string, unknown>[];
  /** Every log line. */
  readonly all: readonly Record<string, unknown>[];
}

/** Everything that an agent can meet, scripted: DNS, managers on addresses of their own, relays, a destination. */
export class World {
  readonly mesh: Mesh;
  readonly dns: DnsServer;
  readonly managerPort: number;

  private constructor(mesh: Mesh, dns: DnsServer, managerPort: number) {
    this.mesh = mesh;
    this.dns = dns;
    this.managerPort = managerPort;
  }

  static async create(mesh: Mesh): Promise<World> {
    const dns = await startDnsServer();
    atEnd(() => dns.stop());
    return new World(mesh, dns, await freePort());
  }

  publish(a: readonly string[], ttlS = 60): void {
    this.dns.set(MANAGER_NAME, { a, ttlS });
  }

  async manager(host: string, relays: readonly RelayAddress[], init: Partial<FakeManagerInit> = {}): Promise<FakeManager> {
    const manager = new FakeManager({
      host,
      port: this.managerPort,
      credentials: credentials(this.mesh, this.mesh.site.manager),
      relays,
      ...init,
    });
    atEnd(() => manager.close());
    await manager.listen();
    return manager;
  }

  async relay(name: string, host = '127.0.0.1', certificate = this.mesh.site.relay): Promise<FakeRelay> {
    const relay = new FakeRelay({ name, host, credentials: credentials(this.mesh, certificate) });
    atEnd(() => relay.close());
    await relay.listen();
    return relay;
  }

  async agent(
    destination: { readonly host: string; readonly port: number },
    timings: Partial<AgentTimings> = {},
    settings: Partial<AgentSettings> = {},
    components: Pick<AgentComponents, 'clock' | 'random'> = {},
  ): Promise<TestAgent> {
    const lines: Record<string, unknown>[] = [];
    const sink = new Writable({
      write(line: Buffer, _encoding, done) {
        lines.push(JSON.parse(line.toString()) as Record<string, unknown>);
        done();
      },
    });
    const metrics = new Metrics();
    const agent = await startAgent(
      { log: createLogger({ role: 'agent', destination: sink }), metrics, ...components },
      {
        mac: MAC,
        credentials: credentials(this.mesh, this.mesh.device),
        managerName: MANAGER_NAME,
        managerPort: this.managerPort,
        dns: { servers: [this.dns.server] },
        failMode: 'open',
        forwards: [{ listen: { host: '127.0.0.1', port: 0 }, destination, protocol: 'smtp' }],
        timings: { moveJitterMs: 10, ...timings },
        ...settings,
      },
    );
    atEnd(() => agent.close());
    const port = agent.status().listeners[0]?.listen.port ?? 0;
    return { agent, metrics, port, all: lines, events: (event) => lines.filter((line) => line['event'] === event) };
  }
}

export { MAC, makeMesh, MANAGER_NAME, until, type Mesh };

/** A destination: what comes in is kept, and `onClient` speaks for it. */
export interface Destination {
  readonly host: string;
  readonly port: number;
  readonly server: Server;
  readonly sockets: Socket[];
  /** Bytes of all clients, in order. */
  received(): Buffer;
}

export async function destination(onClient: (socket: Socket) => void = (socket) => socket.write('220 hello\r\n')): Promise<Destination> {
  const sockets: Socket[] = [];
  const chunks: Buffer[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    onClient(socket);
  });
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const port = await listenOn(server, '127.0.0.1', 0);
  return { host: '127.0.0.1', port, server, sockets, received: () => Buffer.concat(chunks) };
}

/** A mail client as far as sockets go. */
export class TestClient {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  bytes = 0;
  ended = false;
  error: string | undefined;
  closed = false;

  constructor(port: number) {
    this.socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    atEnd(() => this.socket.destroy());
    this.socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.bytes += chunk.length;
    });
    this.socket.on('end', () => (this.ended = true));
    this.socket.on('close', () => (this.closed = true));
    this.socket.on('error', (error: NodeJS.ErrnoException) => (this.error = error.code ?? error.message));
  }

  get data(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.data.toString('latin1');
  }

  /** Waits for the destination's greeting, or whatever comes instead of it. */
  async line(timeoutMs = 10_000): Promise<string> {
    await until(() => this.text.includes('\n') || this.closed, timeoutMs);
    return this.text;
  }

  /** Waits until the connection is gone. */
  untilClosed(): Promise<void> {
    return until(() => this.closed);
  }

  /** Waits until nothing more can come: the end, or an abort. */
  untilOver(): Promise<void> {
    return until(() => this.ended || this.closed);
  }
}
