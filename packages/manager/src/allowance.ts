/** A token bucket: `perSecond` for long, `burst` at once. One number and one time for each agent. */
export class Allowance {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  constructor(init: { readonly perSecond: number; readonly burst: number; readonly nowMs: number }) {
    this.#perSecond = init.perSecond;
    this.#burst = init.burst;
    this.#tokens = init.burst;
    this.#atMs = init.nowMs;
  }

  /** Takes one; returns 0, or how many milliseconds to wait when there is none. */
  take(nowMs: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
    this.#atMs = nowMs;
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond);
    this.#tokens -= 1;
    return 0;
  }
}
