import { type Cidr, cidrContains, parseCidr } from './cidr.ts';
import { embeddedIpv4, type IpAddress } from './ip-address.ts';
import { type AddressClass, IPV4_RANGES, IPV6_RANGES } from './special-ranges.ts';

/** How an IPv6 address carries an IPv4 address, and what it is when that one is public. */
interface Embedding {
  readonly within: Cidr;
  /** Where its four bytes are. */
  readonly offset: number;
  /** Where a second one is, with every bit inverted: Teredo's client (RFC 4380 4). */
  readonly invertedOffset?: number;
  readonly whenPublic: AddressClass;
}

const MAPPED = parseCidr('::ffff:0:0/96');

/** `net.BlockList` unwraps the mapped ones alone. */
const EMBEDDINGS: readonly Embedding[] = [
  { within: MAPPED, offset: 12, whenPublic: 'public' }, // mapped, RFC 4291 2.5.5.2
  { within: parseCidr('64:ff9b::/96'), offset: 12, whenPublic: 'public' }, // NAT64, RFC 6052
  // Local NAT64, RFC 8215: whoever runs it chose the prefix; RFC 6052 2.2 puts the bytes of a /96 last.
  { within: parseCidr('64:ff9b:1::/48'), offset: 12, whenPublic: 'transition' },
  { within: parseCidr('::ffff:0:0:0/96'), offset: 12, whenPublic: 'transition' }, // SIIT, RFC 2765
  { within: parseCidr('2002::/16'), offset: 2, whenPublic: 'transition' }, // 6to4, deprecated by RFC 7526
  { within: parseCidr('2001::/32'), offset: 4, invertedOffset: 12, whenPublic: 'transition' }, // Teredo, RFC 4380
  { within: parseCidr('::/96'), offset: 12, whenPublic: 'transition' }, // compatible, deprecated by RFC 4291
];

/** ISATAP (RFC 5214 6.1): the interface id 0000:5efe or 0200:5efe, then an IPv4 address, under any prefix. */
const ISATAP_OFFSET = 8;
const UNSPECIFIED_OR_LOOPBACK = [parseCidr('::'), parseCidr('::1')];

/**
 * Says what kind of place an address is. IPv4 inside IPv6 counts as the IPv4 address it leads to; the deprecated ways to
 * embed one are never public.
 */
export function classify(address: IpAddress): AddressClass {
  if (address.family === 4) return find(IPV4_RANGES, address);
  const embedding = embeddingOf(address);
  if (embedding !== undefined) return classifyEmbedded(address, embedding);
  const found = find(IPV6_RANGES, address);
  if (found !== 'public' || !isIsatap(address.bytes)) return found;
  return find(IPV4_RANGES, embeddedIpv4(address.bytes, 12));
}

/**
 * The address that is really connected to: an IPv4-mapped IPv6 address is that IPv4 address (RFC 4291 2.5.5.2), so that
 * lists of IPv4 blocks mean it, too.
 */
export function unmapped(address: IpAddress): IpAddress {
  return address.family === 6 && cidrContains(MAPPED, address) ? embeddedIpv4(address.bytes, 12) : address;
}

/** Every IPv4 address that an IPv6 address carries; empty for one that carries none. */
export function carriedIpv4(address: IpAddress): readonly IpAddress[] {
  if (address.family === 4) return [];
  const embedding = embeddingOf(address);
  if (embedding !== undefined) return carriedBy(address, embedding);
  return isIsatap(address.bytes) ? [embeddedIpv4(address.bytes, 12)] : [];
}

function embeddingOf(address: IpAddress): Embedding | undefined {
  if (UNSPECIFIED_OR_LOOPBACK.some((cidr) => cidrContains(cidr, address))) return undefined;
  return EMBEDDINGS.find(({ within }) => cidrContains(within, address));
}

function carriedBy({ bytes }: IpAddress, { offset, invertedOffset }: Embedding): IpAddress[] {
  const plain = embeddedIpv4(bytes, offset);
  if (invertedOffset === undefined) return [plain];
  const { bytes: inverted } = embeddedIpv4(bytes, invertedOffset);
  return [plain, { family: 4, bytes: inverted.map((byte) => byte ^ 0xff) }];
}

function classifyEmbedded(address: IpAddress, embedding: Embedding): AddressClass {
  for (const carried of carriedBy(address, embedding)) {
    const found = find(IPV4_RANGES, carried);
    if (found !== 'public') return found;
  }
  return embedding.whenPublic;
}

function isIsatap(bytes: Uint8Array): boolean {
  const first = bytes[ISATAP_OFFSET];
  return (
    (first === 0x00 || first === 0x02) &&
    bytes[ISATAP_OFFSET + 1] === 0x00 &&
    bytes[ISATAP_OFFSET + 2] === 0x5e &&
    bytes[ISATAP_OFFSET + 3] === 0xfe
  );
}

function find(table: typeof IPV4_RANGES, address: IpAddress): AddressClass {
  return table.find(([cidr]) => cidrContains(cidr, address))?.[1] ?? 'public';
}
