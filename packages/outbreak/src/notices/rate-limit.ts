/** Sources that are remembered; the one that was silent longest is forgotten first, and may do everything again. */
export const MAX_SOURCES = 4096;

const MINUTE_MS = 60_000;

interface Bucket {
  tokens: number;
  at: number;
}

/** How often a source may do something: so many at once, which come back within a minute. */
export class RateLimit {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** The longest silent first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(components: { readonly now: () => number }, init: { readonly perMinute: number }) {
    this.#now = components.now;
    this.#perMinute = init.perMinute;
  }

  /** Whether this source may once more; nothing is taken. */
  allows(source: string): boolean {
    return this.#bucketOf(source).tokens >= 1;
  }

  /** Whether this source may once more, and if so this is the once. */
  take(source: string): boolean {
    const bucket = this.#bucketOf(source);
    this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    if (this.#buckets.size > MAX_SOURCES) this.#forgetOldest();
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #bucketOf(source: string): Bucket {
    const now = this.#now();
    const bucket = this.#buckets.get(source) ?? { tokens: this.#perMinute, at: now };
    // A clock that was put back gives nothing and takes nothing.
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + (Math.max(0, now - bucket.at) * this.#perMinute) / MINUTE_MS);
    bucket.at = now;
    return bucket;
  }

  #forgetOldest(): void {
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}
