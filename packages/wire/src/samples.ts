import { createPrivateKey } from 'node:crypto';
import type { Message, MessageName } from './messages.ts';
import { sealTicket, type Ticket } from './ticket.ts';

/**
 * One sample of every frame and of a ticket, from which the vectors in docs/protocol.md are made. Test code only: the key
 * is 32 bytes of 0x01.
 */
const PKCS8_ED25519_PREFIX = '302e020100300506032b657004220420';
export const SAMPLE_TICKET_KEY = createPrivateKey({
  key: Buffer.from(PKCS8_ED25519_PREFIX + '01'.repeat(32), 'hex'),
  format: 'der',
  type: 'pkcs8',
});

const mac = Buffer.from('02005e100001', 'hex');
const session = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

export const SAMPLE_TICKET: Ticket = {
  keyId: Buffer.from('34750f98bd59fcfc', 'hex'),
  site: 'tokyo-1',
  mac,
  fingerprint: Buffer.alloc(32, 0xaa),
  relays: ['s1', 's2'],
  rights: 3,
  issuedAtMs: 1_800_000_000_000,
  expiresAtMs: 1_800_000_600_000,
  proof: 0,
  id: Buffer.alloc(16, 0xbb),
};
export const SEALED_SAMPLE_TICKET = sealTicket(SAMPLE_TICKET, SAMPLE_TICKET_KEY);
const ticket = SEALED_SAMPLE_TICKET;
const versions = Buffer.from([1]);

export const SAMPLE_MESSAGES: { readonly [N in MessageName]: Message<N> } = {
  hello: { type: 'hello', id: 1, versions, software: 'sekisho/0.1.0', mac, relay: 's1', avoid: ['s3'], direct: 0 },
  welcome: {
    type: 'welcome',
    id: 1,
    version: 1,
    software: 'sekisho/0.1.0',
    name: 's1',
    site: 'tokyo-1',
    at: 1_800_000_000_000,
    config: '0011223344556677',
    stack: '8899aabbccddeeff',
  },
  lease: {
    type: 'lease',
    id: 1,
    version: 1,
    site: 'tokyo-1',
    manager: 's1',
    relays: [
      { name: 's2', host: '192.0.2.2', port: 7026 },
      { name: 's1', host: '2001:db8::1', port: 7026 },
    ],
    ticket,
    ttlMs: 600_000,
    renewAfterMs: 300_000,
    reason: 'least-load',
  },
  refuse: { type: 'refuse', id: 1, code: 1, text: 'version 9 is not spoken here', versions, retryAfterMs: 60_000 },
  bye: { type: 'bye', session, outcome: 'completed', bytesUp: 5000, bytesDown: 300, durationMs: 1234, relay: 's2' },
  ping: { type: 'ping', id: 7 },
  pong: {
    type: 'pong',
    id: 7,
    report: {
      loadPerCoreMilli: 250,
      hottestCoreMilli: 500,
      loopDelayUs: 900,
      sessions: 12,
      maxSessions: 800,
      devices: 9,
      bytesPerSecond: 1_000_000,
      bytesPerSecondLimit: 12_500_000,
      draining: 0,
    },
  },
  authorize: {
    type: 'authorize',
    id: 3,
    mac,
    certificate: Buffer.from('3003020101', 'hex'),
    verified: 1,
    address: '198.51.100.7',
    relays: ['s1', 's2'],
  },
  grant: { type: 'grant', id: 3, ticket, ttlMs: 600_000 },
  detection: {
    type: 'detection',
    id: 5,
    key: 's-000102030405060708090a0b0c0d0e0f-1',
    at: 1_800_000_000_000,
    mac,
    signature: 'Win.Test.EICAR_HDB-1',
    protocol: 0,
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:587',
    session,
  },
  noted: { type: 'noted', id: 5 },
  ticket: { type: 'ticket', versions, software: 'sekisho/0.1.0', ticket },
  admit: { type: 'admit', version: 1, ttlMs: 600_000, maxSessions: 50 },
  connect: { type: 'connect', session, protocol: 0, host: 'mail.example.com', port: 587, client: '10.1.2.3:50000' },
  connected: { type: 'connected', address: '203.0.113.5', connectMs: 12 },
};
