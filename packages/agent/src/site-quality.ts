/** Round trips to the relays of a site, as they come by themselves: acknowledged sessions, and the pings of an idle link. */

/** Older ones say nothing of how it is now. An idle link has one every five seconds. */
const SAMPLE_LIFE_MS = 30_000;
/** The latest ones; a busy agent has many. */
const MAX_SAMPLES = 32;
/** Fewer are chance. */
const MIN_SAMPLES = 5;
/** What is faster than this nobody in the office notices: half of what a session waits before it tries a second relay. */
const SLOW_MS = 150;
/** And the site must have been so many times faster, or it is only far away. */
const SLOW_TIMES_BEST = 4;
/** A site that is slow is left by this part of its agents, so often: what is left of its line may be enough for the rest. */
const LOOK_EVERY_MS = 10_000;
const LEAVE_CHANCE = 0.2;

/** A site that answers much more slowly than it did. */
export interface SlowSite {
  readonly site: string;
  /** Of the last half minute, milliseconds. */
  readonly medianMs: number;
  /** The fastest since we came. */
  readonly bestMs: number;
  readonly samples: number;
}

interface Sample {
  readonly atMs: number;
  readonly roundTripMs: number;
}

/**
 * How quickly the site in use answers, compared with itself. No manager sees that its line has become slow: its relays are
 * idle then, and nothing is lost. Pure: time and chance are passed in.
 */
export class SiteQuality {
  readonly #random: () => number;
  #site: string | undefined;
  #samples: Sample[] = [];
  #bestMs = Number.POSITIVE_INFINITY;
  #lookAtMs = 0;

  constructor(components: { readonly random: () => number }) {
    this.#random = components.random;
  }

  /**
   * A round trip, or how long it has taken so far without an answer.
   * @returns the site when it is slow and this agent is one of those that are to leave it
   */
  note(nowMs: number, site: string, roundTripMs: number): SlowSite | undefined {
    this.follow(nowMs, site);
    this.#bestMs = Math.min(this.#bestMs, roundTripMs);
    this.#samples.push({ atMs: nowMs, roundTripMs });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
    if (nowMs < this.#lookAtMs) return undefined;
    this.#lookAtMs = nowMs + LOOK_EVERY_MS;
    const slow = this.slow(nowMs);
    return slow !== undefined && this.#random() < LEAVE_CHANCE ? slow : undefined;
  }

  /** The site in use, if it is slow now. */
  slow(nowMs: number): SlowSite | undefined {
    const recent = this.#samples.filter(({ atMs }) => nowMs - atMs < SAMPLE_LIFE_MS).map(({ roundTripMs }) => roundTripMs);
    const medianMs = recent.toSorted((a, b) => a - b)[Math.floor((recent.length - 1) / 2)];
    if (this.#site === undefined || medianMs === undefined || recent.length < MIN_SAMPLES) return undefined;
    if (medianMs < SLOW_MS || medianMs < SLOW_TIMES_BEST * this.#bestMs) return undefined;
    return { site: this.#site, medianMs, bestMs: this.#bestMs, samples: recent.length };
  }

  /** The site in use; of another one nothing is known yet. */
  follow(nowMs: number, site: string): void {
    if (site === this.#site) return;
    this.#site = site;
    this.#samples = [];
    this.#bestMs = Number.POSITIVE_INFINITY;
    // All agents of a site see it become slow at the same moment.
    this.#lookAtMs = nowMs + LOOK_EVERY_MS * this.#random();
  }
}
