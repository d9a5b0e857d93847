import { createHash, X509Certificate } from 'node:crypto';
import type { Peer } from '@sekisho/channel';
import { CLOCK_SKEW_MS, macBytes, Refusal, type RefusalCode } from '@sekisho/wire';
import { beforeAll, expect, test } from 'vitest';
import { RELAY, SITE, type TestDevice, TestSite } from '../test/site.ts';
import { Gate } from './admission.ts';

let site: TestSite;
let device: TestDevice;
let other: TestDevice;
beforeAll(async () => {
  site = await TestSite.make();
  device = await site.device();
  other = await site.device('02:00:5e:10:00:02');
});

let nowMs = Date.now();
const gateOf = (init: { readonly site?: string; readonly relay?: string; readonly ticketKeys?: readonly string[]; readonly proof?: 'mac-only' } = {}) =>
  new Gate({ now: () => nowMs }, { site: SITE, relay: RELAY, ticketKeys: [site.ticketPublicPem], proof: 'certificate', ...init });

function peerOf({ mac, fingerprint, credentials }: TestDevice, verified = true): Peer {
  const certificate = new X509Certificate(credentials.certPem);
  return {
    verified,
    problem: undefined,
    identity: { kind: 'device', mac, rights: ['smtp'] },
    fingerprint,
    certificate: certificate.raw,
    serial: certificate.serialNumber,
    notBeforeMs: 0,
    expiresAtMs: 0,
  };
}

function verdict(ticket: Buffer, peer: Peer, gate = gateOf()): RefusalCode | 'admitted' {
  try {
    gate.admit(ticket, peer);
    return 'admitted';
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

test('the ticket of a device at its relay', () => {
  nowMs = Date.now();
  const expiresAtMs = nowMs + 600_000;
  const admission = gateOf().admit(site.ticket(device, { expiresAtMs, may: ['smtp'] }), peerOf(device));
  expect(admission).toEqual({ mac: device.mac, rights: 1, expiresAtMs });
  expect(gateOf().ttlMs(admission)).toBe(600_000);
});

test('every bit flipped', () => {
  const ticket = site.ticket(device);
  const gate = gateOf();
  const peer = peerOf(device);
  for (let bit = 0; bit < ticket.length * 8; bit += 1) {
    const forged = Buffer.from(ticket);
    forged[bit >> 3]! ^= 1 << (bit & 7);
    expect(verdict(forged, peer, gate), `bit ${bit}`).toMatch(/^TICKET_/u);
  }
});

test('every length', () => {
  const ticket = site.ticket(device);
  for (let bytes = 0; bytes < ticket.length; bytes += 1)
    expect(verdict(ticket.subarray(0, bytes), peerOf(device))).toBe('TICKET_INVALID');
  expect(verdict(Buffer.concat([ticket, Buffer.from([0])]), peerOf(device))).toBe('TICKET_INVALID');
});

test('what a ticket is bound to', async () => {
  const stranger = await TestSite.make();
  const cases: [RefusalCode, Buffer, Peer, Gate][] = [
    ['TICKET_INVALID', stranger.ticket(device), peerOf(device), gateOf()],
    ['TICKET_MISMATCH', site.ticket(device), peerOf(device), gateOf({ site: 'osaka-1' })],
    ['TICKET_MISMATCH', site.ticket(device), peerOf(device), gateOf({ relay: 's3' })],
    ['TICKET_MISMATCH', site.ticket(device, { relays: [] }), peerOf(device), gateOf()],
    ['TICKET_MISMATCH', site.ticket(device), peerOf(other), gateOf()],
    ['TICKET_MISMATCH', site.ticket(device, { mac: macBytes(other.mac) }), peerOf(device), gateOf()],
    ['TICKET_MISMATCH', site.ticket(device), peerOf(device, false), gateOf()],
    ['TICKET_INVALID', site.ticket(device, { proof: 2 }), peerOf(device), gateOf()],
    ['TICKET_INVALID', site.ticket(device, { mac: Buffer.alloc(6) }), peerOf(device), gateOf()],
    ['TICKET_EXPIRED', site.ticket(device, { expiresAtMs: nowMs - CLOCK_SKEW_MS - 1 }), peerOf(device), gateOf()],
    ['TICKET_EXPIRED', site.ticket(device, { issuedAtMs: nowMs + CLOCK_SKEW_MS + 1 }), peerOf(device), gateOf()],
  ];
  for (const [code, ticket, peer, gate] of cases) expect(verdict(ticket, peer, gate)).toBe(code);
  expect(verdict(site.ticket(device, { expiresAtMs: nowMs - CLOCK_SKEW_MS + 1000 }), peerOf(device))).toBe('admitted');
});

test("mac-only: auth's word is enough, the certificate need not be the operator's", () => {
  const gate = gateOf({ proof: 'mac-only' });
  expect(verdict(site.ticket(device, { proof: 1 }), peerOf(device, false), gate)).toBe('admitted');
  expect(verdict(site.ticket(device, { proof: 1 }), peerOf(other, false), gate)).toBe('TICKET_MISMATCH');
});

test("a site that asks for certificates takes nobody's word for a MAC, not even that of its own auth's key", () => {
  expect(verdict(site.ticket(device, { proof: 1 }), peerOf(device, false))).toBe('TICKET_INVALID');
  expect(verdict(site.ticket(device, { proof: 1 }), peerOf(device))).toBe('TICKET_INVALID');
});

test('while keys are rotated, both are good', async () => {
  const next = await TestSite.make();
  const gate = gateOf({ ticketKeys: [next.ticketPublicPem, site.ticketPublicPem] });
  expect(verdict(site.ticket(device), peerOf(device), gate)).toBe('admitted');
  expect(verdict(next.ticket(device), peerOf(device), gate)).toBe('admitted');
});

test('rights and time are asked for each session', () => {
  nowMs = Date.now();
  const gate = gateOf();
  const admission = gate.admit(site.ticket(device, { may: ['pop3'], expiresAtMs: nowMs + 1000 }), peerOf(device));
  expect(() => gate.checkSession(admission, 'pop3')).not.toThrow();
  expect(() => gate.checkSession(admission, 'smtp')).toThrow(expect.objectContaining({ code: 'RIGHTS' }));
  nowMs += 1000 + CLOCK_SKEW_MS + 1;
  expect(() => gate.checkSession(admission, 'pop3')).toThrow(expect.objectContaining({ code: 'TICKET_EXPIRED' }));
});

test('a key that cannot be one is an error at the start', () => {
  const ecdsa = new X509Certificate(device.credentials.certPem).publicKey.export({ type: 'spki', format: 'pem' });
  expect(() => gateOf({ ticketKeys: [ecdsa] })).toThrow(TypeError);
});

test('the fingerprint of the fixture is the one that TLS proves', () => {
  expect(device.fingerprint).toEqual(createHash('sha256').update(peerOf(device).certificate).digest());
});
