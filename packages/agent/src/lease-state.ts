import { REFUSALS, type RefusalCode, type RelayAddress } from '@sekisho/wire';
import { type BackoffInit, pauseMs } from './backoff.ts';

/** What a manager granted, with its terms in our own time. */
export interface Lease {
  readonly site: string;
  readonly manager: string;
  /** In the order of preference. */
  readonly relays: readonly RelayAddress[];
  readonly ticket: Buffer;
  readonly reason: string;
  readonly expiresAtMs: number;
  readonly renewAtMs: number;
}

/** A lease as it came over the wire: terms from now on, since the router's clock may be anything. */
export interface LeaseOffer {
  readonly site: string;
  readonly manager: string;
  readonly relays: readonly RelayAddress[];
  readonly ticket: Buffer;
  readonly reason: string;
  readonly ttlMs: number;
  readonly renewAfterMs: number;
}

export interface Refused {
  readonly code: RefusalCode;
  readonly atMs: number;
  /** Nobody is asked again before. */
  readonly retryAtMs: number;
}

/** A lease is not renewed more often than this, whatever a manager says, unless a relay is in trouble. */
const LEAST_RENEWAL_MS = 1000;
/** Nor does it end before it can be renewed: between two of them clients would have no way. */
const LEAST_TTL_MS = 2 * LEAST_RENEWAL_MS;

/** The lease in use and the last no. Pure: time and chance are passed in. */
export class LeaseState {
  readonly #random: () => number;
  readonly #retry: BackoffInit;
  #lease: Lease | undefined;
  #refused: Refused | undefined;
  #refusals = 0;

  constructor(components: { readonly random: () => number }, init: { readonly retry: BackoffInit }) {
    this.#random = components.random;
    this.#retry = init.retry;
  }

  /** The last lease, expired or not. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  get refused(): Refused | undefined {
    return this.#refused;
  }

  live(nowMs: number): Lease | undefined {
    return this.#lease !== undefined && nowMs < this.#lease.expiresAtMs ? this.#lease : undefined;
  }

  /** A lease ends every earlier no. Renewal is spread over a tenth of its time, and always before the end. */
  take(nowMs: number, offer: LeaseOffer): Lease {
    const { ttlMs: offeredMs, renewAfterMs, ...rest } = offer;
    const ttlMs = Math.max(offeredMs, LEAST_TTL_MS);
    const renewMs = Math.max(Math.min(renewAfterMs, ttlMs * 0.9) * (0.9 + this.#random() / 10), LEAST_RENEWAL_MS);
    this.#lease = { ...rest, expiresAtMs: nowMs + ttlMs, renewAtMs: nowMs + renewMs };
    this.#refused = undefined;
    this.#refusals = 0;
    return this.#lease;
  }

  /**
   * A manager's no that is no absence. A permanent one ends the lease: a device that was revoked opens no new session.
   * @param retryAfterMs what the manager asked for
   */
  refuse(nowMs: number, code: RefusalCode, retryAfterMs: number): void {
    this.#refusals += 1;
    const pause = Math.max(retryAfterMs, pauseMs(this.#refusals, this.#retry, this.#random));
    this.#refused = { code, atMs: nowMs, retryAtMs: nowMs + pause };
    if (!REFUSALS[code].temporary) this.#lease = undefined;
  }

  /**
   * Everybody was asked again and nobody said no: a temporary one is over. A permanent one stays until a lease is given,
   * so that whoever cuts a refused device off from the managers does not get it connected directly.
   */
  forgetTemporary(): void {
    if (this.#refused !== undefined && REFUSALS[this.#refused.code].temporary) this.#refused = undefined;
  }
}
