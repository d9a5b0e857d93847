import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, vi } from 'vitest';
import { parseDocument } from 'yaml';
import { type Clamd, startClamd } from '../../kit/clamd.ts';
import { Mesh, type MeshAgent, type MeshAgentInit, type MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';
import type { SmtpWire, SmtpWireTarget } from '../../kit/smtp-wire.ts';
import { greeting, openConversation } from '../greeting.ts';
import { linesOf, type LogLine } from '../session-logs.ts';

export const MAIL_HOST = 'mail.example.com';
export const DEVICE = '02:00:5e:30:00:01';
const SERVER = 's1';
/** A machine that is busy with other tests, and an agent that tries again. */
const PATIENCE_MS = 15_000;

export interface SceneInit {
  /** The mail servers on 127.0.0.1 that the agent forwards to. */
  readonly forward: readonly { readonly port: number; readonly protocol: string }[];
  /** Keys of `relay.inspect` besides the scanners, such as `{ starttls: 'hide' }`. */
  readonly inspect?: Readonly<Record<string, unknown>>;
  /** More keys of site.yaml by their dotted paths. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

type Forwarding = Omit<MeshAgentInit, 'mac'>;

/** A site with one relay that inspects with a pair of real scanners, and an office with one agent. */
export class Scene {
  readonly scanners: readonly Clamd[];
  readonly mesh: Mesh;
  readonly site: MeshSite;
  #agent: MeshAgent;
  readonly #forwarding: Forwarding;
  readonly #ports: readonly number[];
  readonly #metricsPort: number;

  constructor(
    components: { readonly scanners: readonly Clamd[]; readonly mesh: Mesh; readonly site: MeshSite; readonly agent: MeshAgent },
    init: { readonly forwarding: Forwarding; readonly ports: readonly number[]; readonly metricsPort: number },
  ) {
    this.scanners = components.scanners;
    this.mesh = components.mesh;
    this.site = components.site;
    this.#agent = components.agent;
    this.#forwarding = init.forwarding;
    this.#ports = init.ports;
    this.#metricsPort = init.metricsPort;
  }

  get agent(): MeshAgent {
    return this.#agent;
  }

  /** The agent's listener for a destination, as clients of the kit want it. */
  through(port: number): { address: string; port: number } {
    return { address: '127.0.0.1', port: this.target(port).port };
  }

  /** The same for a client by hand. */
  target(port: number): SmtpWireTarget {
    const local = this.agent.ports[this.#ports.indexOf(port)];
    if (local === undefined) throw new Error(`the agent has no forward to port ${port}`);
    return { host: '127.0.0.1', port: local };
  }

  /** Starts relay and agent anew, with other keys of `relay.inspect`; resolves when a destination can be reached through it. */
  async restartRelay(inspect: Readonly<Record<string, unknown>>): Promise<void> {
    const { site, agent } = this;
    const document = parseDocument(readFileSync(site.file, 'utf8'));
    for (const [key, value] of Object.entries(inspect)) document.setIn(['relay', 'inspect', key], value);
    writeFileSync(site.file, document.toString({ lineWidth: 0 }), { mode: 0o600 });
    await site.stopRole(SERVER, 'relay');
    await site.startRole(SERVER, 'relay');
    // The old one would go on asking for another relay than the one that has sent it away, and there is none.
    agent.process.kill('SIGKILL');
    this.#agent = await this.mesh.runAgent(agent.file, this.#forwarding);
    await eventually(async () => /^220|^\+OK/u.test(await greeting(this.agent)), true);
  }

  /** What the relay has logged of an event since it was started. */
  relayLines(event: string): LogLine[] {
    return linesOf(this.site.process(SERVER, 'relay'), event);
  }

  /** All that the relay has written. */
  get relayOutput(): string {
    return this.site.process(SERVER, 'relay').output;
  }

  /** The relay's line of an event about a client's connection. */
  async relayLineOf(event: string, { localPort }: SmtpWire): Promise<LogLine> {
    const find = (): LogLine | undefined => this.relayLines(event).find(({ client }) => client === `127.0.0.1:${localPort}`);
    await eventually(async () => find() !== undefined, true);
    return find() ?? {};
  }

  /** The relay's metrics, by name and labels as they are written. */
  async metrics(): Promise<Record<string, number>> {
    const text = await (await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
  }

  async expectMetric(name: string, value: number): Promise<void> {
    await eventually(async () => (await this.metrics())[name], value);
  }

  /**
   * Every session of the agent has its one line at the relay, and they tell the same. Not compared: bytesDown, of which the
   * agent has the client's side and the relay the server's, and the inspector says less or more than the server did.
   */
  async expectLinesToAgree(): Promise<void> {
    const facts = ({ session, device, client, protocol, destination, address, outcome, bytesUp }: LogLine): string => {
      // What was on its way when a client broke off is counted at one end only.
      const bytes = outcome === 'completed' || outcome === 'violation' ? bytesUp : undefined;
      return [session, device, client, protocol, destination, address, bytes].map(String).join(' ');
    };
    const lonely = (): string[] => {
      const office = this.agent.events('session').map(facts);
      const relay = this.relayLines('session').map(facts);
      const once = new Set(office).size === office.length && relay.length === office.length;
      return [...office.filter((line) => !relay.includes(line)), ...(once ? [] : ['a session with two lines, or with none'])];
    };
    await eventually(async () => lonely(), []);
  }

  async stop(): Promise<void> {
    await this.mesh.stop();
    await Promise.all(this.scanners.map((scanner) => scanner.stop()));
  }
}

export async function startScene(init: SceneInit): Promise<Scene> {
  const [mesh, metricsPort, ...scanners] = await Promise.all([Mesh.create(), freePort(), startClamd(), startClamd()]);
  const ports = init.forward.map(({ port }) => port);
  mesh.dns.set(MAIL_HOST, { a: ['127.0.0.1'] });
  const site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [{ name: SERVER, address: '127.0.1.1', roles: ['manager', 'auth', 'relay'] }],
    settings: {
      'relay.destinations.allow': ['127.0.0.1/32'],
      'relay.destinations.extraPorts': ports,
      'relay.inspect': { clamd: scanners.map(({ address }) => address), ...init.inspect },
      'metrics.relay': metricsPort,
      ...init.settings,
    },
  });
  await site.start();
  mesh.publish([site]);
  const forward = init.forward.map(({ port, protocol }) => `${MAIL_HOST}:${port}/${protocol}`);
  // Closed: nothing goes past the inspection when the relay is away for a moment.
  const forwarding = { forward, settings: { failMode: 'closed' } };
  const agent = await mesh.startAgent({ mac: DEVICE, ...forwarding });
  return new Scene({ scanners, mesh, site, agent }, { forwarding, ports, metricsPort });
}

async function eventually(actual: () => Promise<unknown>, expected: unknown): Promise<void> {
  // Also within hooks, where expect.poll is not allowed.
  await vi.waitFor(async () => expect(await actual()).toEqual(expected), { timeout: PATIENCE_MS, interval: 50 });
}

/** Greeted, and past EHLO. */
export async function beginConversation(target: SmtpWireTarget): Promise<SmtpWire> {
  const wire = await openConversation(target);
  expect(await wire.command('EHLO client.example.com')).toMatch(/^250 /);
  return wire;
}

/** Up to the server's go-ahead for a message. */
export async function beginMessage(wire: SmtpWire, from: string, to: string): Promise<void> {
  expect(await wire.command(`MAIL FROM:<${from}>`)).toMatch(/^250 /);
  expect(await wire.command(`RCPT TO:<${to}>`)).toMatch(/^250 /);
  expect(await wire.command('DATA')).toMatch(/^354 /);
}

/** In pieces that leave one after the other; `cuts` are offsets, in order. */
export async function writeInPieces(wire: SmtpWire, bytes: Buffer, cuts: readonly number[], pauseMs: number): Promise<void> {
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (to === from) continue;
    if (from > 0) await sleep(pauseMs);
    wire.write(bytes.subarray(from, to));
    from = to;
  }
}

/** Runs all, so many at once. */
export async function inLanes<T>(items: readonly T[], lanes: number, run: (item: T, lane: number) => Promise<void>): Promise<void> {
  const waiting = [...items];
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await run(item, lane);
    }),
  );
}

