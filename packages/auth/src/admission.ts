import { type KeyObject, randomFillSync } from 'node:crypto';
import { networkOf } from '@sekisho/channel';
import { formatMac, IdentityError, Refusal, sealTicket } from '@sekisho/wire';
import type { CertificateProofs, OperatorProof } from './certificate-proofs.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { PlaceWatch } from './place-watch.ts';

/** What a site's registry says of one device, as far as admission needs it. */
export interface RegisteredDevice {
  readonly disabled: boolean;
  readonly macOnly: boolean;
  /** Bits of RIGHTS. */
  readonly rights: number;
}

export interface AdmissionComponents {
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  readonly proofs: CertificateProofs;
  readonly registry: { device(mac: string): RegisteredDevice | undefined };
  /** `serial` in the spelling of formatSerial. */
  readonly revocations: { isRevoked(serial: string): boolean };
  readonly macLimiter: FailureLimiter;
  readonly addressLimiter: FailureLimiter;
  readonly places: PlaceWatch;
}

export interface AdmissionInit {
  readonly site: string;
  /** Ed25519. */
  readonly ticketKey: KeyObject;
  readonly ticketKeyId: Buffer;
  readonly ticketTtlMs: number;
  /** Admit registered devices of `proof: mac-only` without the operator's certificate. */
  readonly macOnly: boolean;
}

export interface AdmissionRequest {
  readonly mac: Buffer;
  /** DER, proved in the device's handshake with the manager. */
  readonly certificate: Buffer;
  readonly address: string;
  /** Names of the relays at which the ticket may be used. */
  readonly relays: readonly string[];
}

export interface Admitted {
  readonly mac: string;
  readonly ticket: Buffer;
  readonly ttlMs: number;
  readonly proof: 'certificate' | 'mac-only';
  /** The device was somewhere else a moment ago. */
  readonly twoPlaces: boolean;
}

const PROOF_NUMBER = { certificate: 0, 'mac-only': 1 } as const;
const TICKET_ID_BYTES = 16;
/** Drawn at once: asking OpenSSL for each ticket was a twentieth of what a renewal costs. */
const IDS_DRAWN = 256;

interface Accepted {
  readonly mac: string;
  readonly rights: number;
  readonly proof: Admitted['proof'];
  readonly ttlMs: number;
}

/**
 * Decides whether a device may use this site, and signs its ticket. The certificate's key was proved in the handshake,
 * the operator's signature on it is checked here, and neither needs anything that this site alone knows.
 */
export class Admission {
  readonly #components: AdmissionComponents;
  readonly #init: AdmissionInit;
  #ids = Buffer.alloc(0);

  constructor(components: AdmissionComponents, init: AdmissionInit) {
    this.#components = components;
    this.#init = init;
  }

  /**
   * Admits a device or throws Refusal DEVICE_REFUSED, DEVICE_EXPIRED, DEVICE_REVOKED, DEVICE_DISABLED or RATE_LIMITED.
   * Only DEVICE_REFUSED is limited: nobody can lock out a device by failing in its name, since its own proof is looked
   * at first, and a device that has proved itself always hears why it is refused. Who has no certificate of the operator
   * hears nothing but DEVICE_REFUSED or RATE_LIMITED.
   */
  admit(request: AdmissionRequest): Admitted {
    const nowMs = this.#components.clock.now();
    const proof = this.#components.proofs.read(request.certificate);
    let accepted: Accepted;
    try {
      accepted =
        proof.kind === 'operator'
          ? this.#byCertificate(proof, request, nowMs)
          : this.#byRegistry(request, nowMs);
    } catch (error) {
      if (error instanceof Refusal && error.code === 'DEVICE_REFUSED') this.#countFailure(request, nowMs);
      throw error;
    }
    const { ttlMs } = accepted;
    return {
      mac: accepted.mac,
      ticket: this.#seal(accepted, request, proof.fingerprint, nowMs),
      ttlMs,
      proof: accepted.proof,
      twoPlaces: this.#components.places.seen(accepted.mac, request.address, nowMs),
    };
  }

  #byCertificate(proof: OperatorProof, request: AdmissionRequest, nowMs: number): Accepted {
    const { mac } = proof;
    if (!request.mac.equals(proof.macBytes) || nowMs < proof.notBeforeMs) throw refused();
    if (nowMs >= proof.expiresAtMs)
      throw new Refusal('DEVICE_EXPIRED', 'the certificate of the device has expired: renew it with `sekisho device renew`');
    if (this.#components.revocations.isRevoked(proof.serial))
      throw new Refusal('DEVICE_REVOKED', 'the operator has revoked the certificate of the device');
    if (this.#components.registry.device(mac)?.disabled === true)
      throw new Refusal('DEVICE_DISABLED', 'the device is disabled at this site: `sekisho device enable` admits it again');
    const ttlMs = Math.min(this.#init.ticketTtlMs, proof.expiresAtMs - nowMs);
    return { mac, rights: proof.rights, proof: 'certificate', ttlMs };
  }

  #byRegistry(request: AdmissionRequest, nowMs: number): Accepted {
    if (!this.#init.macOnly) throw refused();
    // Here the address is all that is proved, so it is asked first: who tries one MAC after the other from one place
    // must not learn which of them is right.
    const waitMs = this.#components.addressLimiter.waitMs(networkOf(request.address), nowMs);
    if (waitMs > 0) throw rateLimited(waitMs);
    const mac = readMac(request.mac);
    const device = this.#components.registry.device(mac);
    if (device === undefined || !device.macOnly || device.disabled || device.rights === 0) throw refused();
    return { mac, rights: device.rights, proof: 'mac-only', ttlMs: this.#init.ticketTtlMs };
  }

  #countFailure(request: AdmissionRequest, nowMs: number): void {
    const { addressLimiter, macLimiter } = this.#components;
    const waitMs = Math.max(
      addressLimiter.fail(networkOf(request.address), nowMs),
      macLimiter.fail(request.mac.toString('latin1'), nowMs),
    );
    if (waitMs > 0) throw rateLimited(waitMs);
  }

  #seal(accepted: Accepted, request: AdmissionRequest, fingerprint: Buffer, nowMs: number): Buffer {
    const { site, ticketKey, ticketKeyId } = this.#init;
    return sealTicket(
      {
        keyId: ticketKeyId,
        site,
        mac: request.mac,
        fingerprint,
        relays: request.relays,
        rights: accepted.rights,
        issuedAtMs: nowMs,
        expiresAtMs: nowMs + accepted.ttlMs,
        proof: PROOF_NUMBER[accepted.proof],
        id: this.#newId(),
      },
      ticketKey,
    );
  }

  #newId(): Buffer {
    if (this.#ids.length === 0) this.#ids = randomFillSync(Buffer.alloc(IDS_DRAWN * TICKET_ID_BYTES));
    const id = this.#ids.subarray(0, TICKET_ID_BYTES);
    this.#ids = this.#ids.subarray(TICKET_ID_BYTES);
    return id;
  }
}

// One answer for an unknown MAC, a wrong key and a certificate of somebody else: it tells a stranger nothing.
function refused(): Refusal {
  return new Refusal('DEVICE_REFUSED', 'the device is not known here or did not prove that it is itself');
}

function rateLimited(waitMs: number): Refusal {
  return new Refusal('RATE_LIMITED', 'too many failures from this address or for this device', waitMs);
}

function readMac(bytes: Buffer): string {
  try {
    return formatMac(bytes);
  } catch (error) {
    if (error instanceof IdentityError) throw refused();
    throw error;
  }
}
