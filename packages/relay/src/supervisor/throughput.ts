/** Long enough to be calm, short enough for a manager to see a surge. */
const WINDOW_MS = 2000;
const MAX_SAMPLES = 4096;

/** Bytes a second over the last two seconds. */
export class Throughput {
  readonly #now: () => number;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  /** @param components now: monotonic milliseconds */
  constructor(components: { readonly now: () => number }) {
    this.#now = components.now;
  }

  add(bytes: number): void {
    this.#samples.push({ atMs: this.#now(), bytes });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }

  get bytesPerSecond(): number {
    const from = this.#now() - WINDOW_MS;
    while ((this.#samples[0]?.atMs ?? from) < from) this.#samples.shift();
    return Math.round((this.#samples.reduce((sum, { bytes }) => sum + bytes, 0) * 1000) / WINDOW_MS);
  }
}
