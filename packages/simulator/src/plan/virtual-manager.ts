import { type PickRequest, RelayTable } from '@sekisho/scheduler';
import type { Random } from '../load/random.ts';
import type { EventQueue } from './event-queue.ts';
import type { CostModel, PlanScenario } from './scenario.ts';
import type { Health, VirtualRelay } from './virtual-relay.ts';
import type { VirtualSite } from './virtual-site.ts';

/** What the table chose: the relay to use, and the one to fall back on. */
export interface Choice {
  readonly relay: VirtualRelay;
  readonly second: VirtualRelay | undefined;
  readonly isKept: boolean;
}

export interface ManagerComponents {
  readonly queue: EventQueue;
  readonly random: Random;
  /** Agents of this manager that use this relay. */
  readonly agentsOf: (relay: VirtualRelay) => readonly number[];
  /** A push: this agent is to leave its relay for the one chosen. */
  readonly onPush: (agent: number, choice: Choice) => void;
  /** The state of a relay in the table changed. */
  readonly onTransition: () => void;
}

export interface ManagerInit {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly site: VirtualSite;
  readonly maxAgents: number;
  readonly scenario: Pick<PlanScenario, 'scheduler' | 'cost'>;
}

/** As in a manager's settings. */
const RELAYS_IN_LEASE = 2;
const PUSHES_PER_SECOND = 200;
const PUSH_TICK_MS = 100;
/** A manager connects again after 250 and 500 ms when it is refused; it waits when nothing comes. */
const TRIES_PER_PROBE = 3;

/** A manager: the real table of the scheduler, fed by the relays of its site, and a queue of agents before it. */
export class VirtualManager {
  readonly index: number;
  readonly name: string;
  readonly address: string;
  readonly site: VirtualSite;
  readonly maxAgents: number;
  health: Health = 'up';
  /** Agents connected. */
  clients = 0;
  /** Hand-outs since the start. */
  handOuts = 0;
  readonly #components: ManagerComponents;
  readonly #scenario: ManagerInit['scenario'];
  readonly #relays: ReadonlyMap<string, VirtualRelay>;
  #table: RelayTable;
  #busyUntilMs = Number.NEGATIVE_INFINITY;
  /** Agents to be moved, by the relay that they are to leave. */
  readonly #leaving = new Map<VirtualRelay, number[]>();
  #isPushing = false;

  constructor(components: ManagerComponents, init: ManagerInit) {
    this.#components = components;
    this.index = init.index;
    this.name = init.name;
    this.address = init.address;
    this.site = init.site;
    this.maxAgents = init.maxAgents;
    this.#scenario = init.scenario;
    this.#relays = new Map(init.site.relays.map((relay) => [relay.name, relay]));
    this.#table = this.#newTable();
  }

  /** Off, or on again without any memory; `silent` and back is a process that hung, and it remembers. */
  become(health: Health, forgets: boolean): void {
    this.health = health;
    this.#leaving.clear();
    this.#busyUntilMs = Number.NEGATIVE_INFINITY;
    if (forgets) this.#table = this.#newTable();
  }

  /** How long a hello that comes now waits for its turn. */
  get waitMs(): number {
    return Math.max(0, this.#busyUntilMs - this.#components.queue.now);
  }

  /** When a hello that comes now is answered: they wait for each other. */
  serve(isNew: boolean): number {
    const { managerConnectionsPerSecond, managerRenewalsPerSecond } = this.#scenario.cost satisfies CostModel;
    const serviceMs = 1000 / (isNew ? managerConnectionsPerSecond : managerRenewalsPerSecond);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#components.queue.now) + serviceMs;
    return this.#busyUntilMs;
  }

  /** The relays for an agent; undefined: none. */
  choose(prefer: string | undefined, exclude: readonly string[]): Choice | undefined {
    const request: PickRequest = { count: RELAYS_IN_LEASE, exclude, ...(prefer === undefined ? {} : { prefer }) };
    const { relays, reason } = this.#table.pick(request);
    const relay = this.#relays.get(relays[0] ?? '');
    if (relay === undefined) return undefined;
    const isKept = reason === 'kept';
    if (!isKept) this.handOuts += 1;
    return { relay, second: this.#relays.get(relays[1] ?? ''), isKept };
  }

  /** One round of probes. */
  probe(): void {
    for (const [name, relay] of this.#relays) {
      if (relay.health === 'up') this.#table.report(name, relay.report(this.site.nominalBytesPerMs));
      else for (let tries = relay.health === 'reset' ? TRIES_PER_PROBE : 1; tries > 0; tries -= 1) this.#table.probeFailed(name, 'no answer');
    }
    this.#table.tick();
  }

  #newTable(): RelayTable {
    const { queue, random, onTransition } = this.#components;
    const table: RelayTable = new RelayTable(
      {
        clock: () => queue.now,
        random,
        onTransition: ({ relay: name, to }) => {
          const relay = this.#relays.get(name);
          if (relay === undefined || this.health !== 'up') return;
          if (to === 'up') this.#leaving.delete(relay);
          if (to === 'down' || to === 'draining') this.#leave(relay);
          onTransition();
        },
      },
      { relays: this.site.relays, settings: this.#scenario.scheduler },
    );
    return table;
  }

  /** As the manager's pushes: the agents of a relay in random order, so many a second. */
  #leave(relay: VirtualRelay): void {
    const { random, agentsOf } = this.#components;
    const agents = [...agentsOf(relay)];
    if (agents.length === 0) return;
    for (let left = agents.length - 1; left > 0; left -= 1) {
      const other = Math.floor(random() * (left + 1));
      [agents[left], agents[other]] = [agents[other] ?? 0, agents[left] ?? 0];
    }
    this.#leaving.set(relay, agents);
    if (!this.#isPushing) this.#push();
  }

  #push(): void {
    const { queue, agentsOf, onPush } = this.#components;
    this.#isPushing = this.#leaving.size > 0 && this.health === 'up';
    if (!this.#isPushing) return;
    let due = (PUSHES_PER_SECOND * PUSH_TICK_MS) / 1000;
    for (const [relay, agents] of this.#leaving) {
      const still = new Set(agentsOf(relay));
      while (due > 0 && agents.length > 0) {
        const agent = agents.pop();
        if (agent === undefined || !still.has(agent)) continue;
        due -= 1;
        const choice = this.choose(undefined, [relay.name]);
        if (choice !== undefined) onPush(agent, choice);
      }
      if (agents.length === 0) this.#leaving.delete(relay);
    }
    queue.after(PUSH_TICK_MS, () => this.#push());
  }
}
