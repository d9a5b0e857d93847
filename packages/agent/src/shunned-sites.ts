import { type BackoffInit, pauseMs } from './backoff.ts';

/** A site that was left because it is slow or its relays are of no use: so long nobody goes there by choice, and longer each time. */
const SHUN_PAUSE: BackoffInit = { firstMs: 600_000, maxMs: 7_200_000 };
/** For this part of the pause nobody goes there at all; then it is the last resort of who has no relay elsewhere. */
const LAST_RESORT_PART = 10;
/** So long after the pause it is remembered how often it was left. */
const SHUN_MEMORY_MS = 3_600_000;
/** More sites than an agent leaves in that time; the one whose pause ends first makes room. */
const MAX_SHUNNED_SITES = 32;

interface Shunned {
  readonly untilMs: number;
  readonly barredUntilMs: number;
  readonly times: number;
}

/** Sites that an agent has left, though they answer. Pure: time and chance are passed in. */
export class ShunnedSites {
  readonly #random: () => number;
  readonly #sites = new Map<string, Shunned>();

  constructor(components: { readonly random: () => number }) {
    this.#random = components.random;
  }

  shun(nowMs: number, site: string): void {
    for (const [name, { untilMs }] of this.#sites) if (untilMs + SHUN_MEMORY_MS <= nowMs) this.#sites.delete(name);
    const times = (this.#sites.get(site)?.times ?? 0) + 1;
    const pause = pauseMs(times, SHUN_PAUSE, this.#random);
    this.#sites.set(site, { untilMs: nowMs + pause, barredUntilMs: nowMs + pause / LAST_RESORT_PART, times });
    if (this.#sites.size <= MAX_SHUNNED_SITES) return;
    const [soonest] = [...this.#sites].sort(([, a], [, b]) => a.untilMs - b.untilMs);
    if (soonest !== undefined) this.#sites.delete(soonest[0]);
  }

  has(nowMs: number, site: string): boolean {
    return (this.#sites.get(site)?.untilMs ?? nowMs) > nowMs;
  }

  /** Whether it was left so short a time ago that it is not even a last resort: two sites without a relay would take turns. */
  isBarred(nowMs: number, site: string): boolean {
    return (this.#sites.get(site)?.barredUntilMs ?? nowMs) > nowMs;
  }

  /** Those that are shunned now, and until when. */
  list(nowMs: number): { readonly site: string; readonly untilMs: number }[] {
    return [...this.#sites].filter(([, { untilMs }]) => untilMs > nowMs).map(([site, { untilMs }]) => ({ site, untilMs }));
  }
}
