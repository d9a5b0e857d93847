import type { Fault } from './scenario.ts';

/** What became of the agents that a failure met, or of those that something new draws. */
export interface Moves {
  readonly fault: Fault;
  /** Agents that had to go elsewhere; for something that comes, those that came. */
  readonly agents: number;
  /** After how many milliseconds so many of them had; null: not within the run. */
  readonly half: number | null;
  readonly p90: number | null;
  readonly p99: number | null;
  readonly all: number | null;
  /** Milliseconds after the failure, ascending: a curve of at most CURVE_POINTS. */
  readonly curve: readonly number[];
}

const CURVE_POINTS = 100;

/** Watches where the agents go after one failure. */
export class Watch {
  readonly fault: Fault;
  readonly #sinceMs: number;
  /** Those that are still where they cannot stay; undefined: whoever comes counts. */
  readonly #remaining: Set<number> | undefined;
  readonly #seen = new Set<number>();
  readonly #movedMs: number[] = [];
  readonly #met: number;
  readonly #isThere: (agent: number) => boolean;

  /**
   * @param init isThere: the agent has arrived where it may stay (or, of something new, there)
   * @param init met: the agents that have to go; undefined when something comes
   */
  constructor(init: { readonly fault: Fault; readonly nowMs: number; readonly met: readonly number[] | undefined; readonly isThere: (agent: number) => boolean }) {
    this.fault = init.fault;
    this.#sinceMs = init.nowMs;
    this.#remaining = init.met === undefined ? undefined : new Set(init.met);
    this.#met = init.met?.length ?? 0;
    this.#isThere = init.isThere;
  }

  /** Nothing more is to be seen. */
  get isOver(): boolean {
    return this.#remaining?.size === 0;
  }

  /** An agent has moved. */
  look(agent: number, nowMs: number): void {
    const counts = this.#remaining === undefined ? !this.#seen.has(agent) : this.#remaining.has(agent);
    if (!counts || !this.#isThere(agent)) return;
    if (this.#remaining === undefined) this.#seen.add(agent);
    else this.#remaining.delete(agent);
    this.#movedMs.push(nowMs - this.#sinceMs);
  }

  result(): Moves {
    const agents = this.#remaining === undefined ? this.#movedMs.length : this.#met;
    const after = (share: number): number | null => (agents === 0 ? null : (this.#movedMs[Math.ceil(agents * share) - 1] ?? null));
    const step = Math.max(1, Math.ceil(this.#movedMs.length / CURVE_POINTS));
    const curve = this.#movedMs.filter((_, index) => (index + 1) % step === 0);
    return { fault: this.fault, agents, half: after(0.5), p90: after(0.9), p99: after(0.99), all: after(1), curve };
  }
}
