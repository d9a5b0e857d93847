import { type BackoffInit, pauseMs } from './backoff.ts';
import { MOVE_REASONS, type MoveReason } from './moves.ts';
import { ShunnedSites } from './shunned-sites.ts';

/** A change of site. */
export interface Move {
  readonly reason: MoveReason;
  readonly from: string;
  readonly to: string;
}

/** After the site was slow, and nobody who was asked was quicker: perhaps it is our own line. */
const SLOW_RETRY: BackoffInit = { firstMs: 60_000, maxMs: 1_800_000 };

/** What an agent remembers of its ways between sites, and when it chooses anew. Pure: time and chance are passed in. */
export class SiteMoves {
  /** When another manager is chosen, among all that are alive. */
  rehomeAtMs = Number.POSITIVE_INFINITY;
  /** Before that nobody is asked whether he is quicker than a slow site. */
  slowAgainAtMs = Number.NEGATIVE_INFINITY;
  last: Move | undefined = undefined;
  readonly #random: () => number;
  readonly #rehomeMs: number;
  readonly #shunned: ShunnedSites;
  readonly #counts = Object.fromEntries(MOVE_REASONS.map((reason) => [reason, 0])) as Record<MoveReason, number>;
  #slowSearches = 0;

  constructor(components: { readonly random: () => number }, init: { readonly rehomeMs: number }) {
    this.#random = components.random;
    this.#rehomeMs = init.rehomeMs;
    this.#shunned = new ShunnedSites(components);
  }

  /** There is another manager. */
  arrived(nowMs: number): void {
    this.#slowSearches = 0;
    this.planRehoming(nowMs);
  }

  /** Without memory, so that those who came together, when a site died, do not leave together. */
  planRehoming(nowMs: number): void {
    this.rehomeAtMs = nowMs - Math.log(1 - this.#random()) * this.#rehomeMs;
  }

  moved(nowMs: number, move: Move): void {
    this.last = move;
    this.#counts[move.reason] += 1;
    if (move.reason === 'slow' || move.reason === 'relays') this.#shunned.shun(nowMs, move.from);
  }

  /** The site is slow, and so is everybody else. */
  noneIsQuicker(nowMs: number): void {
    this.#slowSearches += 1;
    this.slowAgainAtMs = nowMs + pauseMs(this.#slowSearches, SLOW_RETRY, this.#random);
  }

  /** A site that was left because of what it is like: nobody goes there by choice. */
  isShunned(nowMs: number, site: string): boolean {
    return this.#shunned.has(nowMs, site);
  }

  /** One that is not even a last resort yet. */
  isBarred(nowMs: number, site: string): boolean {
    return this.#shunned.isBarred(nowMs, site);
  }

  shunned(nowMs: number): ReturnType<ShunnedSites['list']> {
    return this.#shunned.list(nowMs);
  }

  /** Changes of site since the start. */
  get counts(): Readonly<Record<MoveReason, number>> {
    return { ...this.#counts };
  }
}
