import { MAX_REVOCATION_LIST_BYTES, readRevocationList, type RevocationList } from './pki/revocation-list.ts';

/** The revocation list in force. Times are milliseconds since 1970. */
export class RevocationState {
  readonly #caPem: string;
  #list: RevocationList | undefined;
  #pem = '';

  constructor(init: { readonly caPem: string }) {
    this.#caPem = init.caPem;
  }

  /** `serial` in the spelling of formatSerial. */
  isRevoked(serial: string): boolean {
    return this.#list?.serials.has(serial) === true;
  }

  get list(): RevocationList | undefined {
    return this.#list;
  }

  /** The list as the operator signed it; empty when there is none. */
  get pem(): string {
    return this.#pem;
  }

  /**
   * Takes a list if the operator signed it and its number is higher than that of the one in force: an old list, which
   * anybody may have kept, must not bring a revoked device back. Returns whether it was taken.
   * Throws PkiError.
   */
  adopt(pem: string): boolean {
    if (pem === this.#pem) return false;
    const list = readRevocationList(pem, this.#caPem, { maxBytes: MAX_REVOCATION_LIST_BYTES });
    if (this.#list !== undefined && list.number <= this.#list.number) return false;
    this.#list = list;
    this.#pem = pem;
    return true;
  }

  /** Age of the list, and why it should have been replaced by now, if it should. */
  age(nowMs: number, maxAgeMs: number): { ageMs: number; overdue: string | undefined } | undefined {
    if (this.#list === undefined) return undefined;
    const ageMs = Math.max(0, nowMs - this.#list.thisUpdate.getTime());
    if (nowMs > this.#list.nextUpdate.getTime()) return { ageMs, overdue: 'the operator announced the next one for before now' };
    return { ageMs, overdue: ageMs > maxAgeMs ? 'it is older than revocations.maxAge' : undefined };
  }
}
