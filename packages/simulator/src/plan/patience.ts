import type { Mesh } from './mesh.ts';
import type { PlanScenario } from './scenario.ts';

export interface PatienceInit {
  readonly scenario: PlanScenario;
  /** So many events a run goes on that cannot become enough any more, besides those of any day. */
  readonly eventsAfterNo: number;
}

const DAY_MS = 86_400_000;
/** A day with a site that dies has 20 for each agent of three sites, and 2 for each of 300. */
const EVENTS_PER_AGENT_DAY = 20;

/**
 * Ends a run that is lost. Agents for which there is no place ask again and again, two events a second each: a day of thousands
 * of them would take hours, and the answer is known. By counting events, since the same scenario has to give the same outcome.
 */
export class Patience {
  readonly #mesh: Mesh;
  readonly #limits: PlanScenario['limits'];
  readonly #maxEvents: number;
  /** The events that had happened when a limit was exceeded. */
  #noSince: number | undefined;
  #hasBegun = false;

  constructor(components: { readonly mesh: Mesh }, { scenario, eventsAfterNo }: PatienceInit) {
    this.#mesh = components.mesh;
    this.#limits = scenario.limits;
    this.#maxEvents = eventsAfterNo + EVENTS_PER_AGENT_DAY * scenario.agents.count * Math.ceil(scenario.durationMs / DAY_MS);
  }

  /** All agents have started; what was refused to them meanwhile does not count. */
  begin(): void {
    this.#hasBegun = true;
  }

  /** To be asked now and then. */
  get goesOn(): boolean {
    const { done } = this.#mesh.queue;
    this.#noSince = this.#isNo ? (this.#noSince ?? done) : undefined;
    return this.#noSince === undefined || done - this.#noSince < this.#maxEvents;
  }

  get #isNo(): boolean {
    const { relays, tally } = this.#mesh;
    return relays.some(({ clients }) => clients > this.#limits.clientsPerServer) || (this.#hasBegun && tally.refusedSum > this.#limits.refused);
  }
}
