/** A name, and how often. */
export type Count = readonly [name: string, count: number];

/** Different names of which one list keeps count; of what comes then only the sum is known. */
const MAX_NAMES = 64;
/** Names of a list that are kept in the store, and told. */
const MAX_TOP = 5;

/** What a list says when it is told: the most frequent names, and how many detections bear another one. */
export interface TopNames {
  readonly top: readonly Count[];
  readonly others: number;
}

/** Counts names, and remembers not more than MAX_NAMES of them. */
export class TopList {
  readonly #counts = new Map<string, number>();
  #others = 0;

  /** Goes on from what was told earlier. */
  static from({ top, others }: TopNames): TopList {
    const list = new TopList();
    for (const [name, count] of top) list.#counts.set(name, count);
    list.#others = others;
    return list;
  }

  add(name: string): void {
    const count = this.#counts.get(name);
    if (count === undefined && this.#counts.size >= MAX_NAMES) this.#others += 1;
    else this.#counts.set(name, (count ?? 0) + 1);
  }

  names(): TopNames {
    const sorted = [...this.#counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    const others = sorted.slice(MAX_TOP).reduce((sum, [, count]) => sum + count, this.#others);
    return { top: sorted.slice(0, MAX_TOP), others };
  }
}
