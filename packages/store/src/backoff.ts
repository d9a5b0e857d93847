/** Bounds of the pause before another attempt, in milliseconds. */
export interface BackoffInit {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Pauses that double up to a limit, each drawn from its upper half so that many clients do not return at once. */
export class Backoff {
  readonly #random: () => number;
  readonly #init: BackoffInit;
  #nextMs: number;

  /** `random` gives numbers from 0 up to 1. */
  constructor(components: { readonly random: () => number }, init: BackoffInit) {
    this.#random = components.random;
    this.#init = init;
    this.#nextMs = init.firstMs;
  }

  /** Milliseconds to wait before the next attempt. */
  nextMs(): number {
    const pauseMs = this.#nextMs * (0.5 + this.#random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#init.maxMs);
    return Math.round(pauseMs);
  }

  /** After a success: the next failure starts over. */
  reset(): void {
    this.#nextMs = this.#init.firstMs;
  }
}
