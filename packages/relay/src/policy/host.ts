import { MAX_HOST_BYTES, Refusal } from '@sekisho/wire';
import { type IpAddress, parseAddress } from './ip-address.ts';

/** A destination as dialled: an address, or a name that DNS must be asked for. */
export type Host =
  | { readonly kind: 'address'; readonly address: IpAddress }
  | { readonly kind: 'name'; readonly name: string };

/** RFC 1123 2.1, and the underscore that some names of servers have. */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/u;
/** What `inet_aton` and URL parsers take for a number: decimal, octal or hexadecimal. */
const NUMBER = /^(?:\d+|0x[0-9a-f]*)$/u;

/**
 * Reads the host of a destination. A host whose last label is a number is an IPv4 address or a mistake, never a name:
 * `127.1`, `0x7f.1`, `2130706433` and `0177.0.0.1` mean loopback to other parsers.
 * @throws Refusal DESTINATION_NAME
 */
export function parseHost(text: string): Host {
  const address = parseAddress(text);
  if (address !== undefined) return { kind: 'address', address };
  const name = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  const labels = name.split('.');
  if (name.length > MAX_HOST_BYTES || !labels.every((label) => LABEL.test(label)))
    throw new Refusal('DESTINATION_NAME', 'the destination is neither a host name nor an IP address');
  if (NUMBER.test(labels.at(-1) ?? ''))
    throw new Refusal('DESTINATION_NAME', 'the destination looks like an IP address and is not in its one spelling');
  return { kind: 'name', name };
}
