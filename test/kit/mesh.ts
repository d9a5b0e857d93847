import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseDocument } from 'yaml';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import { freePort } from './ports.ts';
import { type ProcessInit, type ProcessResult, runProcess, startProcess, type TestProcess, waitForPort } from './process.ts';
import { makeTempDir, type TempDir } from './temp-dir.ts';

const root = join(import.meta.dirname, '../..');
const CHECKOUT = join(root, 'packages/cli/bin/sekisho.js');
const NODE = join(root, 'node_modules/.bin/node');
export const MANAGER_NAME = 'manager.sekisho.test';

export type MeshRole = 'auth' | 'relay' | 'manager' | 'outbreak';

export interface MeshServer {
  readonly name: string;
  /** An address of 127.0.0.0/8 of its own. */
  readonly address: string;
  readonly roles: readonly MeshRole[];
}

export interface MeshSiteInit {
  readonly name: string;
  readonly servers: readonly MeshServer[];
  /** Keys of site.yaml by their dotted paths, such as `relay.maxSessions`. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface MeshAgentInit {
  readonly mac: string;
  /** Destinations, `host:port/protocol`; a free loopback port is listened at for each. */
  readonly forward: readonly string[];
  /** Keys of agent.yaml by their dotted paths. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The `sekisho` command, of this checkout or of a built bundle. */
export class Sekisho {
  readonly #file: string;

  constructor(file = CHECKOUT) {
    this.#file = file;
  }

  /** Runs a command to its end, whatever its exit code. */
  run(...args: string[]): Promise<ProcessResult> {
    return runProcess({ command: NODE, args: [this.#file, ...args] });
  }

  /** Runs a command that must succeed, and returns its standard output. */
  async mustRun(...args: string[]): Promise<string> {
    const { code, output, stdout } = await this.run(...args);
    if (code !== 0) throw new Error(`sekisho ${args.join(' ')} ended with ${code}:\n${output}`);
    return stdout.toString();
  }

  start(...args: string[]): Promise<TestProcess> {
    return startProcess(this.command(...args));
  }

  /** The same, for whoever starts it elsewhere. */
  command(...args: string[]): ProcessInit {
    // A group of its own, so that a relay can be killed together with its workers, as when a machine dies.
    return { command: NODE, args: [this.#file, ...args], ownGroup: true };
  }
}

/** Changes keys of a YAML file, by their dotted paths. */
export function setKeys(file: string, settings: Readonly<Record<string, unknown>>): void {
  const document = parseDocument(readFileSync(file, 'utf8'));
  for (const [path, value] of Object.entries(settings)) document.setIn(path.split('.'), value);
  writeFileSync(file, document.toString({ lineWidth: 0 }), { mode: 0o600 });
}

/** The processes of one site, each started, killed and started again by itself. */
export class MeshSite {
  readonly name: string;
  readonly file: string;
  readonly servers: readonly MeshServer[];
  readonly ports: Readonly<Record<'manager' | 'relay' | 'relayControl' | 'auth', number>>;
  readonly #sekisho: Sekisho;
  readonly #processes = new Map<string, TestProcess>();

  constructor(
    components: { sekisho: Sekisho },
    init: { name: string; file: string; servers: readonly MeshServer[]; ports: MeshSite['ports'] },
  ) {
    this.#sekisho = components.sekisho;
    this.name = init.name;
    this.file = init.file;
    this.servers = init.servers;
    this.ports = init.ports;
  }

  /** Changes keys of site.yaml, by their dotted paths, for what is started from now on. */
  configure(settings: Readonly<Record<string, unknown>>): void {
    setKeys(this.file, settings);
  }

  /** Starts auth, relay and manager of every server and waits until each accepts; auth and relays first. */
  async start(): Promise<void> {
    for (const role of ['auth', 'relay', 'manager'] as const) {
      await Promise.all(this.servers.filter(({ roles }) => roles.includes(role)).map(({ name }) => this.startRole(name, role)));
    }
  }

  async startRole(server: string, role: MeshRole): Promise<TestProcess> {
    const command = role === 'outbreak' ? ['outbreak', 'run'] : [role];
    const child = await this.#sekisho.start(...command, '--config', this.file, '--server', server);
    this.#processes.set(`${server}/${role}`, child);
    const { address } = this.server(server);
    await Promise.race([
      role === 'outbreak' ? child.waitForOutput(/"event":"started"/u, 30_000) : waitForPort({ host: address, port: this.ports[role] }, 30_000),
      child.exited.then(() => Promise.reject(new Error(`${server}/${role} ended:\n${child.output}`))),
    ]);
    return child;
  }

  process(server: string, role: MeshRole): TestProcess {
    const child = this.#processes.get(`${server}/${role}`);
    if (child === undefined) throw new Error(`${server}/${role} was never started`);
    return child;
  }

  server(name: string): MeshServer {
    const server = this.servers.find((one) => one.name === name);
    if (server === undefined) throw new Error(`there is no server ${name}`);
    return server;
  }

  /** As when the machine loses power: the role's processes are gone without a word. */
  async killRole(server: string, role: MeshRole): Promise<void> {
    const child = this.process(server, role);
    child.kill('SIGKILL');
    await child.exited;
  }

  async stopRole(server: string, role: MeshRole): Promise<void> {
    await this.process(server, role).stop();
  }

  /** What `sekisho status --json` says. */
  async status(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.#sekisho.mustRun('status', '--config', this.file, '--json')) as Record<string, unknown>;
  }

  async stop(): Promise<void> {
    await Promise.all(
      [...this.#processes.values()].map(async (child) => {
        child.kill('SIGKILL');
        await child.exited;
      }),
    );
  }
}

/** An agent that runs, with the local ports it forwards. */
export class MeshAgent {
  readonly process: TestProcess;
  readonly file: string;
  /** In the order of `forward`. */
  readonly ports: readonly number[];

  constructor(init: { process: TestProcess; file: string; ports: readonly number[] }) {
    this.process = init.process;
    this.file = init.file;
    this.ports = init.ports;
  }

  /** Its log lines of an event, oldest first. */
  events(event: string): Record<string, unknown>[] {
    return this.process.stdout
      .toString()
      .split('\n')
      .filter((line) => line.includes(`"event":"${event}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Resolves once that many lines of an event were logged. */
  async waitForEvents(event: string, count: number, timeoutMs = 10_000): Promise<Record<string, unknown>[]> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const events = this.events(event);
      if (events.length >= count) return events;
      if (performance.now() > deadline)
        throw new Error(`${events.length} of ${count} ${event} events after ${timeoutMs} ms; the agent said:\n${this.process.output}`);
      await sleep(20);
    }
  }
}

/** An operator, its sites and devices, and the DNS that finds them: everything in one temporary directory. */
export class Mesh {
  readonly directory: string;
  readonly dns: DnsServer;
  readonly managerPort: number;
  readonly sekisho: Sekisho;
  readonly #temp: TempDir;
  readonly #sites: MeshSite[] = [];
  readonly #agents: MeshAgent[] = [];

  private constructor(init: { temp: TempDir; dns: DnsServer; managerPort: number; sekisho: Sekisho }) {
    this.sekisho = init.sekisho;
    this.#temp = init.temp;
    this.directory = init.temp.path;
    this.dns = init.dns;
    this.managerPort = init.managerPort;
  }

  /** @param init `command`: a built bundle instead of the checkout's command */
  static async create(init: { readonly command?: string } = {}): Promise<Mesh> {
    const temp = await makeTempDir('mesh');
    const mesh = new Mesh({ temp, dns: await startDnsServer(), managerPort: await freePort(), sekisho: new Sekisho(init.command) });
    await mesh.sekisho.mustRun('operator', 'init', mesh.operator, '--manager-name', MANAGER_NAME);
    return mesh;
  }

  get operator(): string {
    return join(this.directory, 'operator');
  }

  get dnsServer(): string {
    return `${this.dns.address}:${this.dns.port}`;
  }

  /** Makes a site; nothing of it runs yet, and it is not in DNS. */
  async addSite(init: MeshSiteInit): Promise<MeshSite> {
    const directory = join(this.directory, init.name);
    await this.sekisho.mustRun('site', 'init', directory, '--operator', this.operator, '--site', init.name, '--dev');
    const ports = {
      manager: this.managerPort,
      relay: await freePort(),
      relayControl: await freePort(),
      auth: await freePort(),
    };
    const file = join(directory, 'site.yaml');
    setKeys(file, {
      ports,
      servers: init.servers,
      'relay.workers': 1,
      'relay.dns.servers': [this.dnsServer],
      // All relays are on this one machine, which is busy with the tests themselves: its CPU says nothing about a relay.
      'manager.maxLoadPerCore': 1000,
      'manager.maxHottestCore': 1000,
      ...init.settings,
    });
    const site = new MeshSite({ sekisho: this.sekisho }, { name: init.name, file, servers: init.servers, ports });
    this.#sites.push(site);
    return site;
  }

  /** Enters the managers of these sites in DNS, and no others. */
  publish(sites: readonly MeshSite[], ttlS = 60): void {
    const a = sites.flatMap(({ servers }) => servers.filter(({ roles }) => roles.includes('manager')).map(({ address }) => address));
    this.dns.set(MANAGER_NAME, { a, ttlS });
  }

  async enroll(mac: string, ...options: string[]): Promise<string> {
    mkdirSync(join(this.directory, 'agents'), { recursive: true });
    const file = join(this.directory, 'agents', `${mac.replaceAll(':', '')}.yaml`);
    await this.sekisho.mustRun('device', 'enroll', mac, '--operator', this.operator, '--out', file, ...options);
    return file;
  }

  /** Enrolls a device and starts its agent; resolves when its ports accept. */
  async startAgent(init: MeshAgentInit): Promise<MeshAgent> {
    const file = await this.enroll(init.mac);
    return this.runAgent(file, init);
  }

  /** Starts the agent of an agent.yaml. */
  async runAgent(file: string, init: Omit<MeshAgentInit, 'mac'>): Promise<MeshAgent> {
    setKeys(file, { 'manager.port': this.managerPort, 'dns.servers': [this.dnsServer], ...init.settings });
    const ports: number[] = [];
    const forwards: string[] = [];
    for (const destination of init.forward) {
      const port = await freePort();
      ports.push(port);
      forwards.push('--forward', `127.0.0.1:${port}=${destination}`);
    }
    const child = await this.sekisho.start('agent', '--config', file, ...forwards);
    const agent = new MeshAgent({ process: child, file, ports });
    this.#agents.push(agent);
    await Promise.race([
      Promise.all(ports.map((port) => waitForPort({ host: '127.0.0.1', port }, 30_000))),
      child.exited.then(() => Promise.reject(new Error(`the agent ended:\n${child.output}`))),
    ]);
    return agent;
  }

  /** Ends everything and removes every file. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#agents.map(async (agent) => {
        agent.process.kill('SIGKILL');
        await agent.process.exited;
      }),
    );
    await Promise.all(this.#sites.map((site) => site.stop()));
    await this.dns.stop();
    await this.#temp.remove();
  }
}
