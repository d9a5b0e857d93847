import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ManagerResolver } from '@sekisho/agent';
import { CommandError, EXIT } from '../exit-codes.ts';

/** What DNS says of the managers' name, as an agent hears it. */
export interface LookUp {
  /** A and AAAA, in the order of the answer. */
  readonly addresses: readonly string[];
  /** The shorter of the two families' TTLs; undefined without addresses. */
  readonly ttlS: number | undefined;
  /** Record types for which there was no answer at all. */
  readonly unanswered: readonly ('A' | 'AAAA')[];
}

/** A DNS server: an address or a name, and its port. */
export interface DnsServerPlace {
  readonly host: string;
  readonly port: number;
}

const LOOK_UP_TIMEOUT_MS = 5000;
const DNS_PORT = 53;

/** Asks for A and AAAA; `servers` as `address:port`, those of the system when empty. It never throws. */
export async function lookUp(name: string, servers: readonly string[]): Promise<LookUp> {
  const { ipv4, ipv6 } = await new ManagerResolver({ servers, timeoutMs: LOOK_UP_TIMEOUT_MS }).resolve(name);
  const found = [ipv4, ipv6].filter((family) => family !== undefined && family.addresses.length > 0);
  const unanswered: ('A' | 'AAAA')[] = [];
  if (ipv4 === undefined) unanswered.push('A');
  if (ipv6 === undefined) unanswered.push('AAAA');
  return {
    addresses: found.flatMap((family) => family?.addresses ?? []),
    ttlS: found.length === 0 ? undefined : Math.min(...found.map((family) => family?.ttlMs ?? 0)) / 1000,
    unanswered,
  };
}

/** Reads `192.0.2.53`, `ns1.example.com:5353` or `[2001:db8::53]:53`; undefined for anything else. */
export function parseDnsServer(text: string): DnsServerPlace | undefined {
  if (isIP(text) !== 0) return { host: text, port: DNS_PORT };
  const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9][a-z0-9.-]{0,252}))(?::(\d{1,5}))?$/iu.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  const number = port === undefined ? DNS_PORT : Number(port);
  return number < 1 || number > 65_535 ? undefined : { host, port: number };
}

/** As a resolver wants it: by address. Throws CommandError when the name of the server is not found. */
export async function resolverAddress({ host, port }: DnsServerPlace): Promise<string> {
  const address = isIP(host) === 0 ? await addressOf(host) : host;
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

async function addressOf(name: string): Promise<string> {
  try {
    return (await lookup(name)).address;
  } catch {
    throw new CommandError(`The DNS server ${name} is not found by its name. Name it by its address.`, EXIT.usage);
  }
}
