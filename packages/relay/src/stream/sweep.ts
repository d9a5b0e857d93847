/** How late a deadline may be noticed; every wait here is a second or more, or has this much to spare. */
export const TICK_MS = 250;

/** Something with a deadline. It moves its deadline by writing `deadlineTick`, without a call and without a timer. */
export interface Sweepable {
  deadlineTick: number;
  /** The tick has come. It is called again at each tick until the deadline is moved or the thing is deleted. */
  onDeadline(): void;
}

/**
 * The deadlines of all sessions and connections of a worker under one timer: a timer for each would be set and cleared
 * with every chunk that passes.
 */
export class Sweep {
  /** Ticks since the start; small integers, so that storing them allocates nothing. */
  tick = 0;
  readonly #now: () => number;
  readonly #startMs: number;
  readonly #entries = new Set<Sweepable>();
  readonly #timer: NodeJS.Timeout;

  /** @param components now: monotonic milliseconds */
  constructor(components: { readonly now: () => number }) {
    this.#now = components.now;
    this.#startMs = this.#now();
    this.#timer = setInterval(() => this.#turn(), TICK_MS);
  }

  add(entry: Sweepable): void {
    this.#entries.add(entry);
  }

  delete(entry: Sweepable): void {
    this.#entries.delete(entry);
  }

  /** The tick of a deadline `ms` from now, never early. */
  after(ms: number): number {
    return this.tick + ticksOf(ms);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  // By the clock and not by counting: a loop that was blocked must not stretch every deadline.
  #turn(): void {
    this.tick = Math.floor((this.#now() - this.#startMs) / TICK_MS);
    for (const entry of this.#entries) if (entry.deadlineTick <= this.tick) entry.onDeadline();
  }
}

/** A duration in ticks, rounded up, and one more for the tick that has begun. */
export function ticksOf(ms: number): number {
  return Math.ceil(ms / TICK_MS) + 1;
}
