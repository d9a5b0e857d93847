import { type KeyObject, sign, timingSafeEqual, verify } from 'node:crypto';
import { Refusal } from './codes.ts';
import { decodeFields, encodeFields, type Fields, type RecordOf } from './fields.ts';
import { MAX_RELAYS, MAX_TICKET_BYTES } from './messages.ts';
import { WireError } from './wire-error.ts';

/**
 * A ticket: fields, then an Ed25519 signature over `"sekisho-ticket-1" NUL fields`. The algorithm is fixed; nothing in
 * a ticket chooses it. It is bound to the certificate of the device, which proves itself in the TLS handshake, so a
 * ticket that is read or copied is of no use to anybody else.
 */
const TICKET_FIELDS = {
  keyId: { tag: 1, kind: 'bytes', minBytes: 8, maxBytes: 8 },
  site: { tag: 2, kind: 'text', maxBytes: 64 },
  mac: { tag: 3, kind: 'bytes', minBytes: 6, maxBytes: 6 },
  fingerprint: { tag: 4, kind: 'bytes', minBytes: 32, maxBytes: 32 },
  relays: { tag: 5, kind: 'texts', maxBytes: 64, maxCount: MAX_RELAYS },
  rights: { tag: 6, kind: 'u8' },
  issuedAtMs: { tag: 7, kind: 'u64' },
  expiresAtMs: { tag: 8, kind: 'u64' },
  proof: { tag: 9, kind: 'u8' },
  id: { tag: 10, kind: 'bytes', minBytes: 16, maxBytes: 16 },
} as const satisfies Fields;

/**
 * `fingerprint`: SHA-256 of the device certificate's DER. `rights`: bits of {@link RIGHTS}. `proof`: 0 the certificate
 * is the operator's, 1 mac-only (the registry's word alone).
 */
export type Ticket = RecordOf<typeof TICKET_FIELDS>;

export const RIGHTS = { smtp: 1, pop3: 2, imap: 4 } as const;
export type Right = keyof typeof RIGHTS;

const SIGNATURE_BYTES = 64;
const LABEL = Buffer.from('sekisho-ticket-1\0', 'latin1');
/** Clocks of a site's servers may differ by this much. */
export const CLOCK_SKEW_MS = 60_000;

/** Signs a ticket with auth's Ed25519 private key. Throws WireError when a field is out of bounds. */
export function sealTicket(ticket: Ticket, privateKey: KeyObject): Buffer {
  const body = encodeFields(TICKET_FIELDS, ticket);
  const sealed = Buffer.concat([body, sign(null, Buffer.concat([LABEL, body]), privateKey)]);
  if (sealed.length > MAX_TICKET_BYTES) throw new WireError('TOO_LONG', `a ticket of ${sealed.length} bytes`);
  return sealed;
}

export interface TicketExpectation {
  /** Public keys by key id in hexadecimal; more than one while keys are rotated. */
  readonly keys: ReadonlyMap<string, KeyObject>;
  readonly site: string;
  readonly relay: string;
  /** SHA-256 of the DER of the certificate that the peer proved in its TLS handshake. */
  readonly fingerprint: Buffer;
  readonly nowMs: number;
}

/**
 * Opens a ticket and checks everything that binds it: signature, site, relay, certificate, time.
 * Throws Refusal TICKET_INVALID, TICKET_MISMATCH or TICKET_EXPIRED.
 */
export function openTicket(sealed: Buffer, expected: TicketExpectation): Ticket {
  const ticket = openSigned(sealed, expected.keys);
  if (ticket.site !== expected.site) throw new Refusal('TICKET_MISMATCH', 'the ticket is for another site');
  if (!ticket.relays.includes(expected.relay))
    throw new Refusal('TICKET_MISMATCH', 'the ticket does not name this relay');
  if (!timingSafeEqual(ticket.fingerprint, expected.fingerprint))
    throw new Refusal('TICKET_MISMATCH', 'the ticket is bound to another certificate');
  if (expected.nowMs > ticket.expiresAtMs + CLOCK_SKEW_MS) throw new Refusal('TICKET_EXPIRED', 'the ticket has expired');
  if (expected.nowMs < ticket.issuedAtMs - CLOCK_SKEW_MS)
    throw new Refusal('TICKET_EXPIRED', 'the ticket is from the future: compare the clocks of auth and relay');
  return ticket;
}

function openSigned(sealed: Buffer, keys: TicketExpectation['keys']): Ticket {
  if (sealed.length <= SIGNATURE_BYTES || sealed.length > MAX_TICKET_BYTES)
    throw new Refusal('TICKET_INVALID', 'the ticket has an impossible length');
  const body = sealed.subarray(0, -SIGNATURE_BYTES);
  let ticket: Ticket;
  try {
    ticket = decodeFields(TICKET_FIELDS, body);
  } catch {
    throw new Refusal('TICKET_INVALID', 'the ticket is malformed');
  }
  const key = keys.get(ticket.keyId.toString('hex'));
  if (key === undefined) throw new Refusal('TICKET_INVALID', 'the ticket is signed with an unknown key');
  if (!verify(null, Buffer.concat([LABEL, body]), key, sealed.subarray(-SIGNATURE_BYTES)))
    throw new Refusal('TICKET_INVALID', 'the signature of the ticket is wrong');
  return ticket;
}

/** When a ticket was issued and runs out, unproved: for looking at clocks. Throws WireError when it is malformed. */
export function ticketTimes(sealed: Buffer): Pick<Ticket, 'issuedAtMs' | 'expiresAtMs'> {
  const { issuedAtMs, expiresAtMs } = decodeFields(TICKET_FIELDS, sealed.subarray(0, -SIGNATURE_BYTES));
  return { issuedAtMs, expiresAtMs };
}

/** Packs rights into the bits of a ticket. */
export function packRights(rights: readonly Right[]): number {
  return rights.reduce((bits, right) => bits | RIGHTS[right], 0);
}
