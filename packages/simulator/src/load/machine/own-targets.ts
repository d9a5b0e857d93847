import { lookup, Resolver } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

/** A host that a run would send traffic to, or that decides where it goes. */
export interface Aim {
  /** A name or an address, as somebody has written it. */
  readonly host: string;
  /** What it is, for people. */
  readonly what: string;
  /** By which its name is looked up; none: as the system does. */
  readonly dnsServers?: readonly string[] | undefined;
}

const LOOKUP_TIMEOUT_MS = 3000;

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

export function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Whether its owner has named this host; names have no case. */
export function isNamed(host: string, named: readonly string[]): boolean {
  return named.some((one) => one.toLowerCase() === host.toLowerCase());
}

/**
 * Why this must not be aimed at; undefined when it may. Everything is refused that is not on this machine, unless its
 * owner names it: a generator of load is a weapon in the hands of a typing error.
 */
export async function aimProblem(aims: readonly Aim[], named: readonly string[]): Promise<string | undefined> {
  for (const aim of aims) {
    if (isNamed(aim.host, named)) continue;
    const addresses = await addressesOf(aim);
    if (addresses.length === 0)
      return `${aim.what} ${aim.host} cannot be resolved, so nobody knows where the load would go. If it is yours: --i-own-this-target ${aim.host}`;
    const outside = addresses.find((address) => !isLoopback(address));
    if (outside !== undefined)
      return `${aim.what} ${aim.host}${outside === aim.host ? '' : ` (${outside})`} is not on this machine. If you own it, and may fill it with load: --i-own-this-target ${aim.host}`;
  }
  return undefined;
}

async function addressesOf({ host, dnsServers = [] }: Aim): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    if (dnsServers.length === 0) return (await lookup(host, { all: true })).map(({ address }) => address);
    const resolver = new Resolver({ timeout: LOOKUP_TIMEOUT_MS, tries: 1 });
    resolver.setServers(dnsServers);
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  } catch {
    return [];
  }
}
