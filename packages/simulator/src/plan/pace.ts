import type { EventQueue } from './event-queue.ts';
import type { VirtualSite } from './virtual-site.ts';

/** A site where something happens is looked at so often, as its managers do; others when renewals have added up. */
export const STEP_MS = 1000;
const QUIET_STEP_MS = 120_000;
/** Near a limit, though nothing happens. */
const CLOSE_STEP_MS = 5000;
const CLOSE_FROM = 0.7;
/** So long after the last event of a site its relays have ended their slow start. */
const BUSY_FOR_MS = 45_000;

/** When each site is looked at: seldom while nothing happens there. */
export class Pace {
  readonly #queue: EventQueue;
  readonly #look: (site: VirtualSite, dtMs: number) => void;
  readonly #isEven: boolean;
  readonly #busyUntilMs: number[] = [];
  readonly #nextMs: number[] = [];
  readonly #lastMs: number[] = [];

  /** @param init isEven: all sites are looked at every second */
  constructor(components: { readonly queue: EventQueue; readonly look: (site: VirtualSite, dtMs: number) => void }, init: { readonly isEven: boolean }) {
    this.#queue = components.queue;
    this.#look = components.look;
    this.#isEven = init.isEven;
  }

  start(site: VirtualSite): void {
    const { now } = this.#queue;
    this.#busyUntilMs[site.index] = now;
    this.#lastMs[site.index] = now;
    this.#plan(site, now + STEP_MS);
  }

  /** Something happens at this site. */
  stir(site: VirtualSite): void {
    const { now } = this.#queue;
    this.#busyUntilMs[site.index] = now + BUSY_FOR_MS;
    if ((this.#nextMs[site.index] ?? 0) > now + STEP_MS) this.#plan(site, now + STEP_MS);
  }

  #plan(site: VirtualSite, atMs: number): void {
    this.#nextMs[site.index] = atMs;
    this.#queue.at(atMs, () => {
      if (this.#nextMs[site.index] === atMs) this.#step(site);
    });
  }

  #step(site: VirtualSite): void {
    const { now } = this.#queue;
    const dtMs = now - (this.#lastMs[site.index] ?? now);
    this.#lastMs[site.index] = now;
    this.#nextMs[site.index] = Number.POSITIVE_INFINITY;
    this.#look(site, dtMs);
    const nextMs = now + this.#pauseOf(site);
    if ((this.#nextMs[site.index] ?? 0) > nextMs) this.#plan(site, nextMs);
  }

  #pauseOf(site: VirtualSite): number {
    if (this.#isEven || this.#queue.now < (this.#busyUntilMs[site.index] ?? 0)) return STEP_MS;
    const isClose = site.lineDemand > CLOSE_FROM || site.relays.some(({ cpu, fill }) => cpu > CLOSE_FROM || fill > CLOSE_FROM);
    return isClose ? CLOSE_STEP_MS : QUIET_STEP_MS;
  }
}
