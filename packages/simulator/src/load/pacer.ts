/** What sends no faster than it may. */
export interface Paced {
  /** So many bytes more may be sent; negative allowances are paid back first. */
  refill(bytes: number): void;
}

const TICK_MS = 20;

/** Gives every sender the same rate, by one timer for all of them. */
export class Pacer {
  #bytesPerSecond: number;
  readonly #paced = new Set<Paced>();
  #timer: NodeJS.Timeout | undefined;
  #lastMs = 0;

  constructor(init: { readonly bytesPerSecond: number }) {
    this.#bytesPerSecond = init.bytesPerSecond;
  }

  add(paced: Paced): void {
    this.#paced.add(paced);
    if (this.#timer !== undefined) return;
    this.#lastMs = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  remove(paced: Paced): void {
    this.#paced.delete(paced);
    if (this.#paced.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** From now on at full speed: what is under way at the end of a run is finished. */
  lift(): void {
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
  }

  #tick(): void {
    const nowMs = performance.now();
    const bytes = ((nowMs - this.#lastMs) / 1000) * this.#bytesPerSecond;
    this.#lastMs = nowMs;
    for (const paced of this.#paced) paced.refill(bytes);
  }
}
