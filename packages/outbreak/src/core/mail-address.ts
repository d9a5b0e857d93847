/** RFC 5321 4.5.3.1. */
const MAX_ADDRESS_CHARS = 254;
/** A dot-atom and a domain name: what a quoted local part could hide is in none of them. */
const ADDRESS = /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/iu;
const MAX_LOCAL_PART_CHARS = 64;

export function isMailAddress(text: string): boolean {
  return text.length <= MAX_ADDRESS_CHARS && text.indexOf('@') <= MAX_LOCAL_PART_CHARS && ADDRESS.test(text);
}

/** The address in a registry's contact: `a@example.com` or `Ann <a@example.com>`; null when there is none. */
export function addressIn(contact: string): string | null {
  const text = contact.trim();
  const address = (/^[^<>]*<([^<>]+)>$/u.exec(text)?.[1] ?? text).trim();
  return isMailAddress(address) ? address.toLowerCase() : null;
}
