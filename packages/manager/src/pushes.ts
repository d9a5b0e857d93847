import type { AgentSession } from './agent-session.ts';

export interface PushesComponents {
  /** At least 0 and below 1. */
  random(): number;
  /** Moves one agent. */
  move(agent: AgentSession): void;
}

/** Ten times a second a tenth of the pushes. */
export const PUSH_TICK_MS = 100;

/**
 * Moves the agents of a relay that drains or died to other relays: in random order and so many a second, so that
 * neither the manager nor the other relays meet a whole relay's agents at one moment. Agents of a relay that is only
 * overloaded or full are left alone: it gets no new ones, and those it has leave with their renewals.
 */
export class Pushes {
  readonly #components: PushesComponents;
  readonly #perTick: number;
  /** Agents to be moved, by the relay they are to leave. */
  readonly #waiting = new Map<string, AgentSession[]>();
  #due = 0;

  constructor(components: PushesComponents, init: { readonly perSecond: number }) {
    this.#components = components;
    this.#perTick = (init.perSecond * PUSH_TICK_MS) / 1000;
  }

  get pending(): number {
    let count = 0;
    for (const agents of this.#waiting.values()) count += agents.length;
    return count;
  }

  /** All agents of a relay are to leave it. Returns how many there are. */
  leave(relay: string, agents: Iterable<AgentSession>): number {
    const leaving = [...agents].filter((agent) => agent.relay === relay);
    shuffle(leaving, () => this.#components.random());
    if (leaving.length > 0) this.#waiting.set(relay, leaving);
    return leaving.length;
  }

  /** The relay is usable again: who is still there may stay. */
  stay(relay: string): void {
    this.#waiting.delete(relay);
  }

  /** To be called every PUSH_TICK_MS. */
  tick(): void {
    if (this.#waiting.size === 0) return;
    this.#due = Math.min(this.#due + this.#perTick, Math.max(1, this.#perTick));
    for (const [relay, agents] of this.#waiting) {
      while (this.#due >= 1 && agents.length > 0) {
        const agent = agents.pop();
        // Gone, or moved by a renewal meanwhile.
        if (agent === undefined || agent.closed || agent.relay !== relay) continue;
        this.#due -= 1;
        this.#components.move(agent);
      }
      if (agents.length === 0) this.#waiting.delete(relay);
    }
  }
}

function shuffle(items: unknown[], random: () => number): void {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [items[last], items[other]] = [items[other], items[last]];
  }
}
