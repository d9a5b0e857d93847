import { X509Certificate } from 'node:crypto';
import { type About, digestNumber, secureContext } from '@sekisho/channel';
import { RelayTable, type RelaySnapshot, type Transition } from '@sekisho/scheduler';
import { type Override, OverridesView, type Store } from '@sekisho/store';
import { type Logger, type Metrics, printable } from '@sekisho/telemetry';
import { MAX_RELAYS, type RelayInspection, type RelayReport } from '@sekisho/wire';
import { AdminServer } from './admin-server.ts';
import type { AgentSession } from './agent-session.ts';
import { Agents } from './agents.ts';
import { AuthPool } from './auth-pool.ts';
import { DetectionDesk } from './detection-desk.ts';
import { DriftWatch, type ServerFacts } from './drift-watch.ts';
import { EventLog, type ManagerEvent } from './event-log.ts';
import { Fellows, type FellowStatus } from './fellows.ts';
import { InspectionWatch } from './inspection-watch.ts';
import { LeaseDesk } from './lease-desk.ts';
import { type ManagerMetrics, managerMetrics } from './manager-metrics.ts';
import { StatusPage } from './page/status-page.ts';
import { PUSH_TICK_MS, Pushes } from './pushes.ts';
import { redundancyMetrics } from './redundancy-metrics.ts';
import { type RedundancyStatus, RedundancyWatch } from './redundancy-watch.ts';
import {
  AUTH_TIMEOUT_MS,
  CLOSE_SPREAD_MS,
  type ManagerSettings,
  PUSHES_PER_SECOND,
  type RelayServer,
} from './settings.ts';
import { SiteLinks } from './site-links.ts';
import { siteRedundancy } from './site-redundancy.ts';
import { TableOrders } from './table-orders.ts';

export interface ManagerComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
  /** Milliseconds that never go back. */
  readonly clock?: { now(): number };
  /** At least 0 and below 1. */
  readonly random?: () => number;
}

/** A manager as `sekisho status` shows it. */
export interface ManagerStatus {
  readonly role: 'manager';
  readonly site: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly stopping: boolean;
  /** Null where nobody has told it, as in tests. */
  readonly about: About | null;
  readonly agents: number;
  /** Agents that connect their clients directly now, and hellos that said so since the start. */
  readonly direct: { readonly agents: number; readonly hellos: number };
  readonly pushesPending: number;
  readonly table: {
    readonly policy: string;
    readonly panic: boolean;
    readonly relays: readonly (RelaySnapshot & ServerFacts & {
      readonly host: string;
      readonly port: number;
      readonly override: Override | null;
      /** Null: the relay has said nothing of inspection. */
      readonly inspection: RelayInspection | null;
    })[];
  };
  readonly auths: readonly (ServerFacts & { readonly name: string; readonly host: string; readonly port: number; readonly up: boolean })[];
  /** All managers of the site: this one, then the others as this one sees them. */
  readonly managers: readonly (FellowStatus & { readonly self: boolean })[];
  /** What is missing of what there should be; each kind once. */
  readonly redundancy: readonly RedundancyStatus[];
  readonly store: { readonly up: boolean; readonly reason: string | null; readonly confirmedAt: number | null };
  readonly events: readonly ManagerEvent[];
}

export interface Manager {
  readonly port: number;
  /** Where the status page is served; undefined when it is not. */
  readonly pagePort: number | undefined;
  status(): ManagerStatus;
  /** Refuses new hellos and lets go of the agents, spread over a few seconds, then stops. */
  close(): Promise<void>;
}

const TICK_MS = 1000;

/**
 * Starts a manager. Rejects with the operating system's error when the port or the administration socket cannot be had,
 * and with RangeError for a table that cannot be. A store, an auth or a relay that does not answer is no obstacle.
 */
export async function startManager(components: ManagerComponents, settings: ManagerSettings): Promise<Manager> {
  const manager = new SiteManager(components, settings);
  await manager.start();
  return manager;
}

class SiteManager implements Manager {
  readonly #log: Logger;
  readonly #settings: ManagerSettings;
  readonly #events = new EventLog();
  readonly #metrics: ManagerMetrics;
  readonly #table: RelayTable;
  readonly #inspection: InspectionWatch;
  readonly #drift: DriftWatch;
  readonly #detections: DetectionDesk;
  readonly #overrides: OverridesView;
  readonly #links: SiteLinks;
  readonly #fellows: Fellows;
  readonly #redundancy: RedundancyWatch;
  readonly #desk: LeaseDesk;
  readonly #agents: Agents;
  readonly #pushes: Pushes;
  readonly #admin: AdminServer;
  readonly #page: StatusPage | undefined;
  readonly #timers: NodeJS.Timeout[] = [];
  #storeWasUp = true;
  #port = 0;
  #pagePort: number | undefined;
  #stopping = false;

  constructor({ log, metrics, store, clock = performance, random = Math.random }: ManagerComponents, settings: ManagerSettings) {
    this.#log = log;
    this.#settings = settings;
    this.#table = new RelayTable(
      { clock: () => clock.now(), random, onTransition: (transition) => this.#onTransition(transition) },
      { relays: settings.table.entries, settings: settings.table.scheduler ?? {} },
    );
    this.#overrides = new OverridesView({
      store,
      clock: { now: Date.now },
      log,
      onChange: (overrides) => this.#applyOverrides(overrides),
    });
    this.#inspection = new InspectionWatch({ log, events: this.#events });
    this.#drift = new DriftWatch({ log, events: this.#events }, settings);
    const relays = relaysOf(this.#table, settings);
    const context = secureContext(settings.credentials);
    this.#links = new SiteLinks(
      {
        log,
        events: this.#events,
        drift: this.#drift,
        random,
        onReport: (relay, report) => this.#onReport(relay, report),
        onRelayFailure: (relay, reason) => this.#table.probeFailed(relay, reason),
        onDetection: (relay, detection, note) => this.#detections.take(relay, detection, note),
      },
      { settings, relays, context },
    );
    this.#fellows = new Fellows(
      { log, events: this.#events, drift: this.#drift, clock: { now: Date.now }, random },
      { site: settings.site, fellows: settings.fellows ?? [], context },
    );
    this.#redundancy = new RedundancyWatch({ log, events: this.#events, clock: { now: Date.now }, read: () => this.#siteRedundancy() });
    this.#metrics = this.#registerMetrics(metrics);
    this.#detections = new DetectionDesk({ log, store, metrics: this.#metrics });
    this.#desk = new LeaseDesk(
      {
        clock,
        random,
        table: this.#table,
        auths: new AuthPool({ links: this.#links.auths, clock }, { timeoutMs: settings.authTimeoutMs ?? AUTH_TIMEOUT_MS }),
      },
      { site: settings.site, name: settings.name, relays },
    );
    this.#agents = new Agents({ log, clock, metrics: this.#metrics, desk: this.#desk }, settings);
    this.#pushes = new Pushes(
      { random, move: (agent) => this.#move(agent) },
      { perSecond: settings.pushesPerSecond ?? PUSHES_PER_SECOND },
    );
    const orders = new TableOrders({ table: this.#table, overrides: this.#overrides, log, events: this.#events }, { site: settings.site });
    this.#admin = new AdminServer({ log, orders, status: () => this.status() });
    if (settings.page !== undefined)
      this.#page = new StatusPage(
        { log, clock, orders, requests: this.#metrics.pageRequests, status: () => this.status() },
        { ...settings.page, relays: relays.map(({ name }) => name) },
      );
  }

  get port(): number {
    return this.#port;
  }

  get pagePort(): number | undefined {
    return this.#pagePort;
  }

  async start(): Promise<void> {
    try {
      if (this.#settings.adminSocket !== undefined) await this.#admin.listen(this.#settings.adminSocket);
      // An agent that is told NO_RELAY goes elsewhere, or directly: everybody is asked once before agents may ask.
      await Promise.all([this.#overrides.start(), this.#links.start()]);
      const { port, address } = await this.#agents.listen();
      this.#port = port;
      this.#fellows.start();
      this.#pagePort = await this.#page?.listen();
      this.#log.info({ event: 'started', address, port }, 'the manager is ready');
    } catch (error) {
      await this.#stop(0);
      throw error;
    }
    this.#timers.push(setInterval(() => this.#tick(), TICK_MS), setInterval(() => this.#pushes.tick(), PUSH_TICK_MS));
  }

  status(): ManagerStatus {
    const { site, name, listen, about = null } = this.#settings;
    const { policy, panic, relays: rows } = this.#table.snapshot();
    const overrides = this.#overrides.current();
    const { confirmedAt, failure } = this.#overrides.status();
    const addresses = new Map(this.#links.relays.map((relay) => [relay.name, relay]));
    return {
      role: 'manager',
      site,
      name,
      address: listen.host,
      port: this.#port,
      stopping: this.#stopping,
      about,
      agents: this.#agents.size,
      direct: this.#agents.direct,
      pushesPending: this.#pushes.pending,
      table: {
        policy,
        panic,
        relays: rows.map((row) => {
          const { host = '', port = 0 } = addresses.get(row.name) ?? {};
          return { ...row, ...this.#drift.of('relay', row.name), host, port, override: overrides.get(row.name) ?? null, inspection: this.#inspection.of(row.name) };
        }),
      },
      auths: this.#links.authStates(),
      managers: [this.#self(), ...this.#fellows.list().map((fellow) => ({ ...fellow, self: false }))],
      redundancy: this.#redundancy.look(),
      store: { up: failure === null, reason: failure?.message ?? null, confirmedAt },
      events: this.#events.list(),
    };
  }

  async close(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#log.info({ event: 'stopping', agents: this.#agents.size }, 'the manager stops: its agents go to others');
    await this.#stop(this.#settings.closeSpreadMs ?? CLOSE_SPREAD_MS);
    this.#log.info({ event: 'stopped' }, 'the manager has stopped');
  }

  async #stop(spreadMs: number): Promise<void> {
    await this.#agents.close(spreadMs);
    await this.#page?.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#links.close();
    this.#fellows.close();
    this.#admin.close();
    await this.#overrides.close();
  }

  #tick(): void {
    this.#table.tick();
    this.#fellows.tick();
    this.#redundancy.look();
    const { failure } = this.#overrides.status();
    if ((failure === null) === this.#storeWasUp) return;
    this.#storeWasUp = failure === null;
    this.#events.add(failure === null ? 'store_up' : 'store_down', failure?.message ?? 'the store answers again');
  }

  #self(): ManagerStatus['managers'][number] {
    const { name, listen, about } = this.#settings;
    const said = { software: about === undefined ? null : `sekisho-manager/${about.version}`, config: about?.config ?? null };
    return { name, host: listen.host, port: this.#port, up: true, lostAt: null, reason: null, ...said, clockOffsetMs: 0, self: true };
  }

  #siteRedundancy(): ReturnType<typeof siteRedundancy> {
    return siteRedundancy({
      relays: this.#table.snapshot().relays,
      inspectionOf: (relay) => this.#inspection.of(relay),
      auths: this.#links.authStates(),
      fellows: this.#fellows.list(),
      storeUp: this.#overrides.status().failure === null,
    });
  }

  #onReport(name: string, report: RelayReport | undefined): void {
    if (report === undefined) {
      this.#table.probeFailed(name, 'the relay answers without a report');
      return;
    }
    const { loadPerCoreMilli, hottestCoreMilli, loopDelayUs, draining, unable, inspection, ...rest } = report;
    this.#inspection.report(name, inspection);
    this.#page?.report(name, rest.bytesPerSecond);
    this.#table.report(name, {
      ...rest,
      loadPerCore: loadPerCoreMilli / 1000,
      hottestCore: hottestCoreMilli / 1000,
      loopDelayMs: loopDelayUs / 1000,
      draining: draining === 1,
      unable: unable === undefined ? null : printable(unable),
    });
  }

  #onTransition({ relay, from, to, reason }: Transition): void {
    const up = to === 'up';
    const text = up ? `relay ${relay} is used again` : `relay ${relay} is not used for new mail while it is ${to}`;
    this.#log[up ? 'info' : 'warn']({ event: up ? 'relay_up' : 'relay_marked', relay, from, to, reason }, text);
    this.#events.add(up ? 'relay_up' : 'relay_marked', `${relay}: ${from} to ${to}, ${reason}`);
    if (up) this.#pushes.stay(relay);
    if (to !== 'draining' && to !== 'down') return;
    const count = this.#pushes.leave(relay, this.#agents);
    if (count > 0) this.#log.info({ event: 'agents_moving', relay, agents: count }, `the agents of ${relay} are moved to other relays`);
  }

  #move(agent: AgentSession): void {
    const lease = this.#desk.push(agent);
    if (lease === undefined) return;
    agent.push(lease.message);
    this.#metrics.leases.inc({ reason: lease.reason });
  }

  #applyOverrides(overrides: ReadonlyMap<string, Override>): void {
    for (const { name } of this.#table.snapshot().relays) {
      const override = overrides.get(name);
      const text = override === undefined ? 'none' : `drain ${override.drain}, weight ${override.weight ?? 'as in the table'}`;
      try {
        this.#table.setOverride(name, {
          ...(override?.drain === true ? { drain: true } : {}),
          ...(typeof override?.weight === 'number' ? { weight: override.weight } : {}),
        });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        this.#log.error({ event: 'override_refused', relay: name, reason: error.message }, `the override of ${name} is not possible: ${text}`);
      }
    }
    this.#log.info({ event: 'overrides_changed', overrides: overrides.size }, 'other overrides are in force');
  }

  #registerMetrics(metrics: Metrics): ManagerMetrics {
    const { auths, credentials, fellows = [] } = this.#settings;
    redundancyMetrics(
      metrics,
      {
        isLost: (what) => this.#redundancy.look().some((one) => one.what === what && one.lost.length > 0),
        fellowUp: (name) => this.#fellows.list().some((fellow) => fellow.name === name && fellow.up),
      },
      { fellows: fellows.map(({ name }) => name) },
    );
    const certificateExpiresAtMs = Date.parse(new X509Certificate(credentials.certPem).validTo);
    return managerMetrics(
      metrics,
      {
        agents: () => this.#agents.size,
        agentsDirect: () => this.#agents.direct.agents,
        pushesPending: () => this.#pushes.pending,
        storeUp: () => this.#overrides.status().failure === null,
        scannersDown: (relay) => this.#inspection.down(relay),
        authUp: (name) => this.#links.authStates().some((auth) => auth.name === name && auth.up),
        table: () => this.#table.snapshot(),
        certificateExpiresAtMs: () => certificateExpiresAtMs,
        configDigest: () => digestNumber(this.#settings.about?.config),
        servers: () => this.#agents.servers,
      },
      { relays: this.#links.relays.map(({ name }) => name), auths: auths.map(({ name }) => name) },
    );
  }
}

/** The relays of the table with their addresses. */
function relaysOf(table: RelayTable, settings: ManagerSettings): RelayServer[] {
  const relays = table.snapshot().relays.map(({ name }) => {
    const relay = settings.relays.find((one) => one.name === name);
    if (relay === undefined) throw new RangeError(`the table names ${name}, which is no relay of the site`);
    return relay;
  });
  if (relays.length > MAX_RELAYS) throw new RangeError(`a table has at most ${MAX_RELAYS} relays, not ${relays.length}`);
  return relays;
}
