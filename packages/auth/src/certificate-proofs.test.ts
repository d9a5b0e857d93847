import { X509Certificate } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { CertificateProofs } from './certificate-proofs.ts';
import { createAuthority, loadAuthority, type CertificateAuthority } from './pki/certificate-authority.ts';
import { newCertificateKey, SIGNATURE_ALGORITHM } from './pki/keys.ts';
import { x509 } from './pki/x509.ts';

let ca: CertificateAuthority;
beforeAll(async () => {
  const { certPem, keyPem } = await createAuthority('Example', new Date(Math.floor(Date.now() / 1000) * 1000));
  ca = await loadAuthority(certPem, keyPem);
});

const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;

/** A certificate that the operator's CA has signed, though no command of ours makes such a one. */
async function signed(init: { isCa?: boolean; usages?: readonly string[] }): Promise<Buffer> {
  const { keys } = await newCertificateKey();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '01',
    subject: 'CN=odd',
    issuer: ca.certificate.subjectName,
    notBefore: ca.validity.notBefore,
    notAfter: ca.validity.notAfter,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    signingKey: ca.signingKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(init.isCa ?? false, undefined, true),
      ...(init.usages === undefined ? [] : [new x509.ExtendedKeyUsageExtension([...init.usages])]),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'sekisho://device/02-00-5e-10-00-01?rights=smtp' }]),
    ],
  });
  return new X509Certificate(Buffer.from(certificate.rawData)).raw;
}

test.each([
  ['as devices have it', { usages: [clientAuth] }, 'operator'],
  ['for servers only', { usages: [serverAuth] }, 'stranger'],
  ['for nothing in particular', {}, 'stranger'],
  ['which may itself sign others', { usages: [clientAuth], isCa: true }, 'stranger'],
] as const)('a certificate of the operator’s with the name of a device, %s', async (_what, init, kind) => {
  expect(new CertificateProofs({ caPem: ca.certPem }).read(await signed(init)).kind).toBe(kind);
});
