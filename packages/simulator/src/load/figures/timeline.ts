import { Histogram } from './histogram.ts';
import type { Sample } from './tally.ts';

/** One second of a run, of all load processes together. */
export interface Second {
  readonly second: number;
  readonly sessions: number;
  readonly failed: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly active: number;
  readonly timeToRelayMs: Quantiles | null;
  /** CPU seconds in this second, by the name of what is watched. */
  readonly cpu: Readonly<Record<string, number>>;
}

export interface Quantiles {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

interface Open {
  second: number;
  sessions: number;
  failed: number;
  bytesUp: number;
  bytesDown: number;
  active: number;
  timeToRelay: Histogram;
}

/** A process that is so late with its sample is not waited for with the histogram of that second. */
const MAX_LATE_SECONDS = 10;
const US_PER_MS = 1000;

/** Puts the samples of all load processes together, second by second. */
export class Timeline {
  readonly #open = new Map<number, Open>();
  readonly #closed: Omit<Second, 'cpu'>[] = [];
  readonly #cpu = new Map<number, Record<string, number>>();

  add(sample: Sample): void {
    const { second } = sample;
    const open = this.#open.get(second) ?? { second, sessions: 0, failed: 0, bytesUp: 0, bytesDown: 0, active: 0, timeToRelay: new Histogram() };
    this.#open.set(second, open);
    open.sessions += sample.sessions;
    open.failed += sample.failed;
    open.bytesUp += sample.bytesUp;
    open.bytesDown += sample.bytesDown;
    open.active += sample.active;
    open.timeToRelay.merge(sample.timeToRelay);
    for (const old of this.#open.keys()) if (old < second - MAX_LATE_SECONDS) this.#close(old);
  }

  addCpu(second: number, cpu: Record<string, number>): void {
    this.#cpu.set(second, cpu);
  }

  /** A second that is over, as far as its samples are there. */
  at(second: number): Second | undefined {
    const open = this.#open.get(second);
    return open === undefined ? undefined : { ...closed(open), cpu: this.#cpu.get(second) ?? {} };
  }

  all(): Second[] {
    for (const second of this.#open.keys()) this.#close(second);
    const merged = new Map<number, Omit<Second, 'cpu'>>();
    for (const one of this.#closed) merged.set(one.second, one);
    return [...merged.values()].sort((a, b) => a.second - b.second).map((one) => ({ ...one, cpu: this.#cpu.get(one.second) ?? {} }));
  }

  #close(second: number): void {
    const open = this.#open.get(second);
    this.#open.delete(second);
    if (open !== undefined) this.#closed.push(closed(open));
  }
}

function closed({ timeToRelay, ...counts }: Open): Omit<Second, 'cpu'> {
  return { ...counts, timeToRelayMs: quantilesMs(timeToRelay) };
}

/** In milliseconds; null without values. */
export function quantilesMs(histogram: Histogram): Quantiles | null {
  const ms = (share: number): number => (histogram.quantile(share) ?? 0) / US_PER_MS;
  return histogram.count === 0 ? null : { p50: ms(0.5), p99: ms(0.99), max: histogram.max / US_PER_MS };
}
