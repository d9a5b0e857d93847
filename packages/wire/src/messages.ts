import type { Field, Fields, RecordOf } from './fields.ts';

/**
 * Every message of both channels: type number, the largest frame it may be, and its fields. docs/protocol.md describes
 * the same table in words; a test compares the two.
 */

export const PROTOCOL_VERSIONS: readonly number[] = [1];
export const CONTROL_ALPN = 'sekisho-control/1';
export const DATA_ALPN = 'sekisho-data/1';

/** More relays than this do not fit in a lease; a larger site is two sites. */
export const MAX_RELAYS = 32;
export const MAX_NAME_BYTES = 64;
/** RFC 1035: 253 characters of text; an IPv6 address with a zone is shorter. */
export const MAX_HOST_BYTES = 253;
export const MAX_TEXT_BYTES = 255;
export const MAX_TICKET_BYTES = 3072;
/** A device's certificate in DER; the operator's have about 500 bytes. */
export const MAX_CERTIFICATE_BYTES = 4096;
export const SESSION_ID_BYTES = 16;
/** What a scanner calls a virus. */
export const MAX_SIGNATURE_BYTES = 128;
/** A host, brackets, and a port. */
export const MAX_DESTINATION_BYTES = 260;

const u8 = (tag: number) => ({ tag, kind: 'u8' }) as const;
const u16 = (tag: number) => ({ tag, kind: 'u16' }) as const;
const u32 = (tag: number) => ({ tag, kind: 'u32' }) as const;
const u64 = (tag: number) => ({ tag, kind: 'u64' }) as const;
const text = <const N extends number = typeof MAX_NAME_BYTES>(tag: number, maxBytes?: N) =>
  ({ tag, kind: 'text', maxBytes: maxBytes ?? MAX_NAME_BYTES }) as const;
const bytes = (tag: number, minBytes: number, maxBytes: number) => ({ tag, kind: 'bytes', minBytes, maxBytes }) as const;
const names = (tag: number, maxCount: number) => ({ tag, kind: 'texts', maxBytes: MAX_NAME_BYTES, maxCount }) as const;
const optional = <F extends Field>(field: F) => ({ ...field, optional: true }) as const;

const RELAY_FIELDS = {
  name: text(1),
  host: text(2, MAX_HOST_BYTES),
  port: u16(3),
} as const satisfies Fields;

/** What a relay's inspection has done since the relay was started, and how many of its scanners it can use. */
const INSPECTION_FIELDS = {
  clean: u64(1),
  infected: u64(2),
  unscannable: u64(3),
  uninspected: u64(4),
  scanners: u32(5),
  scannersUp: u32(6),
  why: optional(text(7, MAX_TEXT_BYTES)),
} as const satisfies Fields;

/** A relay's own report of its load; fractions are in thousandths. */
const REPORT_FIELDS = {
  loadPerCoreMilli: u32(1),
  hottestCoreMilli: u32(2),
  loopDelayUs: u32(3),
  sessions: u32(4),
  maxSessions: u32(5),
  devices: u32(6),
  bytesPerSecond: u64(7),
  bytesPerSecondLimit: u64(8),
  draining: u8(9),
  unable: optional(text(10, MAX_TEXT_BYTES)),
  inspection: { tag: 11, kind: 'record', fields: INSPECTION_FIELDS, optional: true },
  workers: optional(u32(12)),
  workersWanted: optional(u32(13)),
} as const satisfies Fields;

const spec = <const T extends number, const S extends Fields>(type: T, maxBytes: number, fields: S) => ({
  type,
  maxBytes,
  fields,
});

export const MESSAGES = {
  hello: spec(0x01, 4096, {
    id: u32(1),
    versions: bytes(2, 1, 16),
    software: text(3),
    mac: optional(bytes(4, 6, 6)),
    relay: optional(text(5)),
    avoid: names(6, MAX_RELAYS),
    direct: optional(u8(7)),
    detections: optional(u8(8)),
  }),
  welcome: spec(0x02, 512, {
    id: u32(1),
    version: u8(2),
    software: text(3),
    name: text(4),
    site: text(5),
    at: optional(u64(6)),
    config: optional(text(7)),
    stack: optional(text(8)),
  }),
  lease: spec(0x03, 16_384, {
    id: u32(1),
    version: u8(2),
    site: text(3),
    manager: text(4),
    relays: { tag: 5, kind: 'records', fields: RELAY_FIELDS, maxCount: MAX_RELAYS },
    ticket: bytes(6, 65, MAX_TICKET_BYTES),
    ttlMs: u32(7),
    renewAfterMs: u32(8),
    reason: text(9),
    push: optional(u8(10)),
  }),
  refuse: spec(0x04, 1024, {
    id: u32(1),
    code: u16(2),
    text: text(3, MAX_TEXT_BYTES),
    versions: optional(bytes(4, 1, 16)),
    retryAfterMs: optional(u32(5)),
  }),
  bye: spec(0x05, 512, {
    session: bytes(1, SESSION_ID_BYTES, SESSION_ID_BYTES),
    outcome: text(2),
    bytesUp: u64(3),
    bytesDown: u64(4),
    durationMs: u64(5),
    relay: optional(text(6)),
  }),
  ping: spec(0x06, 64, { id: u32(1) }),
  pong: spec(0x07, 1024, {
    id: u32(1),
    report: { tag: 2, kind: 'record', fields: REPORT_FIELDS, optional: true },
  }),
  authorize: spec(0x08, 16_384, {
    id: u32(1),
    mac: bytes(2, 6, 6),
    certificate: bytes(3, 1, MAX_CERTIFICATE_BYTES),
    verified: u8(4),
    address: text(5),
    relays: names(6, MAX_RELAYS),
  }),
  grant: spec(0x09, 4096, {
    id: u32(1),
    ticket: bytes(2, 65, MAX_TICKET_BYTES),
    ttlMs: u32(3),
  }),
  detection: spec(0x0a, 1024, {
    id: u32(1),
    key: text(2),
    at: u64(3),
    mac: bytes(4, 6, 6),
    signature: text(5, MAX_SIGNATURE_BYTES),
    protocol: u8(6),
    client: text(7),
    destination: text(8, MAX_DESTINATION_BYTES),
    session: bytes(9, SESSION_ID_BYTES, SESSION_ID_BYTES),
  }),
  noted: spec(0x0b, 64, { id: u32(1) }),
  ticket: spec(0x20, 4096, {
    versions: bytes(1, 1, 16),
    software: text(2),
    ticket: bytes(3, 65, MAX_TICKET_BYTES),
  }),
  admit: spec(0x21, 256, {
    version: u8(1),
    ttlMs: u32(2),
    maxSessions: u32(3),
  }),
  connect: spec(0x22, 1024, {
    session: bytes(1, SESSION_ID_BYTES, SESSION_ID_BYTES),
    protocol: u8(2),
    host: text(3, MAX_HOST_BYTES),
    port: u16(4),
    client: text(5),
  }),
  connected: spec(0x23, 256, {
    address: text(1),
    connectMs: u32(2),
  }),
} as const;

export type MessageName = keyof typeof MESSAGES;
export type MessageBody<N extends MessageName> = RecordOf<(typeof MESSAGES)[N]['fields']>;
/** A message as it is sent and received: its name and its fields. */
export type Message<N extends MessageName = MessageName> = {
  [K in N]: { readonly type: K } & Readonly<MessageBody<K>>;
}[N];

export type RelayAddress = RecordOf<typeof RELAY_FIELDS>;
export type RelayReport = RecordOf<typeof REPORT_FIELDS>;
export type RelayInspection = RecordOf<typeof INSPECTION_FIELDS>;

/** The mail protocols of a session, by their number in a CONNECT preamble. */
export const MAIL_PROTOCOLS = ['smtp', 'smtps', 'pop3', 'pop3s', 'imap', 'imaps'] as const;
export type MailProtocol = (typeof MAIL_PROTOCOLS)[number];

/** Well-known ports (RFC 8314, RFC 5321, RFC 6409) and what is spoken there. */
export const PROTOCOL_OF_PORT: ReadonlyMap<number, MailProtocol> = new Map([
  [25, 'smtp'],
  [587, 'smtp'],
  [465, 'smtps'],
  [110, 'pop3'],
  [995, 'pop3s'],
  [143, 'imap'],
  [993, 'imaps'],
]);
