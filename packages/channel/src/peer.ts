import { hash, type X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type Identity, parseIdentity } from '@sekisho/wire';

/** Who is at the other end of a TLS connection, as its certificate says. */
export interface Peer {
  /** The certificate chains to the operator's CA and is valid now. Without it, `identity` is only a claim. */
  readonly verified: boolean;
  /** Why it is not verified, in OpenSSL's words (`CERT_HAS_EXPIRED`, `DEPTH_ZERO_SELF_SIGNED_CERT`, ...). */
  readonly problem: string | undefined;
  readonly identity: Identity | undefined;
  /** SHA-256 of the certificate's DER: what a ticket is bound to. */
  readonly fingerprint: Buffer;
  readonly certificate: Buffer;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

/** Who was found at the other end of connections of ours, where Node does not show it: when the session was resumed. */
const FOUND = new WeakMap<TLSSocket, Peer>();

/** From now on this is what peerOf says of the connection. */
export function notePeer(socket: TLSSocket, peer: Peer): void {
  FOUND.set(socket, peer);
}

/** What a certificate says, whether or not it counts. */
type Written = Omit<Peer, 'verified' | 'problem'>;

/** Certificates of the operator's that were read and need not be again: the devices of a site, twice. 1 KiB each. */
const MAX_READ_CERTIFICATES = 16_384;
const READ = new Map<string, Written>();

/** Reads the peer's certificate; undefined when it showed none. Call it once a connection and keep the answer. */
export function peerOf(socket: TLSSocket, nowMs = Date.now()): Peer | undefined {
  const found = FOUND.get(socket);
  if (found !== undefined) return found;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  // Strangers, who could make up any number, are not remembered.
  if (!socket.authorized) return { ...read(certificate), verified: false, problem: problemOf(socket.authorizationError) };
  const written = readOnce(certificate);
  // TLS looked at the time when the session began, which may be a while ago if it was resumed.
  const problem = timeProblem(written, nowMs);
  return { ...written, verified: problem === undefined, problem };
}

/** Reading a certificate takes 0.1 ms, an eighth of what a resumed connection costs; its hash says whether it is known. */
function readOnce(certificate: X509Certificate): Written {
  const key = hash('sha256', certificate.raw, 'latin1');
  const known = READ.get(key);
  if (known !== undefined) return known;
  const written = read(certificate);
  READ.set(key, written);
  const oldest = READ.size > MAX_READ_CERTIFICATES ? READ.keys().next().value : undefined;
  if (oldest !== undefined) READ.delete(oldest);
  return written;
}

function read(certificate: X509Certificate): Written {
  const { raw } = certificate;
  return {
    identity: identityOf(certificate),
    fingerprint: hash('sha256', raw, 'buffer'),
    certificate: raw,
    serial: certificate.serialNumber.toLowerCase(),
    notBeforeMs: Date.parse(certificate.validFrom),
    expiresAtMs: Date.parse(certificate.validTo),
  };
}

/** Why a certificate does not count at this time, in OpenSSL's words; undefined when it does. */
export function timeProblem(time: Pick<Peer, 'notBeforeMs' | 'expiresAtMs'>, nowMs: number): string | undefined {
  if (nowMs < time.notBeforeMs) return 'CERT_NOT_YET_VALID';
  return nowMs >= time.expiresAtMs ? 'CERT_HAS_EXPIRED' : undefined;
}

/** The address a socket came from, without the prefix that a dual-stack listener puts before an IPv4 address. */
export function addressOf(socket: { readonly remoteAddress?: string | undefined }): string {
  return socket.remoteAddress?.replace(/^::ffff:(?=\d+\.)/u, '') ?? '';
}

/**
 * Whom an address stands for where things are counted: an IPv4 address for itself, an IPv6 address for its /64, which a
 * single line has all to itself (RFC 6177) and from which anybody could take a fresh address for every try.
 */
export function networkOf(address: string): string {
  // Its own check is a long regular expression, and most addresses have no colon.
  if (!address.includes(':') || !isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const behind = (tail ?? '').split(':').filter((group) => group !== '');
  const zeros = Array<string>(tail === undefined ? 0 : Math.max(0, 8 - groups.length - behind.length)).fill('0');
  return `${[...groups, ...zeros, ...behind].slice(0, 4).join(':')}::/64`;
}

// Node declares an Error and delivers its code as a string.
function problemOf(error: unknown): string {
  if (typeof error === 'string') return error;
  return error instanceof Error ? error.message : 'unverified';
}

/** The one `sekisho://` URI among a certificate's subject alternative names; undefined when there is none, or two. */
export function identityOf(certificate: X509Certificate): Identity | undefined {
  try {
    const uris = uriNames(certificate.subjectAltName ?? '').filter((uri) => uri.startsWith('sekisho://'));
    const [uri] = uris;
    return uri === undefined || uris.length > 1 ? undefined : parseIdentity(uri);
  } catch {
    return undefined; // not an identity, or names in a form that cannot be told apart
  }
}

/**
 * Node prints subject alternative names as one line and quotes, as JSON, those that could be mistaken for a separator
 * (CVE-2021-44532); a name that is not quoted holds neither comma nor quote. Nothing is skipped: a line that does not
 * read so from its beginning to its end has no names.
 */
function uriNames(line: string): string[] {
  const names: string[] = [];
  const next = /(?:^|, )(\w[\w ]*):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/uy;
  while (next.lastIndex < line.length) {
    const [, kind, name = ''] = next.exec(line) ?? [];
    if (kind === undefined) return [];
    if (kind === 'URI') names.push(name.startsWith('"') ? String(JSON.parse(name)) : name);
  }
  return names;
}
