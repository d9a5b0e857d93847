import { type Level, LEVELS, RANK } from './level.ts';
import { keyOf, type Sighting } from './sighting.ts';

/** One detection that may still be part of an outbreak. */
export interface Entry {
  readonly sighting: Sighting;
  /** Milliseconds since 1970; not later than its arrival here. */
  readonly at: number;
  /** The rank of the level that has taken it; 0 while none has. */
  taken: number;
}

/** Detections that wait; the oldest go first. A flood opens an outbreak and then waits no longer, so this is not reached by one. */
export const MAX_WAITING_DETECTIONS = 50_000;
/** Detections may arrive so late, when a store was down meanwhile, and are still counted together. */
export const MAX_LATE_MS = 3_600_000;

/** The detections that no outbreak of a device has taken, by what they are counted by. */
export class DetectionWindow {
  readonly #lists: Readonly<Record<Level, Map<string, Entry[]>>> = { device: new Map(), contact: new Map(), signature: new Map() };
  readonly #windowMs: number;
  #size = 0;
  #dropped = 0;

  constructor(init: { readonly windowMs: number }) {
    this.#windowMs = init.windowMs;
  }

  get size(): number {
    return this.#size;
  }

  /** Detections that were given up for want of room. */
  get dropped(): number {
    return this.#dropped;
  }

  add(entry: Entry): void {
    this.#size += 1;
    for (const level of LEVELS) {
      const key = keyOf(level, entry.sighting);
      if (key === undefined || entry.taken >= RANK[level]) continue;
      const list = this.#lists[level].get(key);
      if (list === undefined) this.#lists[level].set(key, [entry]);
      else insert(list, entry);
    }
    if (this.#size > MAX_WAITING_DETECTIONS) this.#makeRoom();
  }

  /** What counts towards a level's key, oldest first. */
  list(level: Level, key: string): readonly Entry[] {
    return (this.#lists[level].get(key) ?? []).filter(({ taken }) => taken < RANK[level]);
  }

  /** Every key of a level that has at least so many. */
  *keys(level: Level, atLeast: number): Iterable<string> {
    for (const [key, entries] of this.#lists[level]) if (entries.length >= atLeast) yield key;
  }

  /** How many of a key's detections are in the window that ends now, for each key that has any. */
  counts(level: Level, nowMs: number): Map<string, number> {
    const counts = new Map<string, number>();
    for (const [key, entries] of this.#lists[level]) {
      const count = entries.filter(({ at, taken }) => at > nowMs - this.#windowMs && taken < RANK[level]).length;
      if (count > 0) counts.set(key, count);
    }
    return counts;
  }

  /** Forgets what is too old to count with anything, and what a higher level has taken. */
  prune(nowMs: number): void {
    this.#keep(({ at }) => at > nowMs - this.#windowMs - MAX_LATE_MS);
  }

  #keep(wanted: (entry: Entry) => boolean): void {
    const kept = new Set<Entry>();
    for (const level of LEVELS) {
      for (const [key, entries] of this.#lists[level]) {
        const left = entries.filter((entry) => entry.taken < RANK[level] && wanted(entry));
        for (const entry of left) kept.add(entry);
        if (left.length === 0) this.#lists[level].delete(key);
        else if (left.length < entries.length) this.#lists[level].set(key, left);
      }
    }
    this.#size = kept.size;
  }

  /** A tenth at once, so that a flood does not pay for each of them. */
  #makeRoom(): void {
    this.#keep(() => true);
    const over = this.#size - MAX_WAITING_DETECTIONS * 0.9;
    if (this.#size <= MAX_WAITING_DETECTIONS) return;
    const times = [...new Set(LEVELS.flatMap((level) => [...this.#lists[level].values()].flat()))].map(({ at }) => at).sort((a, b) => a - b);
    const oldest = times[Math.floor(over)] ?? Number.POSITIVE_INFINITY;
    const before = this.#size;
    this.#keep(({ at }) => at > oldest);
    this.#dropped += before - this.#size;
  }
}

/** Whether `threshold` entries stand within `windowMs` of each other. @param entries oldest first */
export function hasBurst(entries: readonly Entry[], threshold: number, windowMs: number): boolean {
  return entries.some(({ at }, index) => {
    const last = entries[index + threshold - 1];
    return last !== undefined && last.at - at < windowMs;
  });
}

/** Nearly always at the end. */
function insert(list: Entry[], entry: Entry): void {
  let index = list.length;
  while (index > 0 && (list[index - 1]?.at ?? 0) > entry.at) index -= 1;
  list.splice(index, 0, entry);
}
