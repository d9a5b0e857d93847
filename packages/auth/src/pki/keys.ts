import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto';
import { PkiError } from './pki-error.ts';

/** Every X.509 key of Sekisho is ECDSA on P-256, with SHA-256. */
export const SIGNATURE_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new key for a certificate, and its private half as PKCS #8 PEM. */
export interface CertificateKey {
  readonly keys: webcrypto.CryptoKeyPair;
  readonly privatePem: string;
}

/** The Ed25519 key with which the auth of one site signs tickets. */
export interface TicketKey {
  readonly privatePem: string;
  readonly publicPem: string;
  readonly keyId: string;
}

/** Makes a P-256 key pair. */
export async function newCertificateKey(): Promise<CertificateKey> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: SIGNATURE_ALGORITHM.namedCurve });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const keys = {
    privateKey: await importSigningKey(privateKey),
    publicKey: await webcrypto.subtle.importKey('spki', spki, SIGNATURE_ALGORITHM, true, ['verify']),
  };
  return { keys, privatePem: privatePemOf(privateKey) };
}

/** Reads a P-256 private key from PEM for signing. Throws PkiError `DAMAGED`. */
export async function readSigningKey(pem: string): Promise<webcrypto.CryptoKey> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (error) {
    throw new PkiError('DAMAGED', "the operator's CA key can't be read: restore it from a backup", { cause: error });
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new PkiError('DAMAGED', "the operator's CA key is not a P-256 key: restore it from a backup");
  return importSigningKey(key);
}

/** Makes a fresh Ed25519 ticket key. */
export function newTicketKey(): TicketKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privatePemOf(privateKey),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }),
    keyId: ticketKeyId(publicKey),
  };
}

/** The id of a ticket key: the first 8 bytes of the SHA-256 of the raw public key (RFC 8032), in hexadecimal. */
export function ticketKeyId(publicKey: KeyObject): string {
  const { x } = publicKey.export({ format: 'jwk' });
  if (publicKey.asymmetricKeyType !== 'ed25519' || x === undefined)
    throw new PkiError('BAD_INPUT', 'a ticket key is an Ed25519 key: use the one that `sekisho site init` wrote');
  return createHash('sha256').update(Buffer.from(x, 'base64url')).digest().subarray(0, 8).toString('hex');
}

async function importSigningKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', pkcs8, SIGNATURE_ALGORITHM, false, ['sign']);
}

function privatePemOf(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' });
}
