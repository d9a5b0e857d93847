import { createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Sekisho, setKeys } from '../kit/mesh.ts';
import type { Namespace } from '../kit/netns.ts';
import type { TestProcess } from '../kit/process.ts';
import { transparentCommand } from '../kit/transparent.ts';
import { DNS, INTERCEPT_PORT, LAN_PREFIX, LINE_PREFIX, MAIL, METRICS_PORTS, type OfficePlan, PREFIX_6, ZONE_TTL_S } from './addresses.ts';
import { type Internet, type Line, WAN } from './internet.ts';
import type { MailServers } from './mail-servers.ts';
import type { Order, Report, Target, TrafficInit } from './traffic/events.ts';

export interface OfficeComponents {
  readonly sekisho: Sekisho;
  readonly internet: Internet;
  readonly mail: MailServers;
  readonly onReport: (report: Report) => void;
}

export interface OfficeInit {
  readonly plan: OfficePlan;
  readonly index: number;
  readonly directory: string;
  readonly operator: string;
  readonly pauseMs: number;
}

/** What an agent logs when a client's connection has ended. */
export interface AgentSession {
  readonly office: string;
  readonly time: number;
  readonly client: string;
  readonly route: 'relayed' | 'direct' | 'none';
  readonly site?: string;
  readonly relay?: string;
  readonly reason?: string;
  readonly code?: string;
  readonly outcome: string;
  readonly decideMs?: number;
  readonly durationMs: number;
}

const CLIENTS = join(import.meta.dirname, 'traffic/clients.ts');
const START_TIMEOUT_MS = 60_000;
const LAN = 'lan';
/** A minute of an agent's log, more or less. */
const RECENT_CHARACTERS = 1_000_000;

/** A customer's office: a router with the agent between its line and its LAN, and a machine in the LAN with the mail programs. */
export class LabOffice {
  readonly plan: OfficePlan;
  readonly name: string;
  readonly line: Line;
  readonly lan: Namespace;
  readonly file: string;
  readonly #sekisho: Sekisho;
  readonly #agents: TestProcess[] = [];
  /** How many characters of each agent's log were read. */
  readonly #read = new Map<TestProcess, number>();
  #clients: TestProcess | undefined;
  #server: Server | undefined;
  #control: Socket | undefined;
  #idle: () => void = () => undefined;

  private constructor(components: OfficeComponents & { line: Line; lan: Namespace }, init: OfficeInit & { file: string }) {
    this.#sekisho = components.sekisho;
    this.line = components.line;
    this.lan = components.lan;
    this.plan = init.plan;
    this.name = init.plan.name;
    this.file = init.file;
  }

  /** Makes the office and enrols its device; neither agent nor clients run yet. */
  static async create(components: OfficeComponents, init: OfficeInit): Promise<LabOffice> {
    const { plan, directory, operator } = init;
    const { internet, sekisho } = components;
    const line = await internet.line({
      name: plan.name,
      gateway: plan.line.gateway,
      addresses: [plan.line.router],
      prefix: LINE_PREFIX,
      v6: { gateway: plan.line.gateway6, address: plan.line.router6 },
    });
    const router = line.namespace;
    const lan = await internet.network.namespace(`${plan.name}-lan`);
    await internet.network.connect(
      { namespace: router, device: LAN, addresses: [`${plan.lan.router}/${LAN_PREFIX}`, `${plan.lan.router6}/${PREFIX_6}`] },
      { namespace: lan, device: LAN, addresses: [`${plan.lan.client}/${LAN_PREFIX}`, `${plan.lan.client6}/${PREFIX_6}`] },
    );
    await router.becomeRouter();
    await router.nft(`table ip nat { chain out { type nat hook postrouting priority srcnat; oifname "${WAN}" masquerade; }; }`);
    await lan.addRoute('default', plan.lan.router);
    await lan.addRoute('default', plan.lan.router6);
    await internet.namespace.addRoute(`${plan.lan.router6}/${PREFIX_6}`, plan.line.router6);
    const file = join(directory, `${plan.name}.yaml`);
    await sekisho.mustRun('device', 'enroll', plan.mac, '--operator', operator, '--label', plan.name, '--out', file);
    setKeys(file, {
      'dns.servers': [`${DNS.address}:53`],
      'intercept.interfaces': [LAN],
      'dns.minTtl': `${ZONE_TTL_S}s`,
      'metrics.address': plan.line.router,
      'metrics.port': METRICS_PORTS.agent,
    });
    return new LabOffice({ ...components, line, lan }, { ...init, file });
  }

  get agent(): TestProcess {
    const agent = this.#agents.at(-1);
    if (agent === undefined) throw new Error(`the agent of ${this.name} was never started`);
    return agent;
  }

  /** Starts the agent on the router, and has mail of the LAN intercepted; resolves when both are so. */
  async startAgent(): Promise<void> {
    const router = this.line.namespace;
    const { command, args = [] } = this.#sekisho.command('agent', '--config', this.file);
    const agent = await router.start(transparentCommand({ addresses: ['127.0.0.1', '::1'], port: INTERCEPT_PORT, command, args }));
    this.#agents.push(agent);
    await Promise.race([
      agent.waitForOutput(/"event":"(?:relayed|direct)_mode"/u, START_TIMEOUT_MS),
      agent.exited.then(() => Promise.reject(new Error(`the agent of ${this.name} ended:\n${agent.output}`))),
    ]);
    await this.intercept('up');
  }

  /** Another device in this office, whose clients must dial its port at the router; it is the caller's to end. */
  async startExtraAgent(init: { mac: string; port: number; name: string; operator: string; how: 'enroll' | 'renew' }): Promise<TestProcess> {
    const { mac, port, name, operator, how } = init;
    const file = join(dirname(this.file), `${this.name}-${name}.yaml`);
    await this.#sekisho.mustRun('device', how, mac, '--operator', operator, '--out', file);
    setKeys(file, { 'dns.servers': [`${DNS.address}:53`], 'dns.minTtl': `${ZONE_TTL_S}s` });
    const forward = `${this.plan.lan.router}:${port}=${MAIL.address}:25`;
    const agent = await this.line.namespace.start(this.#sekisho.command('agent', '--config', file, '--forward', forward));
    await this.line.namespace.waitForListener(agent, port, START_TIMEOUT_MS);
    return agent;
  }

  /** What the agent's unit does at its start and after its end. */
  async intercept(order: 'up' | 'down'): Promise<void> {
    const { command, args = [] } = this.#sekisho.command('intercept', order, ...(order === 'up' ? ['--config', this.file] : []));
    await this.line.namespace.run(command, args);
  }

  /** Starts the mail programs; they wait for an order. */
  async startClients(components: Pick<OfficeComponents, 'mail' | 'onReport'>, init: Pick<OfficeInit, 'index' | 'directory' | 'pauseMs'>): Promise<void> {
    const { mail } = components;
    const socketPath = join(init.directory, `${this.name}.sock`);
    const connected = Promise.withResolvers<undefined>();
    this.#server = createServer((socket) => {
      this.#control = socket;
      socket.on('error', () => undefined);
      createInterface({ input: socket }).on('line', (line) => {
        const report = JSON.parse(line) as Report;
        if (report.report === 'idle') this.#idle();
        else components.onReport(report);
      });
      connected.resolve(undefined);
    });
    this.#server.listen(socketPath);
    const at = (port: number): Target => ({ host: MAIL.address, port });
    const traffic: TrafficInit = {
      office: init.index + 1,
      seed: init.index + 1,
      socketPath,
      // What anybody would enter: the router takes it from there.
      smtp: at(25),
      submission: at(587),
      smtps: at(465),
      pop3: at(110),
      imap: at(143),
      smtp6: { host: MAIL.address6, port: 25 },
      recipient: mail.recipient,
      pop3Box: mail.pop3Box,
      imapBox: mail.imapBox,
      pauseMs: init.pauseMs,
    };
    const clients = await this.lan.start({ command: process.execPath, args: [CLIENTS, JSON.stringify(traffic)] });
    this.#clients = clients;
    await Promise.race([connected.promise, clients.exited.then(() => Promise.reject(new Error(`the clients of ${this.name} ended:\n${clients.output}`)))]);
  }

  order(order: Order['order']): void {
    if (this.#clients?.running !== true) throw new Error(`the clients of ${this.name} ended:\n${this.#clients?.output ?? ''}`);
    this.#control?.write(`${JSON.stringify({ order })}\n`);
  }

  /** Gives that order; resolves when nothing is under way any more, or after that time with false. */
  async untilIdle(order: 'finish' | 'abandon', timeoutMs: number): Promise<boolean> {
    const idle = Promise.withResolvers<boolean>();
    this.#idle = () => idle.resolve(true);
    this.order(order);
    const timer = setTimeout(() => idle.resolve(false), timeoutMs);
    const result = await idle.promise;
    clearTimeout(timer);
    return result;
  }

  /** Sessions that have ended since they were taken last. */
  takeSessions(): AgentSession[] {
    return this.#agents.flatMap((agent) => {
      const log = agent.stdout.toString();
      const from = this.#read.get(agent) ?? 0;
      const end = log.lastIndexOf('\n') + 1;
      this.#read.set(agent, end);
      return this.#sessionsIn(log.slice(from, end));
    });
  }

  /** The last that has ended. */
  lastSession(): AgentSession | undefined {
    return this.#sessionsIn(this.agent.stdout.toString().slice(-RECENT_CHARACTERS)).at(-1);
  }

  /** Sessions that have begun and ended since a time that is not long ago, oldest first. */
  sessionsSince(time: number): AgentSession[] {
    const recent = this.#agents.flatMap((agent) => this.#sessionsIn(agent.stdout.toString().slice(-RECENT_CHARACTERS)));
    return recent.filter((session) => session.time - session.durationMs >= time);
  }

  /** Lines of an event in the present agent's log since a time. */
  eventsSince(event: string, time: number): Record<string, unknown>[] {
    return linesOf(this.agent.stdout.toString(), event).filter((line) => new Date(String(line['time'])).getTime() >= time);
  }

  /** The sites of its leases since a time, without repetitions: how often it moved. */
  movesSince(time: number): string[] {
    const sites = this.eventsSince('lease', time).map(({ site }) => String(site));
    return sites.filter((site, index) => site !== sites[index - 1]);
  }

  /** Of all its agents, one after the other. */
  logs(): { readonly name: string; readonly output: string }[] {
    const agents = this.#agents.map((agent, index) => ({ name: `agent-${index + 1}`, output: agent.output }));
    return [...agents, { name: 'clients', output: this.#clients?.output ?? '' }];
  }

  async stop(): Promise<void> {
    for (const child of [this.#clients, ...this.#agents]) child?.kill('SIGKILL');
    this.#control?.destroy();
    await new Promise<void>((resolve) => (this.#server === undefined ? resolve() : this.#server.close(() => resolve())));
  }

  #sessionsIn(log: string): AgentSession[] {
    return linesOf(log, 'session').map((line) => {
      const { time, ...rest } = line as unknown as AgentSession & { time: string | number };
      return { ...rest, office: this.name, time: new Date(time).getTime() };
    });
  }
}

function linesOf(log: string, event: string): Record<string, unknown>[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}') && line.includes(`"event":"${event}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
