import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { macBytes, openTicket, Refusal, RIGHTS } from '@sekisho/wire';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Admission, type Admitted, type RegisteredDevice } from './admission.ts';
import { CertificateProofs, MAX_STRANGER_CERTIFICATES } from './certificate-proofs.ts';
import { FailureLimiter } from './failure-limiter.ts';
import type { IssuedCertificate } from './pki/leaf.ts';
import { Operator } from './pki/operator.ts';
import { PlaceWatch } from './place-watch.ts';

const MAC = '02:00:5e:10:00:01';
const OTHER = '02:00:5e:10:00:02';
const DAY_MS = 86_400_000;
const HOME = '192.0.2.1';
const TTL_MS = 600_000;

let directory: string;
let operator: Operator;
let valid: IssuedCertificate;
let ofOther: IssuedCertificate;
let selfSigned: IssuedCertificate;
let foreign: IssuedCertificate;
let server: IssuedCertificate;
const ticketKey = generateKeyPairSync('ed25519');

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sekisho-admission-'));
  const names = { name: 'Example', managerName: 'manager.example.com' };
  operator = await Operator.init(join(directory, 'operator'), names);
  // The same names, another key: only the signature tells them apart.
  const impostor = await Operator.init(join(directory, 'impostor'), names);
  const enroll = (by: Operator, mac: string, proof: 'certificate' | 'mac-only', rights = ['smtp', 'imap']) =>
    by.enrollDevice({ mac, rights, days: 10, proof });
  valid = await enroll(operator, MAC, 'certificate');
  ofOther = await enroll(operator, OTHER, 'certificate');
  selfSigned = await enroll(operator, MAC, 'mac-only');
  foreign = await enroll(impostor, MAC, 'certificate');
  server = (await operator.issueSite({ site: 'tokyo-1', days: 10 })).relay;
});
afterAll(() => rm(directory, { recursive: true, force: true }));

let nowMs: number;
let registry: Map<string, RegisteredDevice>;
let revoked: Set<string>;
beforeEach(() => {
  nowMs = Date.now();
  registry = new Map();
  revoked = new Set();
});

function makeAdmission(init: { macOnly?: boolean; burst?: number } = {}): Admission {
  const limits = { burst: init.burst ?? 1000, refillMs: 1000 };
  return new Admission(
    {
      clock: { now: () => nowMs },
      proofs: new CertificateProofs({ caPem: operator.caCertPem }),
      registry: { device: (mac) => registry.get(mac) },
      revocations: { isRevoked: (serial) => revoked.has(serial) },
      macLimiter: new FailureLimiter(limits),
      addressLimiter: new FailureLimiter(limits),
      places: new PlaceWatch({ withinMs: TTL_MS }),
    },
    {
      site: 'tokyo-1',
      ticketKey: ticketKey.privateKey,
      ticketKeyId: Buffer.alloc(8, 1),
      ticketTtlMs: TTL_MS,
      macOnly: init.macOnly ?? false,
    },
  );
}

const derOf = ({ certPem }: IssuedCertificate): Buffer => new X509Certificate(certPem).raw;

function request(certificate: IssuedCertificate | Buffer, mac = MAC, address = HOME) {
  const der = Buffer.isBuffer(certificate) ? certificate : derOf(certificate);
  return { mac: macBytes(mac), certificate: der, address, relays: ['s1', 's2'] };
}

/** What a peer can see of an answer. */
function outcome(admission: Admission, ...args: Parameters<typeof request>): Admitted | { code: string; message: string; retryAfterMs: number } {
  try {
    return admission.admit(request(...args));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { code: error.code, message: error.message, retryAfterMs: error.retryAfterMs };
  }
}

const open = (admitted: Admitted, certificate: IssuedCertificate, at = nowMs) =>
  openTicket(admitted.ticket, {
    keys: new Map([['01'.repeat(8), createPublicKey(ticketKey.publicKey.export({ type: 'spki', format: 'pem' }))]]),
    site: 'tokyo-1',
    relay: 's2',
    fingerprint: Buffer.from(new X509Certificate(certificate.certPem).fingerprint256.replaceAll(':', ''), 'hex'),
    nowMs: at,
  });

test('an unregistered device with the certificate of the operator is admitted, and its ticket is bound to it', () => {
  const admitted = makeAdmission().admit(request(valid));
  expect(admitted).toMatchObject({ mac: MAC, ttlMs: TTL_MS, proof: 'certificate', twoPlaces: false });
  expect(open(admitted, valid)).toMatchObject({ mac: macBytes(MAC), rights: RIGHTS.smtp | RIGHTS.imap, proof: 0, relays: ['s1', 's2'], expiresAtMs: nowMs + TTL_MS });
  expect(() => open(admitted, ofOther)).toThrow('another certificate');
});

test('every ticket has an id of its own', () => {
  const admission = makeAdmission();
  const ids = [1, 2, 3].map(() => open(admission.admit(request(valid)), valid).id.toString('hex'));
  expect(new Set(ids).size).toBe(3);
});

test('a ticket does not outlive the certificate', () => {
  nowMs = valid.expiresAt.getTime() - 5000;
  expect(makeAdmission().admit(request(valid)).ttlMs).toBe(5000);
});

const STRANGERS: [string, () => IssuedCertificate | Buffer, string][] = [
  ['an unknown MAC with a key of its own', () => selfSigned, '02:00:5e:10:00:99'],
  ['the right MAC with a key of its own', () => selfSigned, MAC],
  ['the right MAC with a certificate of somebody who calls himself the operator', () => foreign, MAC],
  ['the certificate of another device', () => ofOther, MAC],
  ['the certificate of a server', () => server, MAC],
  ['the certificate of the operator itself', () => new X509Certificate(operator.caCertPem).raw, MAC],
  ['garbage for a certificate', () => Buffer.from('garbage'), MAC],
  ['a certificate in PEM', () => Buffer.from(valid.certPem), MAC],
  ['a certificate with more behind it', () => Buffer.concat([derOf(valid), Buffer.from('x')]), MAC],
];

test.each(STRANGERS)('%s: the same answer as for every stranger', (_what, certificate, mac) => {
  registry.set(MAC, { disabled: false, macOnly: true, rights: 7 });
  expect(outcome(makeAdmission(), certificate(), mac)).toEqual({
    code: 'DEVICE_REFUSED',
    message: 'the device is not known here or did not prove that it is itself',
    retryAfterMs: 0,
  });
});

test('every bit of the signed part counts', () => {
  const der = derOf(valid);
  const admission = makeAdmission();
  for (let at = 4; at < der.length; at += 7) {
    const flipped = Buffer.from(der);
    flipped[at]! ^= 1;
    expect([at, outcome(admission, flipped)]).toMatchObject([at, { code: 'DEVICE_REFUSED' }]);
  }
});

test('a multicast MAC is nobody', () => {
  expect(() => makeAdmission().admit({ ...request(valid), mac: Buffer.from('ffffffffffff', 'hex') })).toThrow(Refusal);
});

test('expired, revoked, disabled: said to the device that has proved itself, and to nobody else', () => {
  const admission = makeAdmission();
  revoked.add(valid.serial);
  expect(outcome(admission, valid)).toMatchObject({ code: 'DEVICE_REVOKED' });
  expect(outcome(admission, selfSigned)).toMatchObject({ code: 'DEVICE_REFUSED' });
  revoked.clear();
  registry.set(MAC, { disabled: true, macOnly: false, rights: 7 });
  expect(outcome(admission, valid)).toMatchObject({ code: 'DEVICE_DISABLED' });
  expect(outcome(admission, foreign)).toMatchObject({ code: 'DEVICE_REFUSED' });
  registry.set(MAC, { disabled: false, macOnly: false, rights: 7 });
  expect(outcome(admission, valid)).toMatchObject({ proof: 'certificate' });
  nowMs += 11 * DAY_MS;
  expect(outcome(admission, valid)).toMatchObject({ code: 'DEVICE_EXPIRED' });
  nowMs -= 12 * DAY_MS;
  expect(outcome(admission, valid)).toMatchObject({ code: 'DEVICE_REFUSED' });
});

test('failures are limited by MAC and by address; the device itself is never locked out', () => {
  const admission = makeAdmission({ burst: 3 });
  const codes = (count: number, ...args: Parameters<typeof request>) =>
    Array.from({ length: count }, () => {
      const answer = outcome(admission, ...args);
      return 'code' in answer ? answer.code : 'admitted';
    });
  const limited = ['DEVICE_REFUSED', 'DEVICE_REFUSED', 'DEVICE_REFUSED', 'RATE_LIMITED'];
  expect(codes(4, selfSigned, MAC, '198.51.100.7')).toEqual(limited);
  expect(codes(1, selfSigned, MAC, '198.51.100.8')).toEqual(['RATE_LIMITED']);
  expect(codes(1, selfSigned, OTHER, '198.51.100.7')).toEqual(['RATE_LIMITED']);
  expect(codes(2, valid, MAC, HOME)).toEqual(['admitted', 'admitted']);
  expect(codes(1, valid, MAC, '198.51.100.7')).toEqual(['admitted']);
  expect(outcome(admission, selfSigned, MAC, '198.51.100.7')).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 1000 });
  revoked.add(valid.serial);
  expect(codes(5, valid, MAC, '198.51.100.7')).toEqual(Array(5).fill('DEVICE_REVOKED'));
  nowMs += 1000;
  expect(codes(2, selfSigned, MAC, '198.51.100.7')).toEqual(['DEVICE_REFUSED', 'RATE_LIMITED']);
});

test('a fresh IPv6 address for every try is one address as long as they are of one /64', () => {
  const admission = makeAdmission({ burst: 3 });
  const codes = Array.from({ length: 5 }, (_, index) => outcome(admission, selfSigned, `02:00:5e:10:01:0${index}`, `2001:db8:1:2::${index + 1}`));
  expect(codes.map((answer) => 'code' in answer && answer.code)).toEqual(['DEVICE_REFUSED', 'DEVICE_REFUSED', 'DEVICE_REFUSED', 'RATE_LIMITED', 'RATE_LIMITED']);
  expect(outcome(admission, selfSigned, '02:00:5e:10:01:09', '2001:db8:1:3::1')).toMatchObject({ code: 'DEVICE_REFUSED' });
});

test('mac-only: registered, enabled and of that kind, with the rights of the registry; bound to the key it came with', () => {
  const admission = makeAdmission({ macOnly: true });
  expect(outcome(admission, selfSigned)).toMatchObject({ code: 'DEVICE_REFUSED' });
  for (const device of [
    { disabled: true, macOnly: true, rights: 7 },
    { disabled: false, macOnly: false, rights: 7 },
    { disabled: false, macOnly: true, rights: 0 },
  ]) {
    registry.set(MAC, device);
    expect(outcome(admission, selfSigned)).toMatchObject({ code: 'DEVICE_REFUSED' });
  }
  registry.set(MAC, { disabled: false, macOnly: true, rights: RIGHTS.pop3 });
  const admitted = admission.admit(request(selfSigned));
  expect(admitted.proof).toBe('mac-only');
  expect(open(admitted, selfSigned)).toMatchObject({ proof: 1, rights: RIGHTS.pop3 });
  expect(() => open(admitted, valid)).toThrow('another certificate');
  expect(outcome(admission, valid)).toMatchObject({ proof: 'certificate' });
  expect(outcome(admission, ofOther)).toMatchObject({ code: 'DEVICE_REFUSED' });
});

test('mac-only: who tries one MAC after the other does not learn which is right', () => {
  const admission = makeAdmission({ macOnly: true, burst: 2 });
  registry.set(MAC, { disabled: false, macOnly: true, rights: 7 });
  const guess = (mac: string) => outcome(admission, selfSigned, mac, '198.51.100.7');
  expect([guess('02:00:5e:10:00:07'), guess('02:00:5e:10:00:08')]).toMatchObject([{ code: 'DEVICE_REFUSED' }, { code: 'DEVICE_REFUSED' }]);
  expect(guess(MAC)).toMatchObject({ code: 'RATE_LIMITED' });
  expect(outcome(admission, selfSigned, MAC, HOME)).toMatchObject({ proof: 'mac-only' });
});

test('the same device from two places is noted', () => {
  const admission = makeAdmission();
  expect(outcome(admission, valid, MAC, HOME)).toMatchObject({ twoPlaces: false });
  expect(outcome(admission, valid, MAC, '198.51.100.7')).toMatchObject({ twoPlaces: true });
});

test('a flood of made-up certificates stays within its bound and does not push out the devices', () => {
  const proofs = new CertificateProofs({ caPem: operator.caCertPem });
  const proof = proofs.read(derOf(valid));
  for (let number = 0; number < MAX_STRANGER_CERTIFICATES + 500; number += 1) proofs.read(Buffer.from(`made up ${number}`));
  expect(proofs.size).toBe(MAX_STRANGER_CERTIFICATES + 1);
  expect(proofs.read(derOf(valid))).toBe(proof);
});

test('a wrong key takes as long as an unknown MAC', () => {
  // The work is the same, whoever is named: nothing is looked up by MAC until the certificate has vouched for it.
  const asked: string[] = [];
  const admission = new Admission(
    {
      clock: { now: () => nowMs },
      proofs: new CertificateProofs({ caPem: operator.caCertPem }),
      registry: { device: (mac) => (asked.push(mac), undefined) },
      revocations: { isRevoked: (serial) => asked.push(serial) > 0 },
      macLimiter: new FailureLimiter({ burst: 1000, refillMs: 1 }),
      addressLimiter: new FailureLimiter({ burst: 1000, refillMs: 1 }),
      places: new PlaceWatch({ withinMs: 1 }),
    },
    { site: 'tokyo-1', ticketKey: createPrivateKey(ticketKey.privateKey.export({ type: 'pkcs8', format: 'pem' })), ticketKeyId: Buffer.alloc(8), ticketTtlMs: 1000, macOnly: false },
  );
  for (const [, certificate, mac] of STRANGERS) expect(outcome(admission, certificate(), mac)).toMatchObject({ code: 'DEVICE_REFUSED' });
  expect(asked).toEqual([]);
});
