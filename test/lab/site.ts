import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Clamd, startClamd } from '../kit/clamd.ts';
import { type Sekisho, setKeys } from '../kit/mesh.ts';
import { type ProcessResult, runProcess, type TestProcess } from '../kit/process.ts';
import { type Redis, startRedis } from '../kit/redis.ts';
import { DNS, MAIL_NETWORKS, METRICS_PORTS, SITE_PREFIX, type SitePlan } from './addresses.ts';
import type { Internet, Line } from './internet.ts';

export type Role = 'auth' | 'relay' | 'manager';

export interface SiteComponents {
  readonly sekisho: Sekisho;
  readonly internet: Internet;
}

export interface SiteInit {
  readonly plan: SitePlan;
  readonly directory: string;
  readonly operator: string;
  readonly bitsPerSecond: number;
  readonly ticketTtl: string;
}

/** One role of one server, and the processes it has been. */
export interface Unit {
  readonly server: string;
  readonly address: string;
  readonly role: Role;
  process: TestProcess | undefined;
  /** For `configure`. */
  env: Readonly<Record<string, string>>;
}

/** The service manager waits so long before it starts a service again, as `RestartSec=1` says. */
const RESTART_AFTER_MS = 1000;
const STOP_GRACE_MS = 60_000;
const START_TIMEOUT_MS = 60_000;
const PORTS: Record<Role, number> = { manager: 7025, relay: 7026, auth: 7028 };
const START_ORDER: readonly Role[] = ['auth', 'relay', 'manager'];
const MANAGING = 2;

/** A site: five servers that are addresses in one namespace, a Redis and two clamds. Lasts until `stop`. */
export class LabSite {
  readonly name: string;
  readonly plan: SitePlan;
  readonly line: Line;
  readonly file: string;
  readonly redis: Redis;
  readonly scanners: readonly Clamd[];
  readonly units: readonly Unit[];
  /** Whether what ends by itself is started again. */
  supervised = true;
  readonly #sekisho: Sekisho;
  readonly #ended: { readonly name: string; readonly output: string }[] = [];
  #stopped = false;

  private constructor(components: SiteComponents & { line: Line; redis: Redis; scanners: readonly Clamd[] }, init: SiteInit & { file: string }) {
    this.#sekisho = components.sekisho;
    this.line = components.line;
    this.redis = components.redis;
    this.scanners = components.scanners;
    this.plan = init.plan;
    this.name = init.plan.name;
    this.file = init.file;
    this.units = init.plan.servers.flatMap((address, index) => {
      const roles: readonly Role[] = index < MANAGING ? START_ORDER : ['relay'];
      return roles.map((role) => ({ server: `s${index + 1}`, address, role, process: undefined, env: {} }));
    });
  }

  /** Makes its keys, its site.yaml, its line, its Redis and its scanners; none of its servers runs yet. */
  static async create(components: SiteComponents, init: SiteInit): Promise<LabSite> {
    const { plan, directory, operator, bitsPerSecond, ticketTtl } = init;
    await components.sekisho.mustRun('site', 'init', directory, '--operator', operator, '--site', plan.name, '--address', ...plan.servers);
    const file = join(directory, 'site.yaml');
    const line = await components.internet.line({
      name: plan.name,
      gateway: plan.gateway,
      addresses: plan.servers,
      prefix: SITE_PREFIX,
      v6: plan.v6,
      bitsPerSecond,
    });
    const redis = await startRedis();
    const scanners = await Promise.all([1, 2].map(() => startClamd()));
    setKeys(file, {
      'store.url': `redis+unix:${redis.socketPath}`,
      'auth.ticketTtl': ticketTtl,
      'relay.workers': 1,
      'relay.dns.servers': [`${DNS.address}:53`],
      'relay.destinations.allow': MAIL_NETWORKS,
      'relay.inspect.clamd': scanners.map(({ address }) => address),
      // All sites share two cores: what they say about their load says nothing about a relay.
      'manager.maxLoadPerCore': 1000,
      'manager.maxHottestCore': 1000,
      'metrics.manager': METRICS_PORTS.manager,
      'metrics.relay': METRICS_PORTS.relay,
      'metrics.auth': METRICS_PORTS.auth,
    });
    return new LabSite({ ...components, line, redis, scanners }, { ...init, file });
  }

  get managers(): readonly Unit[] {
    return this.units.filter(({ role }) => role === 'manager');
  }

  get relays(): readonly Unit[] {
    return this.units.filter(({ role }) => role === 'relay');
  }

  /** Starts whatever does not run, auth and relays first; resolves when all of it accepts. */
  async start(): Promise<void> {
    this.supervised = true;
    await Promise.all([this.redis.restart(), ...this.scanners.map((scanner) => scanner.restart())]);
    for (const role of START_ORDER) {
      const missing = this.units.filter((unit) => unit.role === role && unit.process?.running !== true);
      await Promise.all(missing.map((unit) => this.startUnit(unit)));
    }
  }

  /** Starts one role of one server; resolves when it accepts. */
  async startUnit(unit: Unit): Promise<void> {
    const { server, address, role } = unit;
    // Every server serves its metrics at its own address; site.yaml is the same on all.
    const env = { SEKISHO__metrics__address: address, ...unit.env };
    const init = this.#sekisho.command(role, '--config', this.file, '--server', server);
    const child = await this.line.namespace.start({ ...init, env: { ...init.env, ...env }, ownGroup: true });
    unit.process = child;
    void child.exited.then(() => this.#onExit(unit, child));
    await this.line.namespace.waitForListener(child, PORTS[role], START_TIMEOUT_MS);
  }

  /** Ends these and starts them again, with these variables of the environment from now on. */
  async restart(units: readonly Unit[], env: Readonly<Record<string, string>> = {}): Promise<void> {
    await Promise.all(units.map((unit) => this.killUnit(unit)));
    for (const unit of units) unit.env = env;
    for (const role of START_ORDER) await Promise.all(units.filter((unit) => unit.role === role).map((unit) => this.startUnit(unit)));
  }

  unit(server: string, role: Role): Unit {
    const found = this.units.find((unit) => unit.server === server && unit.role === role);
    if (found === undefined) throw new Error(`there is no ${role} on ${server} of ${this.name}`);
    return found;
  }

  /** As when the machine loses power: gone without a word, and nobody starts it again. */
  async killUnit(unit: Unit): Promise<void> {
    const child = unit.process;
    unit.process = undefined;
    child?.kill('SIGKILL');
    await child?.exited;
  }

  /** Politely, as the service manager does: it may finish what it has begun. */
  async stopUnit(unit: Unit): Promise<void> {
    const child = unit.process;
    unit.process = undefined;
    await child?.stop(STOP_GRACE_MS);
  }

  /** The whole site at once, with its Redis and its scanners. */
  async kill(): Promise<void> {
    this.supervised = false;
    await Promise.all([...this.units.map((unit) => this.killUnit(unit)), this.redis.kill(), ...this.scanners.map((scanner) => scanner.kill())]);
  }

  /** Stops dead what runs of these, with all connections open (SIGSTOP). */
  pause(units: readonly Unit[]): void {
    for (const { process } of units) process?.kill('SIGSTOP');
  }

  resume(units: readonly Unit[]): void {
    for (const { process } of units) process?.kill('SIGCONT');
  }

  /** `sekisho ... --config` of this site, at the site: the managers are asked over their sockets there. */
  run(...args: string[]): Promise<ProcessResult> {
    return runProcess(this.line.namespace.inside(this.#sekisho.command(...args, '--config', this.file)));
  }

  /** What the managers say of each relay, one row a manager and relay; empty while no manager answers. */
  async relayStates(): Promise<RelayRow[]> {
    return (await this.tables()).flatMap(({ name: manager, table }) => (table?.relays ?? []).map((row) => ({ ...row, manager, relay: row.name })));
  }

  /** What `sekisho status --json` says of managers; empty while none answers. */
  async tables(): Promise<readonly ManagerStatus[]> {
    const { code, stdout } = await this.run('status', '--json');
    if (code !== 0) return [];
    const { managers = [] } = JSON.parse(stdout.toString()) as { managers?: ManagerStatus[] };
    return managers;
  }

  /** Of everything that ran here, by `server-role`. */
  logs(): { readonly name: string; readonly output: string }[] {
    const running = this.units.flatMap(({ server, role, process }) => (process === undefined ? [] : [{ name: `${server}-${role}`, output: process.output }]));
    return [...this.#ended, ...running];
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.supervised = false;
    await Promise.all(this.units.map((unit) => this.killUnit(unit)));
    await Promise.all([this.redis.kill().then(() => this.redis.stop()), ...this.scanners.map((scanner) => scanner.stop())]);
  }

  async #onExit(unit: Unit, child: TestProcess): Promise<void> {
    this.#ended.push({ name: `${unit.server}-${unit.role}`, output: child.output });
    if (!this.supervised || unit.process !== child) return;
    await sleep(RESTART_AFTER_MS);
    // Somebody may have started it meanwhile, or have told that it is to stay away.
    if (this.#stopped || !this.supervised || unit.process !== child) return;
    await this.startUnit(unit).catch(() => undefined);
  }
}

/** A relay as a manager sees it. */
export interface RelayRow {
  readonly manager: string;
  readonly relay: string;
  readonly state: string;
  readonly share: number;
  readonly sessions: number;
}

interface ManagerStatus {
  readonly name: string;
  readonly table?: {
    readonly panic: boolean;
    readonly relays: readonly (Omit<RelayRow, 'manager' | 'relay'> & { readonly name: string })[];
  };
}
