import { BoundedMap } from './bounded-map.ts';

/** How many failures one key may have: `burst` at once, then one more each `refillMs`. */
export interface FailureLimits {
  readonly burst: number;
  readonly refillMs: number;
}

/** MAC addresses or addresses remembered. Whoever is pushed out starts anew, which a flood from many may achieve. */
export const MAX_LIMITED_KEYS = 16_384;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Token buckets of failures, one a key. Successes cost nothing and are never asked about. */
export class FailureLimiter {
  readonly #limits: FailureLimits;
  readonly #buckets = new BoundedMap<string, Bucket>({ maxEntries: MAX_LIMITED_KEYS });

  constructor(init: FailureLimits) {
    this.#limits = init;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Milliseconds until the key may fail again; 0 when it may now. */
  waitMs(key: string, nowMs: number): number {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return 0;
    this.#refill(bucket, nowMs);
    return bucket.tokens >= 1 ? 0 : Math.ceil((1 - bucket.tokens) * this.#limits.refillMs);
  }

  /** Counts a failure. Returns what waitMs said before it. */
  fail(key: string, nowMs: number): number {
    const waitMs = this.waitMs(key, nowMs);
    if (waitMs > 0) return waitMs;
    const bucket = this.#buckets.get(key) ?? { tokens: this.#limits.burst, atMs: nowMs };
    bucket.tokens -= 1;
    this.#buckets.set(key, bucket);
    return 0;
  }

  #refill(bucket: Bucket, nowMs: number): void {
    // A clock that is set back must not take tokens away.
    const passedMs = Math.max(0, nowMs - bucket.atMs);
    bucket.tokens = Math.min(this.#limits.burst, bucket.tokens + passedMs / this.#limits.refillMs);
    bucket.atMs = nowMs;
  }
}
