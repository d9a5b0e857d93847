import { type DeviceIdentity, formatIdentity, type Identity } from '@sekisho/wire';
import { type CertificateAuthority, commonName, pemOf } from './certificate-authority.ts';
import { newCertificateKey, SIGNATURE_ALGORITHM } from './keys.ts';
import { newSerial } from './serial.ts';
import type { Validity } from './validity.ts';
import { x509 } from './x509.ts';

/** A certificate with its new key. `serial` in the spelling of formatSerial. */
export interface IssuedCertificate {
  readonly certPem: string;
  readonly keyPem: string;
  readonly serial: string;
  readonly expiresAt: Date;
}

export interface LeafInit {
  readonly identity: Identity;
  /** The names under which agents find the managers; only a manager's certificate has them. */
  readonly dnsNames: readonly string[];
  readonly validity: Validity;
}

/** Makes a key and its certificate, signed by the operator. Throws IdentityError when the identity is not allowed. */
export async function issueLeaf(ca: CertificateAuthority, init: LeafInit): Promise<IssuedCertificate> {
  const { keys, privatePem } = await newCertificateKey();
  const certificate = await x509.X509CertificateGenerator.create({
    ...leafFields(init),
    issuer: ca.certificate.subjectName,
    publicKey: keys.publicKey,
    signingKey: ca.signingKey,
    extensions: [
      ...leafExtensions(init),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
    ],
  });
  return issued(certificate, privatePem);
}

/**
 * Makes a key and a self-signed certificate for a device that only its MAC address vouches for (`proof: mac-only`): it
 * proves nothing, but gives a ticket something to be bound to.
 */
export async function selfSignedLeaf(identity: DeviceIdentity, validity: Validity): Promise<IssuedCertificate> {
  const { keys, privatePem } = await newCertificateKey();
  const { subject, ...fields } = leafFields({ identity, dnsNames: [], validity });
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...fields,
    name: subject,
    keys,
    extensions: [
      ...leafExtensions({ identity, dnsNames: [], validity }),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return issued(certificate, privatePem);
}

function leafFields(init: LeafInit) {
  return {
    serialNumber: newSerial(),
    subject: subjectOf(init.identity),
    notBefore: init.validity.notBefore,
    notAfter: init.validity.notAfter,
    signingAlgorithm: SIGNATURE_ALGORITHM,
  };
}

// The subject is for people. Node compares a common name with the host name when there is no DNS name beside it; one
// with a space in it never is a host name.
function subjectOf(identity: Identity): x509.Name {
  return identity.kind === 'device'
    ? commonName(`Sekisho device ${identity.mac}`)
    : commonName(`Sekisho ${identity.role}`, identity.site);
}

function leafExtensions(init: LeafInit): x509.Extension[] {
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const usages = init.identity.kind === 'device' ? [clientAuth] : [clientAuth, serverAuth];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(usages),
    new x509.SubjectAlternativeNameExtension([
      { type: 'url', value: formatIdentity(init.identity) },
      ...init.dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ]),
  ];
}

function issued(certificate: x509.X509Certificate, keyPem: string): IssuedCertificate {
  return {
    certPem: pemOf(certificate),
    keyPem,
    serial: certificate.serialNumber,
    expiresAt: certificate.notAfter,
  };
}
