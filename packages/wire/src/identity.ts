import { IdentityError } from './identity-error.ts';
import { parseMac } from './mac.ts';
import { type Right, RIGHTS } from './ticket.ts';

/** The roles that have a certificate of a site. */
export const SERVER_ROLES = ['manager', 'relay', 'auth'] as const;
export type ServerRole = (typeof SERVER_ROLES)[number];

/** A device: `mac` in the spelling of parseMac, `rights` not empty, without repetition, in the order of RIGHTS. */
export interface DeviceIdentity {
  readonly kind: 'device';
  readonly mac: string;
  readonly rights: readonly Right[];
}

/** A server of a site. */
export interface ServerIdentity {
  readonly kind: 'server';
  readonly site: string;
  readonly role: ServerRole;
}

/** Who the owner of a certificate is, as its one `sekisho://` subject alternative name says. */
export type Identity = DeviceIdentity | ServerIdentity;

/** Longer than any valid one: `sekisho://site/` + 63 + `/manager` is 86 characters. */
const MAX_IDENTITY_CHARS = 128;
const SITE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u;
const DEVICE_URI = /^sekisho:\/\/device\/([0-9a-f]{2}(?:-[0-9a-f]{2}){5})\?rights=([a-z0-9,]+)$/u;
const SERVER_URI = /^sekisho:\/\/site\/([a-z0-9-]+)\/([a-z]+)$/u;

/**
 * Reads `sekisho://device/02-00-5e-10-00-01?rights=smtp,pop3,imap` or `sekisho://site/SITE/ROLE`. Only the one spelling
 * that {@link formatIdentity} writes is accepted, so two different URIs are never the same identity.
 * Throws IdentityError.
 */
export function parseIdentity(uri: string): Identity {
  if (uri.length > MAX_IDENTITY_CHARS) throw new IdentityError('BAD_URI', 'the identity is too long');
  const identity = parseDevice(uri) ?? parseServer(uri);
  if (identity === undefined)
    throw new IdentityError('BAD_URI', 'an identity is sekisho://device/MAC?rights=… or sekisho://site/SITE/ROLE');
  if (formatIdentity(identity) !== uri) throw new IdentityError('BAD_URI', 'the identity is not in its one spelling');
  return identity;
}

/** Writes an identity as its URI; rights may come in any order. Throws IdentityError when a part is not allowed. */
export function formatIdentity(identity: Identity): string {
  if (identity.kind === 'device') {
    const mac = parseMac(identity.mac).replaceAll(':', '-');
    return `sekisho://device/${mac}?rights=${parseRights(identity.rights).join(',')}`;
  }
  return `sekisho://site/${parseSiteName(identity.site)}/${parseRole(identity.role)}`;
}

/** Returns the name of a site unchanged: a DNS label in lower case. Throws IdentityError `BAD_SITE`. */
export function parseSiteName(text: string): string {
  if (!SITE_NAME.test(text))
    throw new IdentityError('BAD_SITE', 'a site name is 1 to 63 of a-z, 0-9 and -, with no - at either end');
  return text;
}

/** Returns rights sorted and without repetition. Throws IdentityError `BAD_RIGHTS` for an unknown one or none at all. */
export function parseRights(names: readonly string[]): Right[] {
  const known = Object.keys(RIGHTS).filter((name): name is Right => name in RIGHTS);
  if (names.length === 0 || names.some((name) => !known.some((right) => right === name)))
    throw new IdentityError('BAD_RIGHTS', `rights are one or more of ${known.join(', ')}`);
  return known.filter((right) => names.includes(right));
}

function parseRole(text: string): ServerRole {
  const role = SERVER_ROLES.find((name) => name === text);
  if (role === undefined) throw new IdentityError('BAD_ROLE', `a role is one of ${SERVER_ROLES.join(', ')}`);
  return role;
}

function parseDevice(uri: string): DeviceIdentity | undefined {
  const [, mac, rights] = DEVICE_URI.exec(uri) ?? [];
  if (mac === undefined || rights === undefined) return undefined;
  return { kind: 'device', mac: parseMac(mac), rights: parseRights(rights.split(',')) };
}

function parseServer(uri: string): ServerIdentity | undefined {
  const [, site, role] = SERVER_URI.exec(uri) ?? [];
  if (site === undefined || role === undefined) return undefined;
  return { kind: 'server', site: parseSiteName(site), role: parseRole(role) };
}
