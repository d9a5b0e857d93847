import { readdirSync, readFileSync } from 'node:fs';

/** Threads end; what they had is lost with their directory. Between two looks a thread can lose no more than this. */
const LOOK_EVERY_MS = 50;
const NS_PER_S = 1e9;

/** A process and all its descendants at this moment. */
export function processTree(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    const parent = /^\d+$/u.test(entry) ? parentOf(entry) : undefined;
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(entry)]);
    else siblings.push(Number(entry));
  }
  const tree = [pid];
  for (const member of tree) tree.push(...(children.get(member) ?? []));
  return tree;
}

/** proc(5): the second field behind the name in parentheses, which may itself hold any character. */
function parentOf(pid: string): number | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  return stat === undefined ? undefined : Number(stat.replace(/^.*\) /su, '').split(' ')[1]);
}

/** Undefined when the process or thread has just ended. */
function readProc(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * The processor time of a process with its descendants, to the nanosecond: the scheduler's own account of each thread
 * (/proc/PID/task/TID/schedstat). The usual tick counters see whoever runs at the tick, and mislead where thousands of
 * short turns are taken.
 *
 * Looks are taken while it runs, so that the time of a thread that ends is not lost, nor the end of a process overlooked.
 */
export class CpuMeter {
  readonly #root: number;
  readonly #timer: NodeJS.Timeout;
  /** The last reading of each thread that was ever seen, `pid/tid`. */
  readonly #seenNs = new Map<string, number>();
  readonly #startNs: number;
  #members: readonly number[];

  /** @throws Error when there is no such process */
  constructor(rootPid: number) {
    this.#root = rootPid;
    this.#members = processTree(rootPid);
    this.#look();
    if (this.#seenNs.size === 0) throw new Error(`there is no process ${rootPid}`);
    this.#startNs = this.#totalNs();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Ends the measurement.
   * @returns seconds since it began
   * @throws Error when a process of the tree has ended meanwhile: what was measured then is something else
   */
  stop(): number {
    clearInterval(this.#timer);
    const before = this.#members;
    this.#members = processTree(this.#root);
    this.#look();
    const gone = before.filter((pid) => readProc(`/proc/${pid}/stat`) === undefined);
    if (gone.length > 0) throw new Error(`process ${gone.join(', ')} ended while it was measured`);
    return (this.#totalNs() - this.#startNs) / NS_PER_S;
  }

  #look(): void {
    for (const pid of this.#members)
      for (const tid of threadsOf(pid)) {
        const ns = Number(readProc(`/proc/${pid}/task/${tid}/schedstat`)?.split(' ')[0] ?? Number.NaN);
        if (!Number.isNaN(ns)) this.#seenNs.set(`${pid}/${tid}`, ns);
      }
  }

  #totalNs(): number {
    let sum = 0;
    for (const ns of this.#seenNs.values()) sum += ns;
    return sum;
  }
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
