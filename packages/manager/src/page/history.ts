import type { RelayState } from '@sekisho/scheduler';

/** One sample in so long. */
export const HISTORY_STEP_MS = 10_000;
/** An hour. */
export const MAX_HISTORY_STEPS = 360;
/** Who has missed more samples gets the whole hour, which is put together for all at once. */
const MAX_REST_STEPS = 12;

/** What is sampled of a relay. */
export interface HistorySample {
  readonly name: string;
  readonly state: RelayState;
  readonly sessions: number | null;
  /** The load in parts of its limit. */
  readonly score: number | null;
}

/** Samples of one relay, oldest first; null where the relay was not heard. */
interface RelaySeries {
  readonly states: readonly (RelayState | null)[];
  readonly sessions: readonly (number | null)[];
  readonly load: readonly (number | null)[];
  readonly bytesPerSecond: readonly (number | null)[];
}

/** A stretch of the history. */
export interface HistoryPart {
  readonly stepMs: number;
  /** The number of the first sample here, and of the one that comes next. */
  readonly first: number;
  readonly next: number;
  /** When the newest sample was taken, in milliseconds since 1970; null: there is none yet. */
  readonly at: number | null;
  readonly relays: Readonly<Record<string, RelaySeries>>;
}

/** The last hour of each relay of the table, in memory: a ring of {@link MAX_HISTORY_STEPS} samples. */
export class History {
  readonly #stepMs: number;
  readonly #rings: ReadonlyMap<string, RelayRing>;
  readonly #rates = new Map<string, number>();
  #next = 0;
  #at: number | null = null;
  /** The whole hour as JSON, until the next sample. */
  #hour: string | undefined;

  constructor(init: { readonly relays: readonly string[]; readonly stepMs: number }) {
    this.#stepMs = init.stepMs;
    this.#rings = new Map(init.relays.map((name) => [name, new RelayRing()]));
  }

  /** Notes what a relay carries, for the next samples. */
  report(relay: string, bytesPerSecond: number): void {
    if (this.#rings.has(relay)) this.#rates.set(relay, bytesPerSecond);
  }

  /** What the relay said it carries when it was last heard, or null. */
  rate(relay: string): number | null {
    return this.#rates.get(relay) ?? null;
  }

  /** Takes a sample of every relay. @param atMs since 1970 */
  sample(atMs: number, relays: readonly HistorySample[]): void {
    for (const { name, state, sessions, score } of relays) {
      // The figures of a relay that is not heard are old ones: a gap says so.
      const isHeard = state !== 'down' && state !== 'stale';
      const rate = this.#rates.get(name) ?? null;
      this.#rings.get(name)?.set(this.#next, state, isHeard ? [sessions, score, rate] : [null, null, null]);
    }
    this.#next += 1;
    this.#at = atMs;
    this.#hour = undefined;
  }

  /** As JSON what since() says. However many ask how often, the whole hour is put together once a sample. */
  json(from: number): string {
    if (this.#firstOf(from) !== this.#oldest) return JSON.stringify(this.since(from));
    this.#hour ??= JSON.stringify(this.since(from));
    return this.#hour;
  }

  get #oldest(): number {
    return Math.max(0, this.#next - MAX_HISTORY_STEPS);
  }

  #firstOf(from: number): number {
    return Number.isInteger(from) && from >= Math.max(this.#oldest, this.#next - MAX_REST_STEPS) && from <= this.#next ? from : this.#oldest;
  }

  /** The samples from number `from` on, or those of the whole hour if there are none such, or too many. */
  since(from: number): HistoryPart {
    const first = this.#firstOf(from);
    return {
      stepMs: this.#stepMs,
      first,
      next: this.#next,
      at: this.#at,
      relays: Object.fromEntries([...this.#rings].map(([name, ring]) => [name, ring.series(first, this.#next)])),
    };
  }
}

const STATES: readonly RelayState[] = ['up', 'overloaded', 'full', 'draining', 'down', 'stale'];

/** NaN stands for "not heard". */
class RelayRing {
  readonly #states = new Uint8Array(MAX_HISTORY_STEPS);
  readonly #sessions = new Float64Array(MAX_HISTORY_STEPS);
  readonly #load = new Float64Array(MAX_HISTORY_STEPS);
  readonly #rates = new Float64Array(MAX_HISTORY_STEPS);

  set(number: number, state: RelayState, [sessions, load, rate]: readonly [number | null, number | null, number | null]): void {
    const slot = number % MAX_HISTORY_STEPS;
    this.#states[slot] = STATES.indexOf(state);
    this.#sessions[slot] = sessions ?? Number.NaN;
    this.#load[slot] = load ?? Number.NaN;
    this.#rates[slot] = rate ?? Number.NaN;
  }

  series(first: number, next: number): RelaySeries {
    const slots = Array.from({ length: next - first }, (_, index) => (first + index) % MAX_HISTORY_STEPS);
    const of = (ring: Float64Array) => slots.map((slot) => finite(ring[slot]));
    return {
      states: slots.map((slot) => STATES[this.#states[slot] ?? 0] ?? null),
      sessions: of(this.#sessions),
      load: of(this.#load),
      bytesPerSecond: of(this.#rates),
    };
  }
}

/** Three digits behind the point are more than a sparkline shows. */
function finite(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : Math.round(value * 1000) / 1000;
}
