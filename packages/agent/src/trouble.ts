import { type BackoffInit, pauseMs } from './backoff.ts';

/**
 * Pauses between two hellos because of relays in trouble. Not longer than a client waits: who has no relay that works
 * and finds no other site goes direct meanwhile.
 */
const TROUBLE_RETRY: BackoffInit = { firstMs: 1000, maxMs: 5000 };
/** After so long without trouble the next one is a new one. */
const TROUBLE_OVER_MS = 15_000;

/** Trouble with the relays of the lease: when the manager is asked because of it, and how often that did not help. Pure. */
export class Trouble {
  readonly #random: () => number;
  readonly #jitterMs: number;
  /** When the manager is to be asked; Infinity: nothing is to be asked. */
  helloAtMs = Number.POSITIVE_INFINITY;
  #isUrgent = false;
  /** What `helloAtMs` would be if it were urgent. */
  #earliestMs = 0;
  #count = 0;
  /** The same, but for those after which a session went through. */
  #fruitless = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #lastUrgentMs = Number.NEGATIVE_INFINITY;

  /** @param init jitterMs: a hello that is not urgent waits up to so long */
  constructor(components: { readonly random: () => number }, init: { readonly jitterMs: number }) {
    this.#random = components.random;
    this.#jitterMs = init.jitterMs;
  }

  /** @param isUrgent no relay is left */
  note(nowMs: number, isUrgent: boolean, lastHelloMs: number): void {
    if (this.helloAtMs === Number.POSITIVE_INFINITY) {
      const isNew = this.isOver(nowMs);
      this.#count = isNew ? 1 : this.#count + 1;
      this.#fruitless = isNew ? 1 : this.#fruitless + 1;
      this.#lastMs = nowMs;
      this.#earliestMs = Math.max(nowMs, lastHelloMs + pauseMs(this.#count, TROUBLE_RETRY, this.#random));
      this.helloAtMs = this.#earliestMs + this.#jitterMs * this.#random();
    }
    if (!isUrgent) return;
    this.#isUrgent = true;
    this.helloAtMs = this.#earliestMs;
  }

  /** Clients have no relay. */
  strand(nowMs: number): void {
    this.#lastUrgentMs = nowMs;
  }

  /** A hello goes out. Whether it is one of those that are urgent. */
  asked(nowMs: number): boolean {
    const isUrgent = this.#isUrgent && this.helloAtMs <= nowMs;
    // The lease's own time: whatever was before has not come back since.
    if (this.helloAtMs > nowMs) this.#reset();
    this.answered();
    return isUrgent;
  }

  /** There is a new lease. */
  answered(): void {
    this.helloAtMs = Number.POSITIVE_INFINITY;
    this.#isUrgent = false;
  }

  /** The lease is of another manager: what was before is not its fault. */
  forget(): void {
    this.answered();
    this.#reset();
  }

  /** A session went through: the relays are late, or some are full, and not of no use. The pauses stay as long as they are. */
  relayed(): void {
    this.#fruitless = 0;
  }

  /** The manager's last answer did not help: its relays cannot be used either. */
  get isRepeated(): boolean {
    return this.#fruitless > 1;
  }

  /** The first hello because of it is about to go out. */
  get isFirstDue(): boolean {
    return this.#isUrgent && !this.isRepeated && this.helloAtMs < Number.POSITIVE_INFINITY;
  }

  /** Clients had no relay a moment ago. */
  isStranded(nowMs: number): boolean {
    return nowMs - this.#lastUrgentMs <= TROUBLE_OVER_MS;
  }

  isOver(nowMs: number): boolean {
    return nowMs - this.#lastMs > TROUBLE_OVER_MS;
  }

  #reset(): void {
    this.#count = 0;
    this.#fruitless = 0;
  }
}
