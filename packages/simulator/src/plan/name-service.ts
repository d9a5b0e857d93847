import type { ZoneAnswer } from '@sekisho/agent';
import type { Random } from '../load/random.ts';
import type { DnsScenario } from './scenario.ts';

interface Version {
  readonly fromMs: number;
  /** In ascending order. */
  readonly addresses: readonly string[];
  /** As the zone file has them. */
  readonly written: readonly string[];
}

interface Cache {
  readonly periodMs: number;
  readonly phaseMs: number;
  readonly fixedOrder: boolean;
}

/** Agents that ask a cache when its answer ends find it renewed: TTLs are whole seconds, rounded down by nobody. */
const ROUNDING_MS = 1000;

/**
 * The managers' name in DNS: its versions, and the caches through which agents see them. A cache fetches when what it
 * has is over, which is at once, since it always has somebody who asks: so its fetches are at phase + n periods.
 */
export class NameService {
  readonly #versions: Version[];
  readonly #caches: readonly Cache[];

  constructor(components: { readonly random: Random }, init: { readonly dns: DnsScenario; readonly addresses: readonly string[] }) {
    this.#versions = [versionOf(Number.NEGATIVE_INFINITY, init.addresses)];
    const { dns } = init;
    this.#caches = Array.from({ length: dns.caches }, (_, index) => cacheOf(dns, (index + 0.5) / dns.caches, components.random));
  }

  /** The number of the newest version. */
  get newest(): number {
    return this.#versions.length - 1;
  }

  get cacheCount(): number {
    return this.#caches.length;
  }

  /** The zone is another from now on; returns the number of its version. */
  publish(nowMs: number, addresses: readonly string[]): number {
    return this.#versions.push(versionOf(nowMs, addresses)) - 1;
  }

  cacheOf(agent: number): number {
    return agent % this.#caches.length;
  }

  addresses(version: number): readonly string[] {
    return this.#versions[version]?.addresses ?? [];
  }

  /** The version that the cache has at this time. */
  versionAt(cache: number, nowMs: number): number {
    const fetchedAtMs = this.#fetchedAtMs(cache, nowMs);
    let version = this.newest;
    while ((this.#versions[version]?.fromMs ?? Number.NEGATIVE_INFINITY) > fetchedAtMs) version -= 1;
    return version;
  }

  /** When the cache fetches next. */
  nextFetchMs(cache: number, nowMs: number): number {
    return this.#fetchedAtMs(cache, nowMs) + (this.#caches[cache]?.periodMs ?? 0);
  }

  /** What the agents of this cache get. */
  answer(cache: number, nowMs: number): ZoneAnswer {
    const version = this.#versions[this.versionAt(cache, nowMs)];
    const addresses = (this.#caches[cache]?.fixedOrder === true ? version?.written : version?.addresses) ?? [];
    return answerWith(addresses, this.nextFetchMs(cache, nowMs) - nowMs + ROUNDING_MS);
  }

  #fetchedAtMs(cache: number, nowMs: number): number {
    const { periodMs = 1, phaseMs = 0 } = this.#caches[cache] ?? {};
    return phaseMs + Math.floor((nowMs - phaseMs) / periodMs) * periodMs;
  }
}

/** An answer with these IPv4 addresses and none of IPv6. */
export function answerWith(addresses: readonly string[], ttlMs: number): ZoneAnswer {
  return { ipv4: { addresses, ttlMs }, ipv6: { addresses: [], ttlMs: 0 } };
}

/** @param place of this cache among all, 0 to 1 */
function cacheOf({ ttlMs, faulty }: DnsScenario, place: number, random: Random): Cache {
  let upTo = 0;
  const kind = faulty.find(({ share }) => (upTo += share) > place);
  const periodMs = ttlMs * (kind?.keepsTimes ?? 1);
  return { periodMs, phaseMs: random() * periodMs, fixedOrder: kind?.fixedOrder ?? false };
}

function versionOf(fromMs: number, written: readonly string[]): Version {
  return { fromMs, written, addresses: [...written].sort() };
}
