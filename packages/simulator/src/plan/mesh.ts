import { type Random, seeded } from '../load/random.ts';
import { NONE } from './agent-rows.ts';
import { poisson } from './draws.ts';
import { EventQueue } from './event-queue.ts';
import { Layout } from './layout.ts';
import { LoadCurve } from './load-curve.ts';
import { NameService } from './name-service.ts';
import { Pace, STEP_MS } from './pace.ts';
import { DNS_ROUNDING_MS, MEAN_RENEWAL, Population } from './population.ts';
import type { PlanScenario } from './scenario.ts';
import { Tally } from './tally.ts';
import type { VirtualManager } from './virtual-manager.ts';
import type { Health, VirtualRelay } from './virtual-relay.ts';
import type { VirtualSite } from './virtual-site.ts';
import type { Watch } from './watch.ts';

/** After the last agent has started, so that the run begins with a mesh at rest. */
const REST_MS = 90_000;
/** Agents that choose anew are looked for so often. */
const REHOME_STEP_MS = 10_000;
/** Looking for a settled agent among those that are not. */
const MAX_TRIES = 64;

/** The mesh in virtual time: sites, DNS, and all agents. */
export class Mesh {
  readonly queue: EventQueue;
  readonly tally = new Tally();
  readonly watches: Watch[] = [];
  readonly #scenario: PlanScenario;
  readonly #random: Random;
  readonly #curve: LoadCurve;
  readonly #names: NameService;
  readonly #layout: Layout;
  readonly #population: Population;
  readonly #pace: Pace;

  constructor(scenario: PlanScenario) {
    const { agents, dns, seed, startMs } = scenario;
    this.#scenario = scenario;
    this.#random = seeded(seed);
    this.queue = new EventQueue({ startMs: startMs - agents.startSpreadMs - REST_MS });
    this.#curve = new LoadCurve(agents);
    const common = { queue: this.queue, random: this.#random };
    this.#pace = new Pace({ queue: this.queue, look: (site, dtMs) => this.#look(site, dtMs) }, { isEven: scenario.compact === false });
    this.#layout = new Layout(
      {
        ...common,
        curve: this.#curve,
        agentsIn: (cell) => this.#population.rows.cell(cell),
        onPush: (manager, agent, choice) => this.#population.push(manager, agent, choice),
        onTransition: (site) => this.#pace.stir(site),
      },
      scenario,
    );
    this.#names = new NameService({ random: this.#random }, { dns, addresses: this.#zone });
    this.#population = new Population(
      {
        ...common,
        names: this.#names,
        tally: this.tally,
        layout: () => this.#layout,
        onArrival: (site) => this.#pace.stir(site),
        onMove: (agent) => this.#watch(agent),
      },
      { scenario, cells: this.#layout.cells },
    );
    for (const manager of this.#layout.managers) manager.probe();
    for (const site of this.sites) this.#pace.start(site);
    this.queue.at(this.queue.now, () => this.#startFrom(0, this.queue.now));
    this.#troubledSessions();
    this.#rehome();
  }

  get sites(): readonly VirtualSite[] {
    return this.#layout.sites;
  }

  get relays(): readonly VirtualRelay[] {
    return this.#layout.relays;
  }

  /** Agents without a relay to rely on: each of their sessions is a story of its own. */
  get troubled(): number {
    return this.#population.troubled;
  }

  /** Agents whose lease names a relay of this site, or this one relay. */
  agentsAt(site: VirtualSite, relay?: VirtualRelay): number[] {
    return this.#population.where((agent) => {
      const at = this.relays[this.#population.rows.relay[agent] ?? NONE];
      return at !== undefined && (relay === undefined ? at.site === site.index : at === relay);
    });
  }

  agentsOf(manager: VirtualManager): number[] {
    return this.#population.where((agent) => this.managerOf(agent) === manager);
  }

  managerOf(agent: number): VirtualManager | undefined {
    return this.#layout.managers[this.#population.rows.manager[agent] ?? NONE];
  }

  /** The relay through which an agent's sessions go as a matter of course, if there is one. */
  relayOf(agent: number): VirtualRelay | undefined {
    return this.relays[this.#population.rows.flow[agent] ?? NONE];
  }

  /** Relays of a site die or come back; sessions that broke are counted. */
  setRelays(site: VirtualSite, relays: readonly VirtualRelay[], health: Health): void {
    this.#advance(site);
    // Its managers have just heard of it, also where we looked at the site long ago.
    for (const manager of site.managers) if (manager.health === 'up') manager.probe();
    for (const relay of relays) this.tally.broken += relay.become(health, this.queue.now);
    this.#pace.stir(site);
    if (health !== 'up') this.#population.relaysGone(relays, site.managers);
  }

  /** Managers hang, die or come back. `forgets`: those that come back know nothing of before. */
  setManagers(site: VirtualSite, managers: readonly VirtualManager[], health: Health, forgets: boolean): void {
    for (const manager of managers) {
      manager.become(health, forgets);
      if (health === 'up') manager.probe();
    }
    this.#pace.stir(site);
    if (health === 'up') this.#population.managersBack(managers);
    else this.#population.managersGone(managers);
  }

  /** The line of a site is another one. */
  setLine(site: VirtualSite, factor: number): void {
    this.#advance(site);
    site.lineFactor = factor;
    this.#pace.stir(site);
  }

  /** A site is in DNS from now on, or no more; each cache sees it when it fetches next. */
  setInZone(site: VirtualSite, inZone: boolean): void {
    const { now } = this.queue;
    site.inZone = inZone;
    this.#names.publish(now, this.#zone);
    for (let cache = 0; cache < this.#names.cacheCount; cache += 1)
      this.queue.at(this.#names.nextFetchMs(cache, now) + DNS_ROUNDING_MS, () => this.#population.lookUps(cache));
  }

  /** Brings the sessions of all sites up to now; quiet ones are looked at seldom. */
  advance(): void {
    for (const site of this.sites) this.#advance(site);
  }

  get #zone(): string[] {
    return this.sites.filter(({ inZone }) => inZone).flatMap(({ managers }) => managers.map(({ address }) => address));
  }

  #startFrom(agent: number, beganMs: number): void {
    const { count, startSpreadMs } = this.#scenario.agents;
    this.#population.start(agent);
    if (agent + 1 < count) this.queue.at(beganMs + (startSpreadMs * (agent + 1)) / count, () => this.#startFrom(agent + 1, beganMs));
  }

  #watch(agent: number): void {
    for (const watch of this.watches) watch.look(agent, this.queue.now);
  }

  /** The sessions of the next second of all agents in trouble. */
  #troubledSessions(): void {
    const sessions = poisson(this.#curve.ratePerMs(this.queue.now) * STEP_MS * this.#population.troubled, this.#random);
    for (let left = sessions; left > 0; left -= 1) this.queue.after(STEP_MS * this.#random(), () => this.#population.beginSession());
    this.queue.after(STEP_MS, () => this.#troubledSessions());
  }

  #rehome(): void {
    this.#population.rehome(REHOME_STEP_MS);
    this.queue.after(REHOME_STEP_MS, () => this.#rehome());
  }

  #advance(site: VirtualSite): void {
    this.tally.relayed += site.advance(this.queue.now, (relay, sessions) => this.#refuse(site, relay, sessions));
  }

  /** All relays of the site were full for these sessions; their agents ask for another one. */
  #refuse(site: VirtualSite, relay: VirtualRelay, sessions: number): void {
    this.tally.refuse('FULL', sessions);
    this.#pace.stir(site);
    for (let left = sessions; left > 0; left -= 1) {
      const manager = site.managers[Math.floor(this.#random() * site.managers.length)];
      const agents = manager === undefined ? [] : this.#population.rows.cell(this.#layout.cell(manager, relay));
      const agent = agents[Math.floor(this.#random() * agents.length)];
      if (agent !== undefined) this.#population.activate(agent, (full) => full.trouble());
    }
  }

  /** Sessions, probes, and the renewals of agents that are rows. */
  #look(site: VirtualSite, dtMs: number): void {
    this.#advance(site);
    for (const manager of site.managers) {
      if (manager.health !== 'up') continue;
      manager.probe();
      for (const relay of site.relays) this.#renew(manager, relay, dtMs);
    }
  }

  /**
   * The renewals of this step at one manager, of agents that use one relay and are rows. Their questions are the same
   * (prefer this relay), so as soon as one of them is told to stay, so are the others: hand-outs only come between.
   */
  #renew(manager: VirtualManager, relay: VirtualRelay, dtMs: number): void {
    const { rows } = this.#population;
    const cell = this.#layout.cell(manager, relay);
    const settled = rows.settledIn(cell);
    if (settled === 0) return;
    const renewals = Math.min(settled, poisson((settled * dtMs) / (this.#scenario.leaseTtlMs * MEAN_RENEWAL), this.#random));
    this.tally.hellos += renewals;
    for (let left = renewals; left > 0; left -= 1) {
      const choice = manager.choose(relay.name, []);
      if (choice?.isKept === true) return;
      const agent = this.#someSettled(cell);
      if (agent === undefined) return;
      // It has to ask by itself: what comes of a no is for the agent to decide.
      if (choice === undefined) this.#population.activate(agent, (full) => full.start(), { renewAtMs: this.queue.now });
      else if (choice.relay !== relay) {
        this.tally.rebalanced += 1;
        this.#population.moveSettled(manager, agent, choice);
      }
    }
  }

  #someSettled(cell: number): number | undefined {
    const { rows } = this.#population;
    const agents = rows.cell(cell);
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const agent = agents[Math.floor(this.#random() * agents.length)];
      if (agent !== undefined && rows.active[agent] === 0) return agent;
    }
    return agents.find((agent) => rows.active[agent] === 0);
  }
}
