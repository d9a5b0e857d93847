import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CertificateAuthority, createAuthority, loadAuthority } from './certificate-authority.ts';
import { encodeUnsigned } from './der.ts';
import { SIGNATURE_ALGORITHM } from './keys.ts';
import { PkiError } from './pki-error.ts';
import {
  issueRevocationList,
  MAX_REVOCATION_LIST_BYTES,
  MAX_REVOKED,
  readRevocationList,
  REVOCATION_REASONS,
  type RevokedCertificate,
} from './revocation-list.ts';
import { newSerial } from './serial.ts';
import { x509 } from './x509.ts';

const run = promisify(execFile);
const at = new Date('2026-11-21T08:00:00Z');
const nextUpdateAt = new Date('2026-12-21T08:00:00Z');
const limits = { maxBytes: MAX_REVOCATION_LIST_BYTES };
const refusal = (code: string) => expect.objectContaining({ name: 'PkiError', code });

let ca: CertificateAuthority;
let otherCa: CertificateAuthority;
let directory: string;

async function newAuthority(name: string): Promise<CertificateAuthority> {
  const { certPem, keyPem } = await createAuthority(name, at);
  return loadAuthority(certPem, keyPem);
}

const listOf = (revoked: readonly RevokedCertificate[], number = 1n, signer = ca) =>
  issueRevocationList({ ca: signer, number, revoked, at, nextUpdateAt });

const derOf = (pem: string) => Buffer.from(pem.replaceAll(/-----.*-----/gu, ''), 'base64');
const pemOf = (der: Buffer) => `-----BEGIN X509 CRL-----\n${der.toString('base64')}\n-----END X509 CRL-----\n`;

beforeAll(async () => {
  ca = await newAuthority('Example');
  otherCa = await newAuthority('Example');
  directory = await mkdtemp(join(tmpdir(), 'sekisho-crl-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('a revocation list', () => {
  it('comes back with its number, dates, serials and reasons', async () => {
    const revoked = REVOCATION_REASONS.map((reason) => ({ serial: newSerial(), at: new Date(at.getTime() - 1000), reason }));
    const number = 2n ** 100n + 5n;
    const list = readRevocationList(await listOf(revoked, number), ca.certPem, limits);
    expect(list).toEqual({
      number,
      thisUpdate: at,
      nextUpdate: nextUpdateAt,
      serials: new Set(revoked.map(({ serial }) => serial)),
      revoked,
    });
    const empty = readRevocationList(await listOf([]), ca.certPem, limits);
    expect(empty).toMatchObject({ number: 1n, revoked: [] });
  });

  it('has each certificate once, with its first date', async () => {
    const serial = newSerial();
    const first = { serial, at, reason: 'superseded' } as const;
    const again = { serial: serial.toUpperCase(), at: nextUpdateAt, reason: 'key-compromise' } as const;
    expect(readRevocationList(await listOf([first, again]), ca.certPem, limits).revoked).toEqual([first]);
  });

  it('is one that openssl reads and believes', async () => {
    const serial = newSerial();
    const crlFile = join(directory, 'list.pem');
    const caFile = join(directory, 'ca.pem');
    await writeFile(crlFile, await listOf([{ serial, at, reason: 'key-compromise' }], 4711n));
    await writeFile(caFile, ca.certPem);
    const { stdout, stderr } = await run('openssl', ['crl', '-in', crlFile, '-CAfile', caFile, '-noout', '-text']);
    expect(stderr).toContain('verify OK');
    expect(stdout).toMatch(/CRL Number:\s+4711\b/u);
    expect(stdout).toContain(`Serial Number: ${serial.toUpperCase()}`);
    expect(stdout).toContain('Key Compromise');
    expect(stdout).toContain('Next Update: Dec 21 08:00:00 2026 GMT');
  });

  it('of another CA of the same name is refused', async () => {
    const pem = await listOf([], 1n, otherCa);
    expect(() => readRevocationList(pem, ca.certPem, limits)).toThrow(refusal('LIST_NOT_SIGNED_BY_CA'));
  });

  it('of the right key but another issuer is refused', async () => {
    const renamed = await newAuthority('Somebody else');
    const pem = await listOf([], 1n, { ...ca, certificate: renamed.certificate });
    expect(() => readRevocationList(pem, ca.certPem, limits)).toThrow(refusal('LIST_NOT_SIGNED_BY_CA'));
  });

  it('is refused with any one bit flipped', async () => {
    const der = derOf(await listOf([{ serial: newSerial(), at, reason: 'superseded' }]));
    expect(readRevocationList(pemOf(der), ca.certPem, limits).revoked).toHaveLength(1);
    const accepted: number[] = [];
    for (let bit = 0; bit < der.length * 8; bit += 1) {
      const flipped = Buffer.from(der);
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      try {
        readRevocationList(pemOf(flipped), ca.certPem, limits);
        accepted.push(bit);
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
      }
    }
    expect(accepted).toEqual([]);
  });

  it('is refused when cut short, prolonged, doubled, or in another wrapping', async () => {
    const pem = await listOf([]);
    const der = derOf(pem);
    const wrong = [
      '',
      'no list',
      pem + pem,
      `# ${pem}`,
      ca.certPem,
      pem.replaceAll('X509 CRL', 'CRL'),
      pem.replace('\n', '\n!'),
      pem.replace('\n-----END', '=\n-----END'),
      pemOf(der.subarray(0, -1)),
      pemOf(Buffer.concat([der, Buffer.alloc(1)])),
      pemOf(Buffer.alloc(0)),
    ];
    for (const text of wrong) {
      expect(() => readRevocationList(text, ca.certPem, limits)).toThrow(refusal('LIST_MALFORMED'));
    }
    expect(readRevocationList(`\n${pem.replaceAll('\n', '\r\n')}`, ca.certPem, limits).number).toBe(1n);
  });

  it('throws nothing but PkiError, whatever the text', async () => {
    const pem = await listOf([{ serial: newSerial(), at, reason: 'unspecified' }]);
    const edited = fc
      .tuple(fc.nat(pem.length), fc.nat(5), fc.string({ unit: 'binary', maxLength: 5 }))
      .map(([start, gone, noise]) => pem.slice(0, start) + noise + pem.slice(start + gone));
    const wrapped = fc.uint8Array({ maxLength: 200 }).map((bytes) => pemOf(Buffer.from(bytes)));
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), edited, wrapped), (text) => {
        try {
          expect(readRevocationList(text, ca.certPem, limits).revoked).toHaveLength(1);
        } catch (error) {
          if (!(error instanceof PkiError)) throw error;
        }
      }),
    );
  });

  it('longer than the limit is not looked at', async () => {
    const pem = await listOf([]);
    expect(() => readRevocationList(pem, ca.certPem, { maxBytes: pem.length - 1 })).toThrow(refusal('LIST_TOO_LARGE'));
    expect(readRevocationList(pem, ca.certPem, { maxBytes: pem.length }).number).toBe(1n);
    const many = Array.from({ length: MAX_REVOKED + 1 }, () => ({ serial: newSerial(), at, reason: 'superseded' }) as const);
    await expect(listOf(many)).rejects.toThrow(refusal('LIST_TOO_LARGE'));
  });

  it('holds two thousand certificates', async () => {
    const many = Array.from({ length: 2000 }, () => ({ serial: newSerial(), at, reason: 'superseded' }) as const);
    expect(readRevocationList(await listOf(many), ca.certPem, limits).serials.size).toBe(2000);
  });

  it('without a number or a next update, or with a critical extension, is refused', async () => {
    const number = (critical: boolean) => new x509.Extension('2.5.29.20', critical, encodeUnsigned(1n));
    const sign = async (extensions: x509.Extension[], nextUpdate?: Date, entries: x509.X509CrlEntryParams[] = []) => {
      const issuer = ca.certificate.subjectName;
      const fields = { issuer, thisUpdate: at, signingKey: ca.signingKey, signingAlgorithm: SIGNATURE_ALGORITHM };
      const crl = await x509.X509CrlGenerator.create({ ...fields, extensions, entries, ...(nextUpdate && { nextUpdate }) });
      return pemOf(Buffer.from(crl.rawData));
    };
    const critical = [{ serialNumber: '01', extensions: [new x509.Extension('2.5.29.29', true, encodeUnsigned(1n))] }];
    expect(readRevocationList(await sign([number(false)], nextUpdateAt), ca.certPem, limits).number).toBe(1n);
    const wrong = [
      await sign([number(false)]),
      await sign([], nextUpdateAt),
      await sign([number(true)], nextUpdateAt),
      await sign([new x509.Extension('2.5.29.20', false, Buffer.from('0201ff', 'hex'))], nextUpdateAt),
      await sign([number(false)], nextUpdateAt, critical),
    ];
    for (const pem of wrong) {
      expect(() => readRevocationList(pem, ca.certPem, limits)).toThrow(refusal('LIST_UNSUPPORTED'));
    }
  });

  it('is not checked against something that is no CA certificate', async () => {
    const pem = await listOf([]);
    expect(() => readRevocationList(pem, 'nonsense', limits)).toThrow(refusal('BAD_INPUT'));
  });
});
