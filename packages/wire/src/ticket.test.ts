import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Refusal } from './codes.ts';
import { SAMPLE_TICKET, SAMPLE_TICKET_KEY, SEALED_SAMPLE_TICKET } from './samples.ts';
import { CLOCK_SKEW_MS, openTicket, packRights, sealTicket, type Ticket, type TicketExpectation } from './ticket.ts';

const keys = new Map<string, KeyObject>([[SAMPLE_TICKET.keyId.toString('hex'), createPublicKey(SAMPLE_TICKET_KEY)]]);
const expected: TicketExpectation = {
  keys,
  site: 'tokyo-1',
  relay: 's2',
  fingerprint: SAMPLE_TICKET.fingerprint,
  nowMs: SAMPLE_TICKET.issuedAtMs,
};
const codeOf = (sealed: Buffer, change: Partial<TicketExpectation> = {}): string => {
  try {
    openTicket(sealed, { ...expected, ...change });
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  return 'accepted';
};

test('a ticket has exactly the bytes of its test vector', () => {
  const vector = readFileSync(new URL('fixtures/ticket.hex', import.meta.url), 'utf8').trim();
  expect(SEALED_SAMPLE_TICKET.toString('hex')).toBe(vector);
  expect(openTicket(Buffer.from(vector, 'hex'), expected)).toEqual(SAMPLE_TICKET);
});

test('the key id is what protocol.md says', async () => {
  const { createHash } = await import('node:crypto');
  const raw = createPublicKey(SAMPLE_TICKET_KEY).export({ format: 'der', type: 'spki' }).subarray(-32);
  expect(createHash('sha256').update(raw).digest().subarray(0, 8)).toEqual(SAMPLE_TICKET.keyId);
});

test('every bit flipped: refused', () => {
  for (let bit = 0; bit < SEALED_SAMPLE_TICKET.length * 8; bit += 1) {
    const forged = Buffer.from(SEALED_SAMPLE_TICKET);
    forged[bit >> 3]! ^= 1 << (bit & 7);
    expect(codeOf(forged), `bit ${bit}`).toBe('TICKET_INVALID');
  }
});

test('every length cut or added to: refused', () => {
  for (let length = 0; length < SEALED_SAMPLE_TICKET.length; length += 1)
    expect(codeOf(SEALED_SAMPLE_TICKET.subarray(0, length))).toBe('TICKET_INVALID');
  expect(codeOf(Buffer.concat([SEALED_SAMPLE_TICKET, Buffer.alloc(1)]))).toBe('TICKET_INVALID');
  expect(codeOf(Buffer.alloc(100_000))).toBe('TICKET_INVALID');
});

test('every field swapped for the one of another valid ticket: refused', () => {
  const other: Ticket = {
    ...SAMPLE_TICKET,
    site: 'osaka-1',
    mac: Buffer.from('02005e100002', 'hex'),
    fingerprint: Buffer.alloc(32, 1),
    relays: ['s2', 's1'],
    rights: 7,
    issuedAtMs: SAMPLE_TICKET.issuedAtMs + 1,
    expiresAtMs: SAMPLE_TICKET.expiresAtMs + 1,
    proof: 1,
    id: Buffer.alloc(16),
  };
  const signature = SEALED_SAMPLE_TICKET.subarray(-64);
  for (const field of Object.keys(other) as (keyof Ticket)[]) {
    if (field === 'keyId') continue;
    const swapped = sealTicket({ ...SAMPLE_TICKET, [field]: other[field] }, SAMPLE_TICKET_KEY);
    expect(codeOf(Buffer.concat([swapped.subarray(0, -64), signature])), field).toBe('TICKET_INVALID');
  }
});

describe('a ticket that is genuine, but not for this use', () => {
  const { expiresAtMs, issuedAtMs } = SAMPLE_TICKET;
  test.each<[string, Partial<TicketExpectation>, string]>([
    ['another site', { site: 'osaka-1' }, 'TICKET_MISMATCH'],
    ['another relay', { relay: 's9' }, 'TICKET_MISMATCH'],
    ['another certificate', { fingerprint: Buffer.alloc(32) }, 'TICKET_MISMATCH'],
    ['expired', { nowMs: expiresAtMs + CLOCK_SKEW_MS + 1 }, 'TICKET_EXPIRED'],
    ['from the future', { nowMs: issuedAtMs - CLOCK_SKEW_MS - 1 }, 'TICKET_EXPIRED'],
    ['a clock a little fast', { nowMs: expiresAtMs + CLOCK_SKEW_MS }, 'accepted'],
    ['a clock a little slow', { nowMs: issuedAtMs - CLOCK_SKEW_MS }, 'accepted'],
    ['no key is known', { keys: new Map() }, 'TICKET_INVALID'],
  ])('%s', (_, change, code) => {
    expect(codeOf(SEALED_SAMPLE_TICKET, change)).toBe(code);
  });
});

test('a ticket signed by somebody else under the same key id is refused', () => {
  const { privateKey } = generateKeyPairSync('ed25519');
  expect(codeOf(sealTicket(SAMPLE_TICKET, privateKey))).toBe('TICKET_INVALID');
});

test('any bytes: a Refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4000 }), (bytes) => {
      expect(codeOf(Buffer.from(bytes))).toBe('TICKET_INVALID');
    }),
  );
});

test('the longest names of the largest site fit', () => {
  const relays = Array.from({ length: 32 }, (_, index) => `${index}`.padEnd(64, 'x'));
  const sealed = sealTicket({ ...SAMPLE_TICKET, site: 's'.repeat(63), relays }, SAMPLE_TICKET_KEY);
  expect(codeOf(sealed, { site: 's'.repeat(63), relay: relays[31]! })).toBe('accepted');
});

test('rights are bits', () => {
  expect(packRights(['imap', 'smtp'])).toBe(5);
});
