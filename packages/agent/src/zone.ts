import { type BackoffInit, pauseMs } from './backoff.ts';
import { missingFrom, sorted } from './sorted-addresses.ts';

/**
 * More addresses than this are not used: 300 sites with two managers each have 600, and 1024 are an answer of 16 KiB
 * (IPv4) or 28 KiB (IPv6), which DNS gives over TCP. The same ones for every agent.
 */
export const MAX_MANAGERS = 1024;

/** When nobody in the zone answers, all agents see it in the same second: their look-ups because of it are spread over so long. */
const HURRY_SPREAD_MS = 5000;
/** The longer it has lasted without news, the less often: the next look-up comes after this part of that time, at the earliest. */
const HURRY_PART = 10;
/** After so long without it, it is a new one. */
const HURRY_OVER_MS = 300_000;

export interface ZoneInit {
  /** A shorter TTL is not respected: it would make every agent a load on DNS. */
  readonly ttlMinMs: number;
  /** Nor is a longer one: a site that is taken out must lose its agents. */
  readonly ttlMaxMs: number;
  /** The first pause after a failed look-up; later ones grow up to `ttlMinMs`. */
  readonly retryFirstMs: number;
}

/** What DNS said about one family: addresses (perhaps none) and their TTL, or undefined when it gave no answer. */
export type FamilyAnswer = { readonly addresses: readonly string[]; readonly ttlMs: number } | undefined;

export interface ZoneAnswer {
  readonly ipv4: FamilyAnswer;
  readonly ipv6: FamilyAnswer;
}

export interface ZoneChange {
  readonly gained: readonly string[];
  readonly lost: readonly string[];
}

const NO_CHANGE: ZoneChange = { gained: [], lost: [] };

/**
 * The managers' addresses as DNS last gave them, and when to ask again. A failing DNS and an answer without addresses
 * take nothing away: DNS being down must not take the mesh down. Pure: time and chance are passed in.
 */
export class Zone {
  /** In a fixed order; what is tried first is not decided here. */
  addresses: readonly string[] = [];
  /** When to look up again. */
  lookUpAtMs = 0;
  /** Why the last look-up told nothing; undefined when it did. */
  problem: 'empty' | 'failed' | undefined = undefined;
  readonly #random: () => number;
  readonly #init: ZoneInit;
  readonly #retry: BackoffInit;
  #failures = 0;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  /** The next look-up comes early already. */
  #isHurried = false;
  #hurriedAtMs = Number.NEGATIVE_INFINITY;
  #hurriedSinceMs = 0;

  constructor(components: { readonly random: () => number }, init: ZoneInit) {
    this.#random = components.random;
    this.#init = init;
    this.#retry = { firstMs: Math.min(init.retryFirstMs, init.ttlMinMs), maxMs: init.ttlMinMs };
  }

  /** Takes the outcome of a look-up. */
  take(nowMs: number, answer: ZoneAnswer): ZoneChange {
    this.#isHurried = false;
    const found = together(answer.ipv4?.addresses, answer.ipv6?.addresses);
    if (found.length === 0) {
      this.#failures += 1;
      this.problem = answer.ipv4 === undefined || answer.ipv6 === undefined ? 'failed' : 'empty';
      this.lookUpAtMs = nowMs + pauseMs(this.#failures, this.#retry, this.#random);
      return NO_CHANGE;
    }
    this.problem = undefined;
    this.#failures = 0;
    this.#answeredAtMs = nowMs;
    this.lookUpAtMs = nowMs + this.#ttlMs(answer);
    // A family that got no answer keeps its addresses, as a DNS that fails altogether does.
    const kept = this.addresses.filter((address) => (address.includes(':') ? answer.ipv6 : answer.ipv4) === undefined);
    const all = sorted(together(found, kept));
    const change = this.#replace(all.length > MAX_MANAGERS ? all.slice(0, MAX_MANAGERS) : all);
    if (change.gained.length + change.lost.length > 0) this.#hurriedAtMs = Number.NEGATIVE_INFINITY;
    return change;
  }

  /**
   * Nobody in the zone answers: look again as soon as the least TTL allows, since the operator may be changing it; less and
   * less often while it says nothing new. A DNS that fails has pauses of its own, and is asked no sooner.
   */
  hurry(nowMs: number): void {
    if (nowMs - this.#hurriedAtMs > HURRY_OVER_MS) this.#hurriedSinceMs = nowMs;
    this.#hurriedAtMs = nowMs;
    if (this.#isHurried || this.problem !== undefined) return;
    this.#isHurried = true;
    const pauseMs = Math.max(this.#init.ttlMinMs, (nowMs - this.#hurriedSinceMs) / HURRY_PART);
    const atMs = Math.max(nowMs + HURRY_SPREAD_MS * this.#random(), this.#answeredAtMs + pauseMs * (1 + this.#random() / 2));
    this.lookUpAtMs = Math.min(this.lookUpAtMs, atMs);
  }

  #ttlMs({ ipv4, ipv6 }: ZoneAnswer): number {
    const { ttlMinMs, ttlMaxMs } = this.#init;
    if (ipv4 === undefined || ipv6 === undefined) return ttlMinMs;
    const ttls = [ipv4, ipv6].filter(({ addresses }) => addresses.length > 0).map(({ ttlMs }) => ttlMs);
    return Math.min(Math.max(Math.min(...ttls), ttlMinMs), ttlMaxMs);
  }

  #replace(addresses: readonly string[]): ZoneChange {
    const before = this.addresses;
    this.addresses = addresses;
    return {
      gained: missingFrom(addresses, before),
      lost: missingFrom(before, addresses),
    };
  }
}

/** Both lists; the one itself when the other has nothing to add. */
function together(one: readonly string[] = [], other: readonly string[] = []): readonly string[] {
  if (other.length === 0) return one;
  return one.length === 0 ? other : [...one, ...other];
}
