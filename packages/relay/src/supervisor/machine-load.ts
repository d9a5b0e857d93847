import { cpus, loadavg } from 'node:os';

/** The time of one core, in any unit, since it started. */
export interface CoreTimes {
  readonly busy: number;
  readonly total: number;
}

/** Long enough for the kernel's ticks (10 ms) to say something. */
const MIN_INTERVAL_MS = 400;

/** How loaded the machine is: the average, and the hottest core, which is what a process of one thread feels. */
export class MachineLoad {
  readonly #now: () => number;
  #before: readonly CoreTimes[] = coreTimes();
  #sampledAtMs: number;
  #hottestMilli = 0;

  /** @param components now: monotonic milliseconds */
  constructor(components: { readonly now: () => number }) {
    this.#now = components.now;
    this.#sampledAtMs = this.#now();
  }

  /** The load average of a minute by core, in thousandths. */
  get loadPerCoreMilli(): number {
    const [minute = 0] = loadavg();
    return Math.round((minute / Math.max(1, this.#before.length)) * 1000);
  }

  /** How busy the busiest core was since the last call, in thousandths. */
  hottestCoreMilli(): number {
    const now = this.#now();
    if (now - this.#sampledAtMs < MIN_INTERVAL_MS) return this.#hottestMilli;
    const after = coreTimes();
    this.#hottestMilli = hottestMilli(this.#before, after);
    this.#before = after;
    this.#sampledAtMs = now;
    return this.#hottestMilli;
  }
}

/** The largest busy share of a core between two samples, in thousandths. */
export function hottestMilli(before: readonly CoreTimes[], after: readonly CoreTimes[]): number {
  const shares = after.map((core, index) => {
    const earlier = before[index] ?? { busy: 0, total: 0 };
    const total = core.total - earlier.total;
    return total <= 0 ? 0 : (core.busy - earlier.busy) / total;
  });
  return Math.round(Math.min(1, Math.max(0, ...shares)) * 1000);
}

function coreTimes(): CoreTimes[] {
  return cpus().map(({ times }) => {
    const busy = times.user + times.nice + times.sys + times.irq;
    return { busy, total: busy + times.idle };
  });
}
