import { hash, X509Certificate } from 'node:crypto';
import { identityOf } from '@sekisho/channel';
import { macBytes, packRights } from '@sekisho/wire';
import { BoundedMap } from './bounded-map.ts';
import { formatSerial } from './pki/serial.ts';

/** A certificate that the operator signed for a device. Times are milliseconds since 1970. */
export interface OperatorProof {
  readonly kind: 'operator';
  /** SHA-256 of the DER. */
  readonly fingerprint: Buffer;
  readonly mac: string;
  readonly macBytes: Buffer;
  /** Bits of RIGHTS. */
  readonly rights: number;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

/** Any other certificate: all that is known is that its owner has the key. */
interface StrangerProof {
  readonly kind: 'stranger';
  readonly fingerprint: Buffer;
}

export type CertificateProof = OperatorProof | StrangerProof;

/** Certificates remembered; a site is dimensioned for 8,000 devices. About 500 bytes each. */
const MAX_KNOWN_CERTIFICATES = 32_768;
/** Kept apart, so that a flood of made-up certificates does not push out those of the devices. */
export const MAX_STRANGER_CERTIFICATES = 1024;
/** id-kp-clientAuth (RFC 5280, 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/**
 * Judges certificates by the operator's CA, each only once: a signature check costs more than everything else that a
 * renewal needs. Expiry and revocation change with time and are judged by the caller.
 */
export class CertificateProofs {
  readonly #ca: X509Certificate;
  readonly #devices = new BoundedMap<string, OperatorProof>({ maxEntries: MAX_KNOWN_CERTIFICATES });
  readonly #strangers = new BoundedMap<string, StrangerProof>({ maxEntries: MAX_STRANGER_CERTIFICATES });

  constructor(init: { readonly caPem: string }) {
    this.#ca = new X509Certificate(init.caPem);
  }

  /** How many certificates are remembered. */
  get size(): number {
    return this.#devices.size + this.#strangers.size;
  }

  /** Reads a certificate in DER, whatever a stranger made of it. */
  read(der: Buffer): CertificateProof {
    const fingerprint = hash('sha256', der, 'buffer');
    const key = fingerprint.toString('latin1');
    const known = this.#devices.get(key) ?? this.#strangers.get(key);
    if (known !== undefined) return known;
    const proof = this.#judge(der, fingerprint);
    if (proof.kind === 'operator') this.#devices.set(key, proof);
    else this.#strangers.set(key, proof);
    return proof;
  }

  #judge(der: Buffer, fingerprint: Buffer): CertificateProof {
    const stranger = { kind: 'stranger', fingerprint } as const;
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(der);
    } catch {
      return stranger;
    }
    // X509Certificate also reads PEM, whose bytes would have another fingerprint than the handshake's certificate.
    if (!certificate.raw.equals(der) || !this.#isOperators(certificate)) return stranger;
    const identity = identityOf(certificate);
    if (identity?.kind !== 'device') return stranger;
    return {
      kind: 'operator',
      fingerprint,
      mac: identity.mac,
      macBytes: macBytes(identity.mac),
      rights: packRights(identity.rights),
      serial: formatSerial(certificate.serialNumber),
      notBeforeMs: Date.parse(certificate.validFrom),
      expiresAtMs: Date.parse(certificate.validTo),
    };
  }

  #isOperators(certificate: X509Certificate): boolean {
    return (
      !certificate.ca &&
      hasClientAuth(certificate.keyUsage) &&
      certificate.checkIssued(this.#ca) &&
      certificate.verify(this.#ca.publicKey)
    );
  }
}

// Node declares it as always there; without the extension it is undefined.
function hasClientAuth(usages: readonly string[] | undefined): boolean {
  return usages !== undefined && usages.includes(CLIENT_AUTH);
}
