import { type AgentTimings, followsNewcomers, inRandomOrder, type LeaseOffer, type ZoneAnswer } from '@sekisho/agent';
import type { Random } from '../load/random.ts';
import { ActiveAgent, type AgentWorld, type Memory } from './active-agent.ts';
import { AgentRows, NONE } from './agent-rows.ts';
import { poisson } from './draws.ts';
import type { EventQueue } from './event-queue.ts';
import type { Layout } from './layout.ts';
import { answerWith, type NameService } from './name-service.ts';
import { PlanError } from './plan-error.ts';
import { Pool } from './pool.ts';
import { type PlanScenario, timingsOf } from './scenario.ts';
import type { Tally } from './tally.ts';
import type { Choice, VirtualManager } from './virtual-manager.ts';
import type { VirtualRelay } from './virtual-relay.ts';
import type { VirtualSite } from './virtual-site.ts';

export interface PopulationComponents {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly names: NameService;
  readonly tally: Tally;
  readonly layout: () => Layout;
  /** Clients come to a site. */
  readonly onArrival: (site: VirtualSite) => void;
  /** An agent goes another way. */
  readonly onMove: (agent: number) => void;
}

/** So many agents in full at once are some gigabytes. */
const MAX_ACTIVE_AGENTS = 200_000;
/** The order of a manager's renewal is 0.4 to 0.6 of the lease, and agents take up to a tenth off. */
export const MEAN_RENEWAL = 0.5 * 0.95;
/** Pauses are drawn from their upper half. */
const MEAN_PAUSE = 0.75;
/** Answers of DNS last whole seconds. */
export const DNS_ROUNDING_MS = 1000;
/** TCP, TLS, and the hello itself; the longest that one takes. */
const HELLO_ROUND_TRIPS = 3 * 1.25;
const TICKET = Buffer.alloc(0);
/** So many standard deviations fewer agents than the mean are no chance. */
const MUCH_MORE_THAN_CHANCE = 4;
/** Looking for an agent at rest among those that are not. */
const MAX_TRIES = 64;

/** All agents: each a row of numbers while nothing happens to it, and simulated in full while something does. */
export class Population {
  readonly rows: AgentRows;
  readonly #components: PopulationComponents;
  readonly #scenario: PlanScenario;
  readonly #timings: AgentTimings;
  readonly #world: AgentWorld;
  readonly #active = new Map<number, ActiveAgent>();
  /** Those that only wait for dead managers, which stay dead until they are told: rows that remember more. */
  readonly #frozen = new Map<number, ActiveAgent>();
  /** Those whose sessions are stories of their own. */
  readonly #troubled: Pool;
  /** Managers that have far fewer agents than the others. */
  readonly #filling = new Set<VirtualManager>();

  constructor(components: PopulationComponents, init: { readonly scenario: PlanScenario; readonly cells: number }) {
    this.#components = components;
    this.#scenario = init.scenario;
    this.#timings = timingsOf(init.scenario);
    const { count } = init.scenario.agents;
    this.rows = new AgentRows({ count, cells: init.cells });
    this.#troubled = new Pool({ count });
    this.#world = this.#makeWorld();
  }

  /** Agents whose sessions come one by one. */
  get troubled(): number {
    return this.#troubled.size;
  }

  /** One of them has a session. */
  beginSession(): void {
    const agent = this.#troubled.any(this.#components.random);
    if (agent !== undefined) this.#active.get(agent)?.begin();
  }

  /** An agent is switched on. */
  start(agent: number): void {
    if (this.#scenario.compact === false || !this.#startSettled(agent)) this.#register(new ActiveAgent(this.#world, agent)).start();
  }

  /** The agents of a manager that use one of these relays are to hear that it is gone. */
  relaysGone(relays: readonly VirtualRelay[], managers: readonly VirtualManager[]): void {
    for (const manager of managers) for (const relay of relays) for (const agent of this.#cell(manager, relay).slice()) this.activate(agent);
    for (const agent of Array.from(this.#active.values())) {
      for (const relay of relays) agent.links.relayGone(relay);
      this.#changed(agent);
    }
  }

  managersGone(managers: readonly VirtualManager[]): void {
    for (const manager of managers) {
      for (const relay of manager.site.relays) for (const agent of this.#cell(manager, relay).slice()) this.activate(agent);
      for (const agent of this.#active.values()) agent.managerGone(manager);
    }
  }

  /** Who waits for these managers probes them again, each at a time of its own. */
  managersBack(managers: readonly VirtualManager[]): void {
    const { queue, random } = this.#components;
    const addresses = new Set(managers.map(({ address }) => address));
    const pauseMs = this.#timings.managerRetryMaxMs * MEAN_PAUSE;
    for (const { id, steering } of this.#frozen.values())
      if (steering.dead.some((address) => addresses.has(address))) queue.after(pauseMs * random(), () => this.activate(id));
  }

  /**
   * Agents at rest choose anew now and then. While every manager has what chance gives it, those who go are as many as those
   * who come, which is left out; one that has far less gets its own back as they would bring it, in the mean.
   */
  rehome(dtMs: number): void {
    const { queue, random, layout } = this.#components;
    if (this.#scenario.compact === false) return;
    const managers = layout().sites.filter(({ inZone }) => inZone).flatMap((site) => site.managers).filter(({ health }) => health === 'up');
    const mean = managers.reduce((sum, { clients }) => sum + clients, 0) / Math.max(managers.length, 1);
    const chance = Math.sqrt(mean);
    for (const manager of managers) {
      const missing = mean - manager.clients;
      if (missing > (this.#filling.has(manager) ? chance : MUCH_MORE_THAN_CHANCE * chance)) this.#filling.add(manager);
      else this.#filling.delete(manager);
      if (!this.#filling.has(manager)) continue;
      for (let left = poisson((missing * dtMs) / this.#timings.rehomeMs, random); left > 0; left -= 1) {
        const agent = this.#someoneElsewhere();
        if (agent !== undefined) queue.after(dtMs * random(), () => this.activate(agent, (full) => full.rehome(manager)));
      }
    }
  }

  /** The agents of one cache ask it, because what it had is over. */
  lookUps(cache: number): void {
    const { queue, random, names, layout } = this.#components;
    const version = names.versionAt(cache, queue.now);
    const after = names.addresses(version);
    const changes = new Map<number, { readonly gained: number; readonly lost: ReadonlySet<string> }>();
    for (let agent = cache; agent < this.rows.count; agent += names.cacheCount) {
      const had = this.rows.version[agent] ?? 0;
      const manager = layout().managers[this.rows.manager[agent] ?? NONE];
      if (this.rows.active[agent] === 1 || had === version || manager === undefined) continue;
      let change = changes.get(had);
      if (change === undefined) {
        const before = names.addresses(had);
        change = { gained: after.filter((address) => !before.includes(address)).length, lost: new Set(before.filter((address) => !after.includes(address))) };
        changes.set(had, change);
      }
      // What it would do is decided by the agent's own rule; only those that do something, or know more, are simulated.
      const drawn = random();
      const moves = change.lost.has(manager.address) || (change.gained > 0 && followsNewcomers(change.gained, after.length, () => drawn));
      if (moves || this.#frozen.has(agent)) this.activate(agent, (full) => full.lookUpNow(drawn), { lookUpAtMs: queue.now + this.#timings.ttlMinMs });
      else this.rows.version[agent] = version;
    }
  }

  /** A manager moves an agent by itself. */
  push(manager: VirtualManager, agent: number, choice: Choice): void {
    const { queue, tally } = this.#components;
    tally.pushes += 1;
    if (this.rows.active[agent] === 1) {
      const offer = this.#offer(manager, choice);
      queue.after(manager.site.roundTripMs / 2, () => this.#active.get(agent)?.pushed(manager, offer));
    } else this.moveSettled(manager, agent, choice);
  }

  /** A lease names another relay to an agent that is nothing but a row: it connects there, and leaves the old one. */
  moveSettled(manager: VirtualManager, agent: number, choice: Choice): void {
    const { layout, onMove } = this.#components;
    const { relay, second } = choice;
    if (!relay.connect()) return this.activate(agent, (full) => full.pushed(manager, this.#offer(manager, choice)));
    const old = layout().relays[this.rows.relay[agent] ?? NONE];
    if (old !== undefined) old.devices -= 1;
    this.#place(agent, manager, relay, second);
    onMove(agent);
  }

  /** An agent at rest whose manager is none of those that have too few. */
  #someoneElsewhere(): number | undefined {
    const { random, layout } = this.#components;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const agent = Math.floor(random() * this.rows.count);
      const manager = layout().managers[this.rows.manager[agent] ?? NONE];
      if (manager !== undefined && this.rows.active[agent] === 0 && !this.#filling.has(manager)) return agent;
    }
    return undefined;
  }

  /** Makes a row an agent in full, in the state that it is in, and lets something happen to it, or else time go by. */
  activate(id: number, happens: (agent: ActiveAgent) => void = start, due: { readonly renewAtMs?: number; readonly lookUpAtMs?: number } = {}): void {
    const { queue, random, names, layout } = this.#components;
    const { now } = queue;
    const manager = layout().managers[this.rows.manager[id] ?? NONE];
    const relay = layout().relays[this.rows.relay[id] ?? NONE];
    const active = this.#active.get(id);
    if (active !== undefined) return happens(active);
    if (manager === undefined || relay === undefined) return;
    const intervalMs = this.#scenario.leaseTtlMs * (0.4 + 0.2 * random()) * (0.9 + random() / 10);
    const renewAtMs = due.renewAtMs ?? now + intervalMs * random();
    const lookUpAtMs = due.lookUpAtMs ?? Math.min(names.nextFetchMs(names.cacheOf(id), now) + DNS_ROUNDING_MS, now + this.#timings.ttlMaxMs * random());
    // The zone keeps an answer for a least time: the lease is as old as it must be for the next look-up to be then.
    const leasedAtMs = Math.min(renewAtMs - intervalMs, lookUpAtMs - this.#timings.ttlMinMs, now);
    const choice = { relay, second: this.#secondOf(id, manager, relay), isKept: true };
    const zone = answerWith(names.addresses(this.rows.version[id] ?? 0), lookUpAtMs - leasedAtMs);
    const memory: Memory = { manager, choice, zone, leasedAtMs, renewAtMs };
    const frozen = this.#frozen.get(id);
    this.#frozen.delete(id);
    const agent = this.#register(frozen ?? new ActiveAgent(this.#world, id));
    if (frozen === undefined) agent.resume(memory, this.#offer(manager, choice));
    else agent.thaw(memory, this.#offer(manager, choice));
    happens(agent);
  }

  /** Agents for which something holds. */
  where(holds: (agent: number) => boolean): number[] {
    const agents: number[] = [];
    for (let agent = 0; agent < this.rows.count; agent += 1) if (holds(agent)) agents.push(agent);
    return agents;
  }

  #makeWorld(): AgentWorld {
    const { queue, random, names, tally, layout } = this.#components;
    const { agents, dns } = this.#scenario;
    return {
      queue,
      random,
      timings: this.#timings,
      failMode: agents.failMode,
      dnsDelayMs: dns.delayMs,
      managerAt: (address) => layout().managerAt(address),
      relayAt: ({ host }) => {
        const relay = layout().relayAt(host);
        if (relay === undefined) throw new PlanError(`there is no relay ${host}`);
        return relay;
      },
      roundTripMs: ({ site }) => ((typeof site === 'number' ? layout().sites[site] : site)?.roundTripMs ?? 0) * (0.75 + random() / 2),
      lookUp: (agent): ZoneAnswer => {
        const cache = names.cacheOf(agent);
        this.rows.version[agent] = names.versionAt(cache, queue.now);
        tally.lookUps += 1;
        return names.answer(cache, queue.now);
      },
      offer: (manager, choice) => this.#offer(manager, choice),
      onHello: () => (tally.hellos += 1),
      onChange: (agent) => this.#changed(agent),
      onSession: (end) => tally.end(end),
    };
  }

  /**
   * A start in which nothing happens: the first manager, in the agent's own order, has time and a relay for it before it
   * would ask another one. False when it is not so, and the agent must be simulated.
   */
  #startSettled(agent: number): boolean {
    const { queue, random, names, tally, layout } = this.#components;
    const version = names.versionAt(names.cacheOf(agent), queue.now);
    const [address = ''] = inRandomOrder(names.addresses(version), random);
    const manager = layout().managerAt(address);
    if (manager?.health !== 'up' || manager.clients >= manager.maxAgents) return false;
    const waitMs = manager.waitMs + manager.site.roundTripMs * HELLO_ROUND_TRIPS;
    const choice = waitMs < this.#timings.managerStaggerMs ? manager.choose(undefined, []) : undefined;
    if (choice?.relay.health !== 'up' || !choice.relay.connect()) return false;
    manager.serve(true);
    tally.hellos += 1;
    tally.lookUps += 1;
    this.rows.version[agent] = version;
    this.#setManager(agent, manager);
    this.#place(agent, manager, choice.relay, choice.second);
    return true;
  }

  #register(agent: ActiveAgent): ActiveAgent {
    if (this.#active.size + this.#frozen.size >= MAX_ACTIVE_AGENTS)
      throw new PlanError(`more than ${MAX_ACTIVE_AGENTS} agents are in trouble at once: take fewer agents, or less that fails together`);
    this.#active.set(agent.id, agent);
    this.rows.setActive(agent.id, 1);
    this.#components.tally.activations += 1;
    return agent;
  }

  /** One that died long ago is in no lease any more. */
  #secondOf(id: number, manager: VirtualManager, relay: VirtualRelay): VirtualRelay | undefined {
    const { queue, layout } = this.#components;
    const second = layout().relays[this.rows.second[id] ?? NONE];
    const diedMs = second === undefined || second.health === 'up' ? queue.now : second.changedAtMs;
    if (second !== undefined && queue.now - diedMs < this.#scenario.leaseTtlMs * MEAN_RENEWAL) return second;
    return manager.choose(relay.name, [])?.second;
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
      renewAfterMs: leaseTtlMs * (0.4 + 0.2 * this.#components.random()),
    };
  }

  /** An agent in full has gone on: keeps its row up to date, and leaves only that when nothing else is to be known. */
  #changed(agent: ActiveAgent): void {
    const { queue, layout, onMove } = this.#components;
    const { id, steering } = agent;
    if (this.#active.get(id) !== agent) return;
    const manager = steering.current === undefined ? undefined : layout().managerAt(steering.current);
    const [relay, second] = (steering.lease(queue.now)?.relays ?? []).map(({ host }) => layout().relayAt(host));
    this.#setManager(id, manager);
    this.rows.relay[id] = relay?.index ?? NONE;
    this.rows.second[id] = second?.index ?? NONE;
    this.rows.move(id, manager === undefined || relay?.site !== manager.site.index ? NONE : layout().cell(manager, relay));
    const { flow } = agent;
    this.#setFlow(id, flow);
    if (flow === undefined) this.#troubled.add(id);
    else this.#troubled.delete(id);
    onMove(id);
    if (this.#scenario.compact !== false && flow !== undefined && flow === relay && agent.isQuiet) this.#settle(agent);
  }

  #settle(agent: ActiveAgent): void {
    const { dead } = agent.steering;
    if (dead.some((address) => this.#components.layout().managerAt(address)?.health === 'up')) return;
    if (dead.length === 0) agent.retire();
    else {
      agent.freeze();
      this.#frozen.set(agent.id, agent);
    }
    this.#active.delete(agent.id);
    this.rows.setActive(agent.id, 0);
  }

  #place(agent: number, manager: VirtualManager, relay: VirtualRelay, second: VirtualRelay | undefined): void {
    this.rows.relay[agent] = relay.index;
    this.rows.second[agent] = second?.index ?? NONE;
    this.rows.move(agent, this.#components.layout().cell(manager, relay));
    this.#setFlow(agent, relay);
  }

  #setManager(agent: number, manager: VirtualManager | undefined): void {
    const before = this.#components.layout().managers[this.rows.manager[agent] ?? NONE];
    if (before === manager) return;
    if (before !== undefined) before.clients -= 1;
    if (manager !== undefined) manager.clients += 1;
    this.rows.manager[agent] = manager?.index ?? NONE;
  }

  #setFlow(agent: number, relay: VirtualRelay | undefined): void {
    const { layout, onArrival } = this.#components;
    const before = layout().relays[this.rows.flow[agent] ?? NONE];
    if (before === relay) return;
    before?.leave();
    relay?.arrive();
    this.rows.flow[agent] = relay?.index ?? NONE;
    const site = relay === undefined ? undefined : layout().sites[relay.site];
    if (site !== undefined) onArrival(site);
  }

  #cell(manager: VirtualManager, relay: VirtualRelay): readonly number[] {
    return this.rows.cell(this.#components.layout().cell(manager, relay));
  }
}

function start(agent: ActiveAgent): void {
  agent.start();
}
