import { PkiError } from './pki-error.ts';

const MAX_DNS_NAME_CHARS = 253;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u;

/**
 * Returns a host name as certificates carry it: lower case, no final dot. Throws PkiError `BAD_INPUT` for anything but a
 * plain name (no wildcard, no address; internationalized names in their xn-- form).
 */
export function parseDnsName(text: string): string {
  const name = text.toLowerCase().replace(/\.$/u, '');
  const labels = name.split('.', MAX_DNS_NAME_CHARS);
  const isAddress = /^[0-9]+$/u.test(labels.at(-1) ?? '');
  if (text.length > MAX_DNS_NAME_CHARS + 1 || isAddress || !labels.every((label) => LABEL.test(label)))
    throw new PkiError('BAD_INPUT', 'the name of the managers is a DNS name like manager.example.com, not an address');
  return name;
}
