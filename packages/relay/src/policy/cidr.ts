import { type IpAddress, parseAddress } from './ip-address.ts';

/** A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly prefix: Uint8Array;
  readonly bits: number;
}

const BITS = /^(?:0|[1-9]\d{0,2})$/u;

/**
 * Reads `ADDRESS` or `ADDRESS/BITS`; what stands behind the prefix does not count.
 * @throws RangeError for anything else
 */
export function parseCidr(text: string): Cidr {
  const [host = '', bitsText, ...more] = text.split('/');
  const address = parseAddress(host);
  if (address === undefined || more.length > 0) throw new RangeError(`${text} is not an address or ADDRESS/BITS`);
  const most = address.bytes.length * 8;
  if (bitsText === undefined) return { family: address.family, prefix: address.bytes, bits: most };
  const bits = Number(bitsText);
  if (!BITS.test(bitsText) || bits > most) throw new RangeError(`${text}: the prefix has 0 to ${most} bits`);
  return { family: address.family, prefix: address.bytes, bits };
}

/** Whether the block has the address. An IPv4 block never has an IPv6 address that embeds one of its own. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.family !== address.family) return false;
  const wholeBytes = cidr.bits >>> 3;
  for (let index = 0; index < wholeBytes; index += 1) if (cidr.prefix[index] !== address.bytes[index]) return false;
  const shift = 8 - (cidr.bits & 7);
  return shift === 8 || (cidr.prefix[wholeBytes] ?? 0) >>> shift === (address.bytes[wholeBytes] ?? 0) >>> shift;
}
