import { type Cidr, parseCidr } from './cidr.ts';

/** What kind of place an address is; everything but `public` is refused unless it is listed. */
export type AddressClass =
  | 'public'
  | 'unspecified'
  | 'loopback'
  | 'private'
  | 'cgnat'
  | 'link-local'
  | 'metadata'
  | 'multicast'
  | 'broadcast'
  | 'documentation'
  | 'transition'
  | 'reserved';

type Range = readonly [cidr: Cidr, found: AddressClass];
const ranges = (table: readonly (readonly [string, AddressClass])[]): readonly Range[] =>
  table.map(([text, found]) => [parseCidr(text), found] as const);

/**
 * Where clouds hand out credentials to whoever asks from the inside. Some stand in ranges that are otherwise public
 * or that a site may list as its own, so each is named.
 */
const METADATA: readonly (readonly [string, AddressClass])[] = [
  ['169.254.169.254', 'metadata'], // AWS, Azure, Google, DigitalOcean, Oracle, OpenStack
  ['169.254.169.253', 'metadata'], // AWS: the resolver of a VPC
  ['169.254.169.123', 'metadata'], // AWS: time
  ['169.254.170.2', 'metadata'], // AWS: credentials of ECS tasks
  ['169.254.170.23', 'metadata'], // AWS: credentials of EKS pods
  ['169.254.0.23', 'metadata'], // Tencent
  ['100.100.100.200', 'metadata'], // Alibaba, inside the CGNAT range
  ['192.0.0.192', 'metadata'], // Oracle, classic
  ['168.63.129.16', 'metadata'], // Azure's WireServer, inside a public range
  ['fd00:ec2::254', 'metadata'], // AWS
  ['fd00:ec2::253', 'metadata'],
  ['fd00:ec2::23', 'metadata'],
  ['fd20:ce::254', 'metadata'], // Google
  ['fd00:42::42', 'metadata'], // Scaleway
];

/** The IANA IPv4 special-purpose registry (RFC 6890), the first match counts. */
export const IPV4_RANGES = ranges([
  ...METADATA.filter(([text]) => !text.includes(':')),
  ['0.0.0.0', 'unspecified'],
  ['0.0.0.0/8', 'reserved'], // "this network"; Linux connects 0.x to the local host or nowhere
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'cgnat'], // RFC 6598
  ['127.0.0.0/8', 'loopback'],
  ['169.254.0.0/16', 'link-local'], // RFC 3927
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'reserved'], // RFC 6890: protocol assignments
  ['192.0.2.0/24', 'documentation'],
  ['192.88.99.0/24', 'transition'], // RFC 7526: the anycast relays of 6to4
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'reserved'], // RFC 2544: benchmarks
  ['198.51.100.0/24', 'documentation'],
  ['203.0.113.0/24', 'documentation'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],
]);

/**
 * The IANA IPv6 special-purpose registry and the unicast space, the first match counts. Ranges that embed IPv4 and
 * have a meaning of their own are not here: `classify` unwraps them before it looks.
 */
export const IPV6_RANGES = ranges([
  ...METADATA.filter(([text]) => text.includes(':')),
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['2001::/23', 'reserved'], // RFC 2928: protocol assignments, ORCHID, benchmarks
  ['2001:db8::/32', 'documentation'],
  ['3fff::/20', 'documentation'], // RFC 9637
  ['2000::/3', 'public'],
  ['fc00::/7', 'private'], // RFC 4193
  ['fe80::/10', 'link-local'],
  ['fec0::/10', 'private'], // RFC 3879: site-local, deprecated, still routed inside sites
  ['ff00::/8', 'multicast'],
  ['::/0', 'reserved'], // nothing else is global unicast (RFC 4291 2.4): discard-only, SRv6, unassigned
]);
