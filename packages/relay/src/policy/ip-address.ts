/** An IP address by value: 4 or 16 bytes. Two spellings of one address are equal here. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
}

const IPV4_PART = /^(?:0|[1-9]\d{0,2})$/u;
const IPV6_PART = /^[0-9a-f]{1,4}$/iu;
const IPV6_WORDS = 8;
/** Eight words of four digits with an IPv4 tail: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`. */
const MAX_ADDRESS_CHARS = 45;

/**
 * Reads an address in the one dotted spelling of IPv4 or in RFC 4291's spellings of IPv6. Octal, short, hexadecimal and
 * whole-number IPv4 (`inet_aton` takes them all), zone ids and brackets are not addresses here.
 */
export function parseAddress(text: string): IpAddress | undefined {
  if (text.length > MAX_ADDRESS_CHARS) return undefined;
  const bytes = text.includes(':') ? parseIpv6(text) : parseIpv4(text);
  if (bytes === undefined) return undefined;
  return { family: bytes.length === 4 ? 4 : 6, bytes };
}

/** Writes an address: dotted IPv4, or IPv6 as RFC 5952 wants it. */
export function formatAddress({ family, bytes }: IpAddress): string {
  return family === 4 ? bytes.join('.') : formatIpv6(bytes);
}

/** An IPv4 address found inside an IPv6 address, at `offset` bytes. */
export function embeddedIpv4(bytes: Uint8Array, offset: number): IpAddress {
  return { family: 4, bytes: bytes.subarray(offset, offset + 4) };
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => IPV4_PART.test(part))) return undefined;
  const values = parts.map(Number);
  return values.every((value) => value <= 255) ? Uint8Array.from(values) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [before = '', after] = halves;
  // Only the last part may be dotted, so the first half may end so only when there is no second.
  const head = words(before, after === undefined);
  const tail = words(after ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = IPV6_WORDS - head.length - tail.length;
  if (after === undefined ? missing !== 0 : missing < 1) return undefined;
  const bytes = new Uint8Array(2 * IPV6_WORDS);
  [...head, ...Array.from({ length: missing }, () => 0), ...tail].forEach((word, index) => {
    bytes[2 * index] = word >>> 8;
    bytes[2 * index + 1] = word & 0xff;
  });
  return bytes;
}

function words(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const found: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (IPV6_PART.test(part)) {
      found.push(Number.parseInt(part, 16));
      continue;
    }
    const dotted = mayEndDotted && index === parts.length - 1 ? parseIpv4(part) : undefined;
    if (dotted === undefined) return undefined;
    const [a = 0, b = 0, c = 0, d = 0] = dotted;
    found.push(a * 256 + b, c * 256 + d);
  }
  return found;
}

function formatIpv6(bytes: Uint8Array): string {
  const all = Array.from({ length: IPV6_WORDS }, (_, index) => (bytes[2 * index] ?? 0) * 256 + (bytes[2 * index + 1] ?? 0));
  const { start, length } = longestZeros(all);
  const hex = all.map((word) => word.toString(16));
  if (length < 2) return hex.join(':');
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`;
}

function longestZeros(all: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, word] of all.entries()) {
    length = word === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  }
  return best;
}
