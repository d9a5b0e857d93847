import { createPrivateKey, type webcrypto, X509Certificate } from 'node:crypto';
import { newCertificateKey, readSigningKey, SIGNATURE_ALGORITHM } from './keys.ts';
import { PkiError } from './pki-error.ts';
import { newSerial } from './serial.ts';
import { caValidity, type Validity } from './validity.ts';
import { x509 } from './x509.ts';

/** X.520 allows 64 characters in a common name, and " Sekisho operator CA" takes 20. */
const MAX_OPERATOR_NAME_CHARS = 44;

/** The operator's CA with its key: whoever holds this can make any device and any site. */
export interface CertificateAuthority {
  readonly certPem: string;
  readonly certificate: x509.X509Certificate;
  readonly signingKey: webcrypto.CryptoKey;
  readonly validity: Validity;
}

/**
 * Makes a self-signed CA that signs leaf certificates and revocation lists, and no other CA. `now` in whole seconds.
 * Throws PkiError `BAD_INPUT` when the operator's name can't stand in a certificate.
 */
export async function createAuthority(name: string, now: Date): Promise<{ certPem: string; keyPem: string }> {
  const { keys, privatePem } = await newCertificateKey();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: commonName(`${checkedName(name)} Sekisho operator CA`),
    ...caValidity(now),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: pemOf(certificate), keyPem: privatePem };
}

/** Reads a CA back from its two PEM texts. Throws PkiError `DAMAGED` when they are not readable or not a pair. */
export async function loadAuthority(certPem: string, keyPem: string): Promise<CertificateAuthority> {
  const signingKey = await readSigningKey(keyPem);
  let read: X509Certificate;
  try {
    read = new X509Certificate(certPem);
  } catch (error) {
    const message = "the operator's CA certificate can't be read: restore it from a backup";
    throw new PkiError('DAMAGED', message, { cause: error });
  }
  if (!read.ca || !read.checkPrivateKey(createPrivateKey(keyPem)))
    throw new PkiError('DAMAGED', "the operator's CA certificate does not belong to its key: restore both from a backup");
  const certificate = new x509.X509Certificate(read.raw);
  const { notBefore, notAfter } = certificate;
  return { certPem: pemOf(certificate), certificate, signingKey, validity: { notBefore, notAfter } };
}

/** A certificate as PEM text with a final newline. */
export function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`;
}

/** A name of one attribute, or of an organization and a common name. */
export function commonName(name: string, organization?: string): x509.Name {
  const attributes = organization === undefined ? [] : [{ O: [{ utf8String: organization }] }];
  return new x509.Name([...attributes, { CN: [{ utf8String: name }] }]);
}

function checkedName(name: string): string {
  if (name === '' || name !== name.trim() || Array.from(name).length > MAX_OPERATOR_NAME_CHARS || /\p{C}/u.test(name))
    throw new PkiError('BAD_INPUT', `the operator's name is 1 to ${MAX_OPERATOR_NAME_CHARS} printable characters`);
  return name;
}
