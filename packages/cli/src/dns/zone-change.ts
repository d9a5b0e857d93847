import { isIP } from 'node:net';

/** What a site that joins or leaves changes in the zone: address records of the managers' name, and nothing else. */
export interface ZoneChange {
  readonly kind: 'join' | 'leave';
  /** The managers' name. */
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ttlS: number;
}

export interface UpdateInit {
  /** Who is updated; not set: the zone's primary, which nsupdate finds. */
  readonly server?: { readonly host: string; readonly port: number } | undefined;
  readonly zone?: string | undefined;
  /**
   * What the name has now. When it is given, the change is only made if that is still so: two sites that leave at the
   * same moment must not each count on the other.
   */
  readonly unlessChangedFrom?: readonly string[] | undefined;
}

const TYPES = ['A', 'AAAA'] as const;

/** The records as a zone file has them. */
export function zoneLines({ name, addresses, ttlS }: Omit<ZoneChange, 'kind'>): string[] {
  return addresses.map((address) => `${name}. ${ttlS} IN ${typeOf(address)} ${address}`);
}

/** What nsupdate reads: one update, made whole or not at all (RFC 2136 3.7). */
export function updateScript(change: ZoneChange, init: UpdateInit = {}): string[] {
  const { server, zone, unlessChangedFrom } = init;
  const { kind, name, addresses, ttlS } = change;
  return [
    ...(server === undefined ? [] : [`server ${server.host} ${server.port}`]),
    ...(zone === undefined ? [] : [`zone ${zone}`]),
    ...(unlessChangedFrom === undefined ? [] : prerequisites(name, unlessChangedFrom)),
    ...addresses.map((address) =>
      kind === 'join' ? `update add ${name}. ${ttlS} ${typeOf(address)} ${address}` : `update delete ${name}. ${typeOf(address)} ${address}`,
    ),
    'send',
  ];
}

/** The name has exactly these addresses (RFC 2136 2.4.2 and 2.4.3). */
function prerequisites(name: string, addresses: readonly string[]): string[] {
  return TYPES.flatMap((type) => {
    const present = addresses.filter((address) => typeOf(address) === type);
    if (present.length === 0) return [`prereq nxrrset ${name}. ${type}`];
    return present.map((address) => `prereq yxrrset ${name}. ${type} ${address}`);
  });
}

function typeOf(address: string): (typeof TYPES)[number] {
  return isIP(address) === 6 ? 'AAAA' : 'A';
}
