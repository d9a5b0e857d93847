import { isIP, isIPv4 } from 'node:net';
import { printable } from '@sekisho/telemetry';

/** The longest name of a virus that is kept; ClamAV's have under 80 characters. */
export const MAX_SIGNATURE_CHARS = 128;
/** RFC 5321 4.5.3.1.3: a path has 256 octets with its angle brackets. */
export const MAX_MAIL_ADDRESS_CHARS = 254;
/** Names of one line, as some gateways list them: `Eicar-Signature, Win.Worm.Mydoom`. */
const MAX_SIGNATURES_PER_LINE = 16;
/** Words of a value in which an address is looked for. */
const MAX_WORDS = 8;
/** `[IPv6:ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535,` and spare. */
const MAX_ADDRESS_WORD_CHARS = 64;

// Bounded runs only: this is tried on text of strangers.
const MAIL_ADDRESS = /[^\s<>()[\],;:"'\\@]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,188}[a-z0-9])?/iu;
const MAC = /^[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}$|^[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}$/iu;

/** The names of viruses in a value, fit for a table; empty if there are none. */
export function signaturesIn(value: string): string[] {
  return value
    .split(/, +/u, MAX_SIGNATURES_PER_LINE)
    .map((name) => printable(unwrapped(name)).slice(0, MAX_SIGNATURE_CHARS).toWellFormed())
    .filter((name) => /[\p{L}\p{N}]/u.test(name));
}

/** Without the quotes and brackets around it. By hand: `[...]+$` goes back, and this is text of strangers. */
function unwrapped(name: string): string {
  const isWrapping = (at: number): boolean => ` "'<>[]`.includes(name.charAt(at));
  let from = 0;
  let to = name.length;
  while (from < to && isWrapping(from)) from += 1;
  while (to > from && isWrapping(to - 1)) to -= 1;
  return name.slice(from, to);
}

/** The first IP address in a value, in one spelling; brackets, the `IPv6:` of RFC 5321 and a port are taken off. */
export function ipAddressIn(value: string): string | null {
  for (const word of value.split(' ', MAX_WORDS)) {
    if (word.length > MAX_ADDRESS_WORD_CHARS) continue;
    const bare = word.replaceAll(/^[[(<]+|[\]),;.>]+$/gu, '').replace(/^IPv6:/iu, '');
    const found = [bare, bare.replace(/\]?:\d{1,5}$/u, '')].find((text) => isIP(text) !== 0);
    if (found !== undefined) return canonical(found);
  }
  return null;
}

function canonical(address: string): string | null {
  if (isIPv4(address)) return address;
  const mapped = address.replace(/^::ffff:/iu, '');
  if (isIPv4(mapped)) return mapped;
  // Zones do not leave their machine.
  return address.includes('%') ? null : new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** The first mail address in a value, in lower case. */
export function mailAddressIn(value: string): string | null {
  const [address] = MAIL_ADDRESS.exec(value) ?? [];
  return address === undefined || address.length > MAX_MAIL_ADDRESS_CHARS ? null : printable(address).toLowerCase().slice(0, MAX_MAIL_ADDRESS_CHARS).toWellFormed();
}

/** The MAC address that a value is, in the one spelling that Sekisho uses: `02:00:5e:10:00:01`. No groups, no zero. */
export function macIn(value: string): string | null {
  const word = value.trim();
  if (!MAC.test(word)) return null;
  const hex = word.replaceAll(/[:.-]/gu, '').toLowerCase();
  const isDevice = (Number.parseInt(hex.slice(0, 2), 16) & 1) === 0 && !/^0+$/u.test(hex);
  return isDevice ? (hex.match(/../gu) ?? []).join(':') : null;
}

/** The name of a protocol, in lower case. */
export function protocolIn(value: string): string | null {
  return /^\s*([a-z][a-z0-9+.-]{0,15})\b/iu.exec(value)?.[1]?.toLowerCase() ?? null;
}
