import { IdentityError } from './identity-error.ts';

const MAC_BYTES = 6;
/** Six octets of two digits and five separators, the longest spelling. */
const MAX_MAC_CHARS = 17;
// One separator throughout: a mixture is more likely a slip than a spelling.
const SPELLINGS = [
  /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/iu,
  /^[0-9a-f]{2}(?:-[0-9a-f]{2}){5}$/iu,
  /^[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$/iu,
] as const;

/**
 * Reads a device's MAC address written as `02:00:5E:10:00:01`, `02-00-5e-10-00-01` or `0200.5e10.0001`, in any case,
 * and gives it the one spelling that keys and logs use: `02:00:5e:10:00:01`.
 * Throws IdentityError `BAD_MAC`, also for addresses no device can own (zero, multicast, broadcast; IEEE 802-2014 8.2).
 */
export function parseMac(text: string): string {
  if (text.length > MAX_MAC_CHARS || !SPELLINGS.some((spelling) => spelling.test(text)))
    throw new IdentityError('BAD_MAC', 'a MAC address is written like 02:00:5e:10:00:01');
  return formatMac(Buffer.from(text.replaceAll(/[:.-]/gu, ''), 'hex'));
}

/** Writes six bytes as `02:00:5e:10:00:01`. Throws IdentityError `BAD_MAC` as {@link parseMac} does. */
export function formatMac(bytes: Uint8Array): string {
  const [first] = bytes;
  if (bytes.length !== MAC_BYTES || first === undefined)
    throw new IdentityError('BAD_MAC', `a MAC address has ${MAC_BYTES} bytes`);
  if ((first & 1) === 1)
    throw new IdentityError('BAD_MAC', 'a multicast or broadcast MAC address is not the address of a device');
  if (bytes.every((byte) => byte === 0))
    throw new IdentityError('BAD_MAC', 'the MAC address 00:00:00:00:00:00 is not the address of a device');
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** The six bytes of a MAC address in any spelling of {@link parseMac}, which see for what it throws. */
export function macBytes(text: string): Buffer {
  return Buffer.from(parseMac(text).replaceAll(':', ''), 'hex');
}
