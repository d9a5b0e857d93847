import { type AgentTimings, followsNewcomers, inRandomOrder, type LeaseOffer, type ZoneAnswer } from '@sekisho/agent';
import { type Random, seeded } from '../load/random.ts';
import { ActiveAgent, type AgentWorld, type Memory } from './active-agent.ts';
import { AgentRows, NONE } from './agent-rows.ts';
import { poisson } from './draws.ts';
import { EventQueue } from './event-queue.ts';
import { LoadCurve } from './load-curve.ts';
import { answerWith, NameService } from './name-service.ts';
import { PlanError } from './plan-error.ts';
import { Pool } from './pool.ts';
import { type PlanScenario, timingsOf } from './scenario.ts';
import { Tally } from './tally.ts';
import { type Choice, VirtualManager } from './virtual-manager.ts';
import { type Health, VirtualRelay } from './virtual-relay.ts';
import { VirtualSite } from './virtual-site.ts';
import type { Watch } from './watch.ts';

/** So many agents in full at once are some gigabytes. */
export const MAX_ACTIVE_AGENTS = 200_000;
/** After the last agent has started, so that the run begins with a mesh at rest. */
const REST_MS = 90_000;
/** A site where something happens is looked at so often, as its managers do; others when renewals have added up. */
const STEP_MS = 1000;
const QUIET_STEP_MS = 120_000;
const CLOSE_STEP_MS = 5000;
/** So long after the last event of a site its relays have ended their slow start. */
const BUSY_FOR_MS = 45_000;
/** Near a limit it is looked at more often, though nothing happens. */
const CLOSE_TO_LIMIT = 0.7;
/** The order of a manager's renewal is 0.4 to 0.6 of the lease, and agents take up to a tenth off. */
const MEAN_RENEWAL = 0.5 * 0.95;
const ROUNDING_MS = 1000;
/** Pauses are drawn from their upper half. */
const MEAN_PAUSE = 0.75;
/** TCP, TLS, and the hello itself; the longest that one takes. */
const HELLO_ROUND_TRIPS = 3 * 1.25;
/** Looking for a settled agent among those that are not. */
const MAX_TRIES = 64;
const TICKET = Buffer.alloc(0);

/** The mesh in virtual time: sites, DNS, and all agents, each a row or simulated in full. */
export class Mesh {
  readonly queue: EventQueue;
  readonly tally = new Tally();
  readonly rows: AgentRows;
  readonly sites: readonly VirtualSite[];
  readonly relays: readonly VirtualRelay[];
  readonly managers: readonly VirtualManager[];
  readonly names: NameService;
  readonly curve: LoadCurve;
  /** The most clients that each relay ever had since reset. */
  readonly peakClients: Int32Array;
  readonly watches: Watch[] = [];
  readonly #scenario: PlanScenario;
  readonly #timings: AgentTimings;
  readonly #random: Random;
  readonly #world: AgentWorld;
  readonly #active = new Map<number, ActiveAgent>();
  /** Those that only wait for dead managers, which stay dead until they are told: rows that remember more. */
  readonly #frozen = new Map<number, ActiveAgent>();
  /** Those whose sessions are stories of their own. */
  readonly #troubled: Pool;
  readonly #managerAt = new Map<string, VirtualManager>();
  readonly #relayAt = new Map<string, VirtualRelay>();
  /** By site: the first relay's index. */
  readonly #firstRelay: readonly number[];
  readonly #firstCell: number[] = [];
  #managersMade = 0;
  /** By site: when something happened last, when it is looked at next, and was last. */
  readonly #busyUntilMs: number[];
  readonly #nextStepMs: number[];
  readonly #lastStepMs: number[];

  constructor(scenario: PlanScenario) {
    const { agents, sites, seed, startMs } = scenario;
    this.#scenario = scenario;
    this.#timings = timingsOf(scenario);
    this.#random = seeded(seed);
    this.queue = new EventQueue({ startMs: startMs - agents.startSpreadMs - REST_MS });
    this.curve = new LoadCurve(agents);
    let first = 0;
    this.#firstRelay = sites.map(({ relays }) => (first += relays.length) - relays.length);
    this.sites = sites.map((_, index) => this.#makeSite(index));
    this.relays = this.sites.flatMap((site) => site.relays);
    this.managers = this.sites.flatMap((site) => site.managers);
    for (const manager of this.managers) this.#managerAt.set(manager.address, manager);
    for (const relay of this.relays) this.#relayAt.set(relay.address.host, relay);
    let cells = 0;
    for (const { site } of this.managers) {
      this.#firstCell.push(cells);
      cells += site.relays.length;
    }
    this.rows = new AgentRows({ count: agents.count, cells });
    this.#troubled = new Pool({ count: agents.count });
    this.names = new NameService({ random: this.#random }, { dns: scenario.dns, addresses: this.zone });
    this.peakClients = new Int32Array(this.relays.length);
    this.#busyUntilMs = sites.map(() => this.queue.now);
    this.#nextStepMs = sites.map(() => Number.POSITIVE_INFINITY);
    this.#lastStepMs = sites.map(() => this.queue.now);
    this.#world = this.#makeWorld();
    for (const manager of this.managers) manager.probe();
    for (const site of this.sites) this.#plan(site, this.queue.now + STEP_MS);
    this.#startAgents();
    this.queue.after(STEP_MS, () => this.#troubledSessions());
  }

  /** The addresses that are registered now. */
  get zone(): string[] {
    return this.sites.filter(({ inZone }) => inZone).flatMap(({ managers }) => managers.map(({ address }) => address));
  }

  /** Agents that are simulated in full now. */
  get activeCount(): number {
    return this.#active.size;
  }

  /** Forgets what was counted, and what was highest, until now. */
  resetPeaks(): void {
    for (const relay of this.relays) this.peakClients[relay.index] = relay.clients;
  }

  /** Agents whose lease names a relay of this site, or this one relay. */
  agentsAt(site: VirtualSite, relay?: VirtualRelay): number[] {
    return this.#agentsWhere((agent) => {
      const at = this.relays[this.rows.relay[agent] ?? NONE];
      return at !== undefined && (relay === undefined ? at.site === site.index : at === relay);
    });
  }

  agentsOf(manager: VirtualManager): number[] {
    return this.#agentsWhere((agent) => this.rows.manager[agent] === manager.index);
  }

  /** The site through which an agent's sessions go, if they go through one. */
  siteOf(agent: number): number | undefined {
    return this.relays[this.rows.flow[agent] ?? NONE]?.site;
  }

  /** Relays of a site die or come back. Returns nothing; broken sessions are counted. */
  setRelays(site: VirtualSite, relays: readonly VirtualRelay[], health: Health): void {
    this.#advance(site);
    // Its managers have just heard of it, also where we looked at the site long ago.
    for (const manager of site.managers) if (manager.health === 'up') manager.probe();
    for (const relay of relays) this.tally.broken += relay.become(health, this.queue.now);
    this.#stir(site);
    if (health === 'up') return;
    for (const manager of site.managers)
      for (const relay of relays) for (const agent of this.rows.cell(this.#cell(manager, relay)).slice()) this.#activate(agent);
    for (const agent of Array.from(this.#active.values())) {
      for (const relay of relays) agent.links.relayGone(relay);
      this.#changed(agent);
    }
  }

  setManagers(site: VirtualSite, managers: readonly VirtualManager[], health: Health, forgets: boolean): void {
    for (const manager of managers) {
      manager.become(health, forgets);
      if (health === 'up') manager.probe();
    }
    this.#stir(site);
    if (health === 'up') return this.#awaken(managers);
    for (const manager of managers) {
      for (const agent of this.#settledOf(manager)) this.#activate(agent);
      for (const agent of this.#active.values()) agent.managerGone(manager);
    }
  }

  /** Who waits for these managers probes them again, each at a time of its own. */
  #awaken(managers: readonly VirtualManager[]): void {
    const addresses = new Set(managers.map(({ address }) => address));
    const pauseMs = this.#timings.managerRetryMaxMs * MEAN_PAUSE;
    for (const { id, steering } of this.#frozen.values())
      if (steering.dead.some((address) => addresses.has(address))) this.queue.after(pauseMs * this.#random(), () => this.#activate(id));
  }

  /** The line of a site is another one. */
  setLine(site: VirtualSite, factor: number): void {
    this.#advance(site);
    site.lineFactor = factor;
    this.#stir(site);
  }

  /** Brings the sessions of all sites up to now; quiet ones are looked at seldom. */
  advance(): void {
    for (const site of this.sites) this.#advance(site);
  }

  /** The zone is another from now on; each cache sees it when it fetches next. */
  publish(): void {
    const { now } = this.queue;
    this.names.publish(now, this.zone);
    for (let cache = 0; cache < this.names.cacheCount; cache += 1)
      this.queue.at(this.names.nextFetchMs(cache, now) + ROUNDING_MS, () => this.#lookUps(cache));
  }

  #makeSite(index: number): VirtualSite {
    const { sites, agents, cost } = this.#scenario;
    const scenario = sites[index];
    if (scenario === undefined) throw new PlanError(`there is no site ${index}`);
    const session = { bytes: agents.sessionBytes, ms: Math.max(agents.sessionMs, (agents.sessionBytes * 8000) / agents.lineBitsPerSecond) };
    const relays = scenario.relays.map((relay, place) => {
      const number = (this.#firstRelay[index] ?? 0) + place;
      return new VirtualRelay({ ...relay, index: number, site: index, address: { name: relay.name, host: `relay-${number}`, port: 7026 }, session, cost });
    });
    const site = new VirtualSite({ random: this.#random, curve: this.curve }, { index, scenario, relays, session, startMs: this.queue.now });
    for (let place = 1; place <= scenario.managers; place += 1) site.managers.push(this.#makeManager(site, place, scenario.maxAgents));
    return site;
  }

  #makeManager(site: VirtualSite, place: number, maxAgents: number): VirtualManager {
    const index = this.#managersMade;
    this.#managersMade += 1;
    const manager: VirtualManager = new VirtualManager(
      {
        queue: this.queue,
        random: this.#random,
        agentsOf: (relay) => this.rows.cell(this.#cell(manager, relay)),
        onPush: (agent, choice) => this.#push(manager, agent, choice),
        onTransition: () => this.#stir(site),
      },
      { index, name: `m${place}`, address: `10.${site.index >> 8}.${site.index & 255}.${place}`, site, maxAgents, scenario: this.#scenario },
    );
    return manager;
  }

  #makeWorld(): AgentWorld {
    const { agents, dns } = this.#scenario;
    return {
      queue: this.queue,
      random: this.#random,
      timings: this.#timings,
      failMode: agents.failMode,
      dnsDelayMs: dns.delayMs,
      managerAt: (address) => this.#managerAt.get(address),
      relayAt: ({ host }) => {
        const relay = this.#relayAt.get(host);
        if (relay === undefined) throw new PlanError(`there is no relay ${host}`);
        return relay;
      },
      roundTripMs: ({ site }) => ((typeof site === 'number' ? this.sites[site] : site)?.roundTripMs ?? 0) * (0.75 + this.#random() / 2),
      lookUp: (agent) => this.#lookUp(agent),
      offer: (manager, choice) => this.#offer(manager, choice),
      onHello: () => (this.tally.hellos += 1),
      onChange: (agent) => this.#changed(agent),
      onSession: (end) => this.tally.end(end),
    };
  }

  #startAgents(): void {
    const { count, startSpreadMs } = this.#scenario.agents;
    const beganMs = this.queue.now;
    const begin = (agent: number): void => {
      if (this.#scenario.compact === false || !this.#startSettled(agent)) this.#register(new ActiveAgent(this.#world, agent)).start();
      if (agent + 1 < count) this.queue.at(beganMs + (startSpreadMs * (agent + 1)) / count, () => begin(agent + 1));
    };
    this.queue.at(beganMs, () => begin(0));
  }

  /**
   * A start in which nothing happens: the first manager, in the agent's own order, has time and a relay for it before it
   * would ask another one. False when it is not so, and the agent must be simulated.
   */
  #startSettled(agent: number): boolean {
    const { rows, tally, queue } = this;
    const version = this.names.versionAt(this.names.cacheOf(agent), queue.now);
    const [address = ''] = inRandomOrder(this.names.addresses(version), this.#random);
    const manager = this.#managerAt.get(address);
    if (manager?.health !== 'up' || manager.clients >= manager.maxAgents) return false;
    const waitMs = manager.waitMs + manager.site.roundTripMs * HELLO_ROUND_TRIPS;
    const choice = waitMs < this.#timings.managerStaggerMs ? manager.choose(undefined, []) : undefined;
    if (choice?.relay.health !== 'up' || !choice.relay.connect()) return false;
    manager.serve(true);
    tally.hellos += 1;
    tally.lookUps += 1;
    manager.clients += 1;
    rows.manager[agent] = manager.index;
    rows.relay[agent] = choice.relay.index;
    rows.second[agent] = choice.second?.index ?? NONE;
    rows.version[agent] = version;
    rows.move(agent, this.#cell(manager, choice.relay));
    this.#setFlow(agent, choice.relay);
    return true;
  }

  #register(agent: ActiveAgent): ActiveAgent {
    if (this.#active.size + this.#frozen.size >= MAX_ACTIVE_AGENTS)
      throw new PlanError(`more than ${MAX_ACTIVE_AGENTS} agents are in trouble at once: take fewer agents, or less that fails together`);
    this.#active.set(agent.id, agent);
    this.rows.setActive(agent.id, 1);
    this.tally.activations += 1;
    return agent;
  }

  /** Makes a row an agent in full, in the state that it is in, and lets something happen to it, or else time go by. */
  #activate(id: number, happens: (agent: ActiveAgent) => void = start, due: { readonly renewAtMs?: number; readonly lookUpAtMs?: number } = {}): void {
    const manager = this.managers[this.rows.manager[id] ?? NONE];
    const relay = this.relays[this.rows.relay[id] ?? NONE];
    const active = this.#active.get(id);
    if (active !== undefined) return happens(active);
    if (manager === undefined || relay === undefined) return;
    const { now } = this.queue;
    const intervalMs = this.#renewalMs();
    const renewAtMs = due.renewAtMs ?? now + intervalMs * this.#random();
    const cache = this.names.cacheOf(id);
    const lookUpAtMs = due.lookUpAtMs ?? Math.min(this.names.nextFetchMs(cache, now) + ROUNDING_MS, now + this.#timings.ttlMaxMs * this.#random());
    // The zone keeps an answer for a least time: the lease is as old as it must be for the next look-up to be then.
    const leasedAtMs = Math.min(renewAtMs - intervalMs, lookUpAtMs - this.#timings.ttlMinMs, now);
    const choice = { relay, second: this.#secondOf(id, manager, relay), isKept: true };
    const zone = answerWith(this.names.addresses(this.rows.version[id] ?? 0), lookUpAtMs - leasedAtMs);
    const memory: Memory = { manager, choice, zone, leasedAtMs, renewAtMs };
    const frozen = this.#frozen.get(id);
    this.#frozen.delete(id);
    const agent = this.#register(frozen ?? new ActiveAgent(this.#world, id));
    if (frozen === undefined) agent.resume(memory, this.#offer(manager, choice));
    else agent.thaw(memory, this.#offer(manager, choice));
    happens(agent);
  }

  /** One that died long ago is in no lease any more. */
  #secondOf(id: number, manager: VirtualManager, relay: VirtualRelay): VirtualRelay | undefined {
    const second = this.relays[this.rows.second[id] ?? NONE];
    if (second?.health === 'up' || (second !== undefined && this.queue.now - second.changedAtMs < this.#scenario.leaseTtlMs * MEAN_RENEWAL)) return second;
    return manager.choose(relay.name, [])?.second;
  }

  #renewalMs(): number {
    return this.#scenario.leaseTtlMs * (0.4 + 0.2 * this.#random()) * (0.9 + this.#random() / 10);
  }

  #offer(manager: VirtualManager, { relay, second }: Choice): LeaseOffer {
    const { leaseTtlMs } = this.#scenario;
    return {
      site: manager.site.name,
      manager: manager.name,
      relays: second === undefined ? [relay.address] : [relay.address, second.address],
      ticket: TICKET,
      reason: 'plan',
      ttlMs: leaseTtlMs,
      renewAfterMs: leaseTtlMs * (0.4 + 0.2 * this.#random()),
    };
  }

  #lookUp(agent: number): ZoneAnswer {
    const cache = this.names.cacheOf(agent);
    this.rows.version[agent] = this.names.versionAt(cache, this.queue.now);
    this.tally.lookUps += 1;
    return this.names.answer(cache, this.queue.now);
  }

  /** An agent in full has gone on: keeps its row up to date, and leaves only that when nothing else is to be known. */
  #changed(agent: ActiveAgent): void {
    const { id, steering } = agent;
    const { rows } = this;
    if (this.#active.get(id) !== agent) return;
    const manager = steering.current === undefined ? undefined : this.#managerAt.get(steering.current);
    const lease = steering.lease(this.queue.now);
    const [relay, second] = (lease?.relays ?? []).map(({ host }) => this.#relayAt.get(host));
    const before = this.managers[rows.manager[id] ?? NONE];
    if (before !== manager) {
      if (before !== undefined) before.clients -= 1;
      if (manager !== undefined) manager.clients += 1;
      rows.manager[id] = manager?.index ?? NONE;
    }
    rows.relay[id] = relay?.index ?? NONE;
    rows.second[id] = second?.index ?? NONE;
    rows.move(id, manager === undefined || relay?.site !== manager.site.index ? NONE : this.#cell(manager, relay));
    const flow = agent.flow;
    this.#setFlow(id, flow);
    if (flow === undefined) this.#troubled.add(id);
    else this.#troubled.delete(id);
    for (const watch of this.watches) watch.look(id, this.queue.now);
    if (this.#scenario.compact === false || flow === undefined || flow !== relay || !agent.isQuiet) return;
    const { dead } = steering;
    if (dead.some((address) => this.#managerAt.get(address)?.health === 'up')) return;
    if (dead.length === 0) agent.retire();
    else {
      agent.freeze();
      this.#frozen.set(id, agent);
    }
    this.#active.delete(id);
    rows.setActive(id, 0);
  }

  /** The sessions of the next second of all agents in trouble. */
  #troubledSessions(): void {
    const { now } = this.queue;
    const sessions = poisson(this.curve.ratePerMs(now) * STEP_MS * this.#troubled.size, this.#random);
    for (let left = sessions; left > 0; left -= 1)
      this.queue.after(STEP_MS * this.#random(), () => {
        const agent = this.#troubled.any(this.#random);
        if (agent !== undefined) this.#active.get(agent)?.begin();
      });
    this.queue.after(STEP_MS, () => this.#troubledSessions());
  }

  #setFlow(agent: number, relay: VirtualRelay | undefined): void {
    const index = relay?.index ?? NONE;
    const before = this.rows.flow[agent] ?? NONE;
    if (before === index) return;
    const left = this.relays[before];
    if (left !== undefined) left.clients -= 1;
    if (relay !== undefined) {
      relay.clients += 1;
      if (relay.clients > (this.peakClients[index] ?? 0)) this.peakClients[index] = relay.clients;
      const site = this.sites[relay.site];
      if (site !== undefined) this.#stir(site);
    }
    this.rows.flow[agent] = index;
  }

  #push(manager: VirtualManager, agent: number, choice: Choice): void {
    this.tally.pushes += 1;
    if (this.rows.active[agent] === 1) {
      const offer = this.#offer(manager, choice);
      const { roundTripMs } = manager.site;
      this.queue.after(roundTripMs / 2, () => this.#active.get(agent)?.pushed(manager, offer));
    } else this.#moveSettled(manager, agent, choice);
  }

  /** A lease names another relay to an agent that is nothing but a row: it connects there, and leaves the old one. */
  #moveSettled(manager: VirtualManager, agent: number, { relay, second, isKept }: Choice): void {
    if (!relay.connect()) {
      this.#activate(agent, (full) => full.pushed(manager, this.#offer(manager, { relay, second, isKept })));
      return;
    }
    const old = this.relays[this.rows.relay[agent] ?? NONE];
    if (old !== undefined) old.devices -= 1;
    this.rows.relay[agent] = relay.index;
    this.rows.second[agent] = second?.index ?? NONE;
    this.rows.move(agent, this.#cell(manager, relay));
    this.#setFlow(agent, relay);
    for (const watch of this.watches) watch.look(agent, this.queue.now);
  }

  /** The agents of one cache ask it, because what it had is over. */
  #lookUps(cache: number): void {
    const { now } = this.queue;
    const version = this.names.versionAt(cache, now);
    const after = this.names.addresses(version);
    const changes = new Map<number, { readonly gained: number; readonly lost: ReadonlySet<string> }>();
    for (let agent = cache; agent < this.rows.count; agent += this.names.cacheCount) {
      const had = this.rows.version[agent] ?? 0;
      const manager = this.managers[this.rows.manager[agent] ?? NONE];
      if (this.rows.active[agent] === 1 || had === version || manager === undefined) continue;
      let change = changes.get(had);
      if (change === undefined) {
        const before = this.names.addresses(had);
        change = { gained: after.filter((address) => !before.includes(address)).length, lost: new Set(before.filter((address) => !after.includes(address))) };
        changes.set(had, change);
      }
      // What it would do is decided by the agent's own rule; only those that do something, or know more, are simulated.
      const drawn = this.#random();
      const moves = change.lost.has(manager.address) || (change.gained > 0 && followsNewcomers(change.gained, after.length, () => drawn));
      if (moves || this.#frozen.has(agent)) this.#activate(agent, (full) => full.lookUpNow(drawn), { lookUpAtMs: now + this.#timings.ttlMinMs });
      else this.rows.version[agent] = version;
    }
  }

  #advance(site: VirtualSite): void {
    this.tally.relayed += site.advance(this.queue.now, (relay, sessions) => this.#refuse(site, relay, sessions));
  }

  /** All relays of the site were full for these sessions; their agents ask for another one. */
  #refuse(site: VirtualSite, relay: VirtualRelay, sessions: number): void {
    this.tally.refuse('FULL', sessions);
    this.#stir(site);
    for (let left = sessions; left > 0; left -= 1) {
      const manager = site.managers[Math.floor(this.#random() * site.managers.length)];
      const agents = manager === undefined ? [] : this.rows.cell(this.#cell(manager, relay));
      const agent = agents[Math.floor(this.#random() * agents.length)];
      if (agent !== undefined) this.#activate(agent, (full) => full.trouble());
    }
  }

  #stir(site: VirtualSite): void {
    const { now } = this.queue;
    this.#busyUntilMs[site.index] = now + BUSY_FOR_MS;
    if ((this.#nextStepMs[site.index] ?? 0) > now + STEP_MS) this.#plan(site, now + STEP_MS);
  }

  #plan(site: VirtualSite, atMs: number): void {
    this.#nextStepMs[site.index] = atMs;
    this.queue.at(atMs, () => {
      if (this.#nextStepMs[site.index] === atMs) this.#step(site);
    });
  }

  /** Sessions, probes, and the renewals of agents that are rows. */
  #step(site: VirtualSite): void {
    const { now } = this.queue;
    const dtMs = now - (this.#lastStepMs[site.index] ?? now);
    this.#lastStepMs[site.index] = now;
    this.#nextStepMs[site.index] = Number.POSITIVE_INFINITY;
    this.#advance(site);
    for (const manager of site.managers) {
      if (manager.health !== 'up') continue;
      manager.probe();
      for (const relay of site.relays) this.#renew(manager, relay, dtMs);
    }
    const wantedMs = this.#pauseOf(site);
    if ((this.#nextStepMs[site.index] ?? 0) > now + wantedMs) this.#plan(site, now + wantedMs);
  }

  #pauseOf(site: VirtualSite): number {
    if (this.#scenario.compact === false || this.queue.now < (this.#busyUntilMs[site.index] ?? 0)) return STEP_MS;
    const isClose = site.lineDemand > CLOSE_TO_LIMIT || site.relays.some(({ cpu, fill }) => cpu > CLOSE_TO_LIMIT || fill > CLOSE_TO_LIMIT);
    return isClose ? CLOSE_STEP_MS : QUIET_STEP_MS;
  }

  /**
   * The renewals of this step at one manager, of agents that use one relay and are rows. Their questions are the same
   * (prefer this relay), so as soon as one of them is told to stay, so are the others: hand-outs only come between.
   */
  #renew(manager: VirtualManager, relay: VirtualRelay, dtMs: number): void {
    const cell = this.#cell(manager, relay);
    const settled = this.rows.settledIn(cell);
    if (settled === 0) return;
    const renewals = Math.min(settled, poisson((settled * dtMs) / (this.#scenario.leaseTtlMs * MEAN_RENEWAL), this.#random));
    this.tally.hellos += renewals;
    for (let left = renewals; left > 0; left -= 1) {
      const choice = manager.choose(relay.name, []);
      if (choice?.isKept === true) return;
      const agent = this.#someSettled(cell);
      if (agent === undefined) return;
      if (choice === undefined) this.#activate(agent, start, { renewAtMs: this.queue.now });
      else if (choice.relay !== relay) {
        this.tally.rebalanced += 1;
        this.#moveSettled(manager, agent, choice);
      }
    }
  }

  #someSettled(cell: number): number | undefined {
    const agents = this.rows.cell(cell);
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const agent = agents[Math.floor(this.#random() * agents.length)];
      if (agent !== undefined && this.rows.active[agent] === 0) return agent;
    }
    return agents.find((agent) => this.rows.active[agent] === 0);
  }

  #cell(manager: VirtualManager, relay: VirtualRelay): number {
    return (this.#firstCell[manager.index] ?? 0) + relay.index - (this.#firstRelay[manager.site.index] ?? 0);
  }

  #settledOf(manager: VirtualManager): number[] {
    return manager.site.relays.flatMap((relay) => this.rows.cell(this.#cell(manager, relay)).filter((agent) => this.rows.active[agent] === 0));
  }

  #agentsWhere(holds: (agent: number) => boolean): number[] {
    const agents: number[] = [];
    for (let agent = 0; agent < this.rows.count; agent += 1) if (holds(agent)) agents.push(agent);
    return agents;
  }
}

function start(agent: ActiveAgent): void {
  agent.start();
}
