import { verify, X509Certificate } from 'node:crypto';
import type { CertificateAuthority } from './certificate-authority.ts';
import { contentOf, decodeUnsigned, encodeUnsigned, splitSequence } from './der.ts';
import { SIGNATURE_ALGORITHM } from './keys.ts';
import { PkiError } from './pki-error.ts';
import { formatSerial } from './serial.ts';
import { x509 } from './x509.ts';

/** Reason codes of RFC 5280, 5.3.1, that an operator can give. */
const REASONS = {
  unspecified: x509.X509CrlReason.unspecified,
  'key-compromise': x509.X509CrlReason.keyCompromise,
  superseded: x509.X509CrlReason.superseded,
  'cessation-of-operation': x509.X509CrlReason.cessationOfOperation,
  'privilege-withdrawn': x509.X509CrlReason.privilegeWithdrawn,
} as const;
export type RevocationReason = keyof typeof REASONS;
export const REVOCATION_REASONS = Object.keys(REASONS).filter((name): name is RevocationReason => name in REASONS);

/** One revoked certificate. A reason that is absent, or not one of ours, is read as "unspecified". */
export interface RevokedCertificate {
  readonly serial: string;
  readonly at: Date;
  readonly reason: RevocationReason;
}

/** A list that the operator has signed. `serials` in the spelling of formatSerial. */
export interface RevocationList {
  readonly number: bigint;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly serials: ReadonlySet<string>;
  readonly revoked: readonly RevokedCertificate[];
}

export interface RevocationListInit {
  readonly ca: CertificateAuthority;
  /** Greater than that of every list before: by it a site knows the newer one. */
  readonly number: bigint;
  readonly revoked: readonly RevokedCertificate[];
  readonly at: Date;
  readonly nextUpdateAt: Date;
}

/** Entries of one list: 330 kB of PEM, whose reading keeps one core busy for 0.7 s. */
export const MAX_REVOKED = 5_000;
/** What a site should read at most: a list of MAX_REVOKED entries fits three times. */
export const MAX_REVOCATION_LIST_BYTES = 1024 * 1024;
/** A list names the time of the next one this far ahead, unless the operator says otherwise. */
export const DEFAULT_LIST_DAYS = 30;

const CRL_NUMBER = '2.5.29.20';
const CRL_REASON = '2.5.29.21';
const ENUMERATED = 0x0a;
/** RFC 5280, 5.2.3. */
const MAX_CRL_NUMBER_BYTES = 20;
const BIT_STRING = 0x03;
/** AlgorithmIdentifier of ecdsa-with-SHA256 (RFC 5758, 3.2), the only one accepted. */
const ECDSA_WITH_SHA256 = Buffer.from('300a06082a8648ce3d040302', 'hex');
const PEM = /^\s*-----BEGIN X509 CRL-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END X509 CRL-----\s*$/u;

/** Signs a version 2 CRL (RFC 5280, 5) and returns it as PEM. Throws PkiError `LIST_TOO_LARGE`, `BAD_INPUT`. */
export async function issueRevocationList(init: RevocationListInit): Promise<string> {
  const { ca, revoked } = init;
  if (revoked.length > MAX_REVOKED)
    throw new PkiError(
      'LIST_TOO_LARGE',
      `a revocation list holds ${MAX_REVOKED} certificates: for more, make a new operator and enroll the devices that stay`,
    );
  const crl = await x509.X509CrlGenerator.create({
    issuer: ca.certificate.subjectName,
    thisUpdate: init.at,
    nextUpdate: init.nextUpdateAt,
    signingKey: ca.signingKey,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    entries: [...bySerial(revoked).values()].map(entryOf),
    extensions: [
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
      new x509.Extension(CRL_NUMBER, false, encodeUnsigned(init.number)),
    ],
  });
  return toPem(Buffer.from(crl.rawData));
}

/**
 * Checks a revocation list of the operator and reads it. Nothing but three DER headers is looked at before the signature
 * is verified. Whether it is newer than the one before, and how old it is, the caller judges by `number` and the dates.
 * Throws PkiError `LIST_TOO_LARGE`, `LIST_MALFORMED`, `LIST_NOT_SIGNED_BY_CA`, `LIST_UNSUPPORTED`.
 */
export function readRevocationList(pem: string, caCertPem: string, init: { maxBytes: number }): RevocationList {
  if (Buffer.byteLength(pem) > init.maxBytes)
    throw new PkiError('LIST_TOO_LARGE', `the revocation list has more than ${init.maxBytes} bytes: is it the right file?`);
  const ca = authorityOf(caCertPem);
  const der = derOf(pem);
  requireSignature(der, ca);
  try {
    return contentsOf(new x509.X509Crl(der, { berOptions: { maxNodes: Infinity } }), new x509.X509Certificate(ca.raw));
  } catch (error) {
    if (error instanceof PkiError) throw error;
    throw malformed(error);
  }
}

function authorityOf(pem: string): X509Certificate {
  try {
    const certificate = new X509Certificate(pem);
    if (certificate.ca && certificate.publicKey.asymmetricKeyType === 'ec') return certificate;
  } catch (error) {
    throw new PkiError('BAD_INPUT', "the operator's CA certificate can't be read: copy ca.cert.pem again", { cause: error });
  }
  throw new PkiError('BAD_INPUT', "this is not the operator's CA certificate: copy ca.cert.pem from its directory again");
}

// The library writes "BEGIN CRL"; RFC 7468, 6, and OpenSSL say "BEGIN X509 CRL".
function toPem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/gu) ?? [];
  return ['-----BEGIN X509 CRL-----', ...lines, '-----END X509 CRL-----', ''].join('\n');
}

function derOf(pem: string): Buffer {
  const [, text] = PEM.exec(pem) ?? [];
  const base64 = text?.replaceAll(/[\r\n]/gu, '') ?? '';
  const der = Buffer.from(base64, 'base64');
  // Node's decoder skips what it does not know; only the one encoding of these bytes is taken.
  if (base64 === '' || der.toString('base64') !== base64) throw malformed();
  return der;
}

// CertificateList ::= SEQUENCE { tbsCertList, signatureAlgorithm, signature BIT STRING }
function requireSignature(der: Buffer, ca: X509Certificate): void {
  const [signed, algorithm, bits] = splitSequence(der, 3) ?? [];
  const signature = bits === undefined ? undefined : contentOf(bits, BIT_STRING);
  if (signed === undefined || algorithm === undefined || signature === undefined || signature[0] !== 0) throw malformed();
  if (!algorithm.equals(ECDSA_WITH_SHA256))
    throw new PkiError('LIST_UNSUPPORTED', "the revocation list is not signed with ECDSA and SHA-256: take the operator's own");
  if (!verify('sha256', signed, ca.publicKey, signature.subarray(1)))
    throw new PkiError(
      'LIST_NOT_SIGNED_BY_CA',
      "the revocation list is not signed by this operator: copy revocations.crl.pem from the operator's directory again",
    );
}

function contentsOf(crl: x509.X509Crl, ca: x509.X509Certificate): RevocationList {
  if (crl.issuer !== ca.subject)
    throw new PkiError('LIST_NOT_SIGNED_BY_CA', 'the revocation list names another issuer than this operator');
  // RFC 5280, 5.2: a list with a critical extension that is not understood says something else than it seems to.
  if ([crl, ...crl.entries].some(({ extensions }) => extensions.some(({ critical }) => critical)))
    throw new PkiError('LIST_UNSUPPORTED', "the revocation list has a critical extension: take the operator's own");
  const value = crl.getExtension(CRL_NUMBER)?.value;
  const number = value && decodeUnsigned(Buffer.from(value), MAX_CRL_NUMBER_BYTES);
  const { thisUpdate, nextUpdate } = crl;
  if (number === undefined || nextUpdate === undefined)
    throw new PkiError('LIST_UNSUPPORTED', "the revocation list has no number or no next update: take the operator's own");
  const revoked = crl.entries.map(revokedOf);
  return { number, thisUpdate, nextUpdate, serials: new Set(revoked.map(({ serial }) => serial)), revoked };
}

function revokedOf(entry: x509.X509CrlEntry): RevokedCertificate {
  const reason = REVOCATION_REASONS.find((name) => REASONS[name] === entry.reason) ?? 'unspecified';
  return { serial: formatSerial(entry.serialNumber), at: entry.revocationDate, reason };
}

// Written out here because the library leaves an empty list of extensions, which is not valid, for an unspecified reason.
function entryOf({ serial, at, reason }: RevokedCertificate): x509.X509CrlEntryParams {
  const code = Buffer.of(ENUMERATED, 1, REASONS[reason]);
  return { serialNumber: serial, revocationDate: at, extensions: [new x509.Extension(CRL_REASON, false, code)] };
}

// The first entry of a certificate stays: it has the date on which it was revoked.
function bySerial(revoked: readonly RevokedCertificate[]): Map<string, RevokedCertificate> {
  const entries = new Map<string, RevokedCertificate>();
  for (const entry of revoked) {
    const serial = formatSerial(entry.serial);
    if (!entries.has(serial)) entries.set(serial, { ...entry, serial });
  }
  return entries;
}

function malformed(cause?: unknown): PkiError {
  const message = "this is not a revocation list in PEM: copy revocations.crl.pem from the operator's directory again";
  return new PkiError('LIST_MALFORMED', message, { cause });
}
