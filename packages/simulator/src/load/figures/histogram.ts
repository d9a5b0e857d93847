/** Each power of two is cut into so many buckets: a quantile is at most 1/64 above the truth. */
const STEPS = 64;
const STEP_BITS = 6;
const LARGEST = 2 ** 32 - 1;
const BUCKETS = (32 - STEP_BITS + 1) * STEPS;

/** A histogram as it goes from process to process. */
export interface HistogramParts {
  /** Bucket, count, bucket, count. */
  readonly buckets: readonly number[];
  readonly min: number;
  readonly max: number;
  readonly sum: number;
}

/**
 * Counts of durations, in microseconds up to an hour and more: exact up to 63, then in buckets of less than 1.6 % of the
 * value. Two of them add up to what one would have counted, which quantiles do not.
 */
export class Histogram {
  #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;
  #sum = 0;

  get count(): number {
    return this.#count;
  }

  /** Exact; 0 without values. */
  get max(): number {
    return this.#max;
  }

  /** Exact; 0 without values. */
  get mean(): number {
    return this.#count === 0 ? 0 : this.#sum / this.#count;
  }

  add(value: number): void {
    const whole = Math.min(Math.max(Math.round(value), 0), LARGEST);
    const bucket = bucketOf(whole);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#sum += whole;
    if (whole < this.#min) this.#min = whole;
    if (whole > this.#max) this.#max = whole;
  }

  /** The value that the given share of all values does not exceed; undefined without values. */
  quantile(share: number): number | undefined {
    if (this.#count === 0) return undefined;
    const wanted = Math.max(Math.ceil(share * this.#count), 1);
    let seen = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      seen += this.#counts[bucket] ?? 0;
      if (seen >= wanted) return Math.min(Math.max(highest(bucket), this.#min), this.#max);
    }
    return this.#max;
  }

  merge(parts: HistogramParts): void {
    for (let index = 0; index < parts.buckets.length; index += 2) {
      const bucket = parts.buckets[index] ?? 0;
      const count = parts.buckets[index + 1] ?? 0;
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
      this.#count += count;
    }
    this.#sum += parts.sum;
    this.#min = Math.min(this.#min, parts.min);
    this.#max = Math.max(this.#max, parts.max);
  }

  /** What is in it, and nothing is left: for an interval that ends. */
  take(): HistogramParts {
    const parts = this.parts();
    if (this.#count > 0) this.#counts.fill(0);
    this.#count = 0;
    this.#min = Number.POSITIVE_INFINITY;
    this.#max = 0;
    this.#sum = 0;
    return parts;
  }

  parts(): HistogramParts {
    const buckets: number[] = [];
    if (this.#count > 0)
      this.#counts.forEach((count, bucket) => {
        if (count > 0) buckets.push(bucket, count);
      });
    return { buckets, min: this.#min, max: this.#max, sum: this.#sum };
  }
}

function bucketOf(value: number): number {
  if (value < STEPS) return value;
  const shift = 31 - Math.clz32(value) - STEP_BITS;
  return (shift + 1) * STEPS + (Math.floor(value / 2 ** shift) - STEPS);
}

/** The largest value that falls into a bucket. */
function highest(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const shift = Math.floor(bucket / STEPS) - 1;
  return ((bucket % STEPS) + STEPS + 1) * 2 ** shift - 1;
}
