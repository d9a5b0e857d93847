import { Resolver, lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { ZoneAnswer, FamilyAnswer } from './zone.ts';

export interface ResolverInit {
  /** `address` or `address:port`; empty: those of the system, its hosts file included. */
  readonly servers: readonly string[];
  /** For a look-up as a whole. */
  readonly timeoutMs: number;
}

/** One try of one server; a lost packet costs no more. */
const TRY_TIMEOUT_MS = 500;
const TRIES = 2;
/** The hosts file has no TTL. */
const HOSTS_TTL_MS = 60_000;
const NOTHING: ZoneAnswer = { ipv4: undefined, ipv6: undefined };

/** Finds the addresses of a name, with their TTL. It never throws: no answer is an answer, too. */
export class ManagerResolver {
  readonly #init: ResolverInit;

  constructor(init: ResolverInit) {
    this.#init = init;
  }

  async resolve(name: string): Promise<ZoneAnswer> {
    if (isIP(name) !== 0) return literal(name);
    const resolver = new Resolver({ timeout: TRY_TIMEOUT_MS, tries: TRIES });
    if (this.#init.servers.length > 0) resolver.setServers([...this.#init.servers]);
    const { promise: late, resolve } = Promise.withResolvers<ZoneAnswer>();
    const timer = setTimeout(() => {
      resolver.cancel();
      resolve(NOTHING);
    }, this.#init.timeoutMs);
    try {
      return await Promise.race([this.#ask(resolver, name), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #ask(resolver: Resolver, name: string): Promise<ZoneAnswer> {
    const [ipv4, ipv6] = await Promise.all([
      family(() => resolver.resolve4(name, { ttl: true })),
      family(() => resolver.resolve6(name, { ttl: true })),
    ]);
    const found = (ipv4?.addresses.length ?? 0) + (ipv6?.addresses.length ?? 0);
    if (found > 0 || this.#init.servers.length > 0) return { ipv4, ipv6 };
    return (await fromSystem(name)) ?? { ipv4, ipv6 };
  }
}

async function family(
  query: () => Promise<readonly { readonly address: string; readonly ttl: number }[]>,
): Promise<FamilyAnswer> {
  try {
    const records = await query();
    // Some versions of Node tell the TTL of the first 256 addresses only; those of a set are the same (RFC 2181 5.2).
    const ttlS = Math.min(...records.map(({ ttl }) => ttl).filter(Number.isFinite));
    return { addresses: records.map(({ address }) => address), ttlMs: records.length === 0 ? 0 : ttlS * 1000 };
  } catch (error) {
    // The name, or its records of this family, do not exist: an answer. Everything else is none.
    const code = error instanceof Error && 'code' in error ? error.code : '';
    return code === 'ENODATA' || code === 'ENOTFOUND' ? { addresses: [], ttlMs: 0 } : undefined;
  }
}

/** What getaddrinfo knows and DNS does not: the hosts file, above all. */
async function fromSystem(name: string): Promise<ZoneAnswer | undefined> {
  try {
    const found = await lookup(name, { all: true });
    const of = (wanted: number): FamilyAnswer => ({
      addresses: found.filter(({ family }) => family === wanted).map(({ address }) => address),
      ttlMs: HOSTS_TTL_MS,
    });
    return { ipv4: of(4), ipv6: of(6) };
  } catch {
    return undefined;
  }
}

function literal(address: string): ZoneAnswer {
  const self: FamilyAnswer = { addresses: [address], ttlMs: Number.MAX_SAFE_INTEGER };
  const none: FamilyAnswer = { addresses: [], ttlMs: 0 };
  return isIP(address) === 4 ? { ipv4: self, ipv6: none } : { ipv4: none, ipv6: self };
}
