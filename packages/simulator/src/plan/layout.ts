import type { Random } from '../load/random.ts';
import type { EventQueue } from './event-queue.ts';
import type { LoadCurve } from './load-curve.ts';
import type { PlanScenario, SiteScenario } from './scenario.ts';
import { type Choice, VirtualManager } from './virtual-manager.ts';
import { VirtualRelay } from './virtual-relay.ts';
import { VirtualSite } from './virtual-site.ts';

export interface LayoutComponents {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly curve: LoadCurve;
  /** The agents in a cell. */
  readonly agentsIn: (cell: number) => readonly number[];
  readonly onPush: (manager: VirtualManager, agent: number, choice: Choice) => void;
  readonly onTransition: (site: VirtualSite) => void;
}

/** The servers of all sites, numbered through, and the cells: one for each manager and relay of a site. */
export class Layout {
  readonly sites: readonly VirtualSite[];
  readonly relays: readonly VirtualRelay[];
  readonly managers: readonly VirtualManager[];
  readonly cells: number;
  readonly #firstCell: readonly number[];
  readonly #managerAt: ReadonlyMap<string, VirtualManager>;
  readonly #relayAt: ReadonlyMap<string, VirtualRelay>;

  constructor(components: LayoutComponents, scenario: PlanScenario) {
    let relays = 0;
    let managers = 0;
    this.sites = scenario.sites.map((one, index) => {
      const site = this.#site(components, scenario, { index, scenario: one, firstRelay: relays });
      for (let place = 1; place <= one.managers; place += 1) {
        site.managers.push(this.#manager(components, scenario, { index: managers, place, site, maxAgents: one.maxAgents }));
        managers += 1;
      }
      relays += one.relays.length;
      return site;
    });
    this.relays = this.sites.flatMap((site) => site.relays);
    this.managers = this.sites.flatMap((site) => site.managers);
    let cells = 0;
    this.#firstCell = this.managers.map(({ site }) => (cells += site.relays.length) - site.relays.length);
    this.cells = cells;
    this.#managerAt = new Map(this.managers.map((manager) => [manager.address, manager]));
    this.#relayAt = new Map(this.relays.map((relay) => [relay.address.host, relay]));
  }

  managerAt(address: string): VirtualManager | undefined {
    return this.#managerAt.get(address);
  }

  relayAt(host: string): VirtualRelay | undefined {
    return this.#relayAt.get(host);
  }

  /** Where a manager has its agents that use this relay of its site. */
  cell(manager: VirtualManager, relay: VirtualRelay): number {
    return (this.#firstCell[manager.index] ?? 0) + relay.index - (manager.site.relays[0]?.index ?? 0);
  }

  #site(
    { random, curve, queue }: LayoutComponents,
    { agents, cost }: PlanScenario,
    { index, scenario, firstRelay }: { readonly index: number; readonly scenario: SiteScenario; readonly firstRelay: number },
  ): VirtualSite {
    const session = { bytes: agents.sessionBytes, ms: Math.max(agents.sessionMs, (agents.sessionBytes * 8000) / agents.lineBitsPerSecond) };
    const relays = scenario.relays.map((relay, place) => {
      const number = firstRelay + place;
      const address = { name: relay.name, host: `relay-${number}`, port: 7026 };
      return new VirtualRelay({ ...relay, index: number, site: index, address, session, cost });
    });
    return new VirtualSite({ random, curve }, { index, scenario, relays, session, startMs: queue.now });
  }

  #manager(
    { queue, random, agentsIn, onPush, onTransition }: LayoutComponents,
    scenario: PlanScenario,
    { index, place, site, maxAgents }: { readonly index: number; readonly place: number; readonly site: VirtualSite; readonly maxAgents: number },
  ): VirtualManager {
    const manager: VirtualManager = new VirtualManager(
      {
        queue,
        random,
        agentsOf: (relay) => agentsIn(this.cell(manager, relay)),
        onPush: (agent, choice) => onPush(manager, agent, choice),
        onTransition: () => onTransition(site),
      },
      { index, name: `m${place}`, address: `10.${site.index >> 8}.${site.index & 255}.${place}`, site, maxAgents, scenario },
    );
    return manager;
  }
}
