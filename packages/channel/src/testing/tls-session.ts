/** One piece of a session as OpenSSL writes it in DER (SSL_SESSION_ASN1): its tag, and where its content stands. */
export interface SessionPart {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Of the parts without a tag of their own: version, protocol, cipher, session id, secret. */
export const SECRET = 4;
export const LIFETIME_TAG = 0xa9;
export const TICKET_TAG = 0xaa;
export const EARLY_DATA_TAG = 0xaf;

const NODE_PREFIX = Buffer.from('\0nodejs:tls:session:1\0', 'latin1');

/** The parts of a session that a client was given, in order. */
export function sessionParts(session: Buffer): SessionPart[] {
  const outer = partAt(session, derStart(session));
  return partsIn(session, outer.start, outer.end);
}

/** The session with the bytes of one part replaced, from `offset` within it. */
export function withBytes(session: Buffer, part: SessionPart, bytes: Buffer, offset = 0): Buffer {
  const changed = Buffer.from(session);
  bytes.copy(changed, part.start + offset);
  return changed;
}

/** What stands in a part with a tag of its own, which wraps another one. */
export function inner(session: Buffer, part: SessionPart): SessionPart {
  return partAt(session, part.start);
}

/** Node puts before the session whom it was checked against: a prefix, a length, and a name. */
function derStart(session: Buffer): number {
  return session.subarray(0, NODE_PREFIX.length).equals(NODE_PREFIX)
    ? NODE_PREFIX.length + 2 + session.readUInt16BE(NODE_PREFIX.length)
    : 0;
}

function partsIn(bytes: Buffer, from: number, end: number): SessionPart[] {
  const parts: SessionPart[] = [];
  for (let at = from; at < end; at = parts.at(-1)?.end ?? end) parts.push(partAt(bytes, at));
  return parts;
}

function partAt(bytes: Buffer, at: number): SessionPart {
  const first = bytes.readUInt8(at + 1);
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + lengthBytes;
  return { tag: bytes.readUInt8(at), start, end: start + (lengthBytes === 0 ? first : bytes.readUIntBE(at + 2, lengthBytes)) };
}
