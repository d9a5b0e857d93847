import { readdirSync, readFileSync } from 'node:fs';

/** What a process and all its descendants have used. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  /** That run now; 0: it has ended. */
  readonly processes: number;
}

const NANOSECONDS = 1e9;
const KIB = 1024;

/**
 * Follows a process and its descendants through /proc. CPU is the scheduler's own count of nanoseconds of every thread
 * (schedstat), not the ticks of `ps`. What a thread used after the last look before its end is missed; look once a second.
 */
export class ProcessWatch {
  readonly name: string;
  readonly #pid: number;
  readonly #cpuNs = new Map<string, number>();

  constructor(init: { readonly name: string; readonly pid: number }) {
    this.name = init.name;
    this.#pid = init.pid;
  }

  /** @param children of each process, from childrenOfAll(), so that many watches look once */
  look(children: ReadonlyMap<number, readonly number[]>): Usage {
    let residentBytes = 0;
    let processes = 0;
    const left = [this.#pid];
    for (let pid = left.pop(); pid !== undefined; pid = left.pop()) {
      left.push(...(children.get(pid) ?? []));
      const resident = this.#lookAt(pid);
      if (resident === undefined) continue;
      residentBytes += resident;
      processes += 1;
    }
    let cpuNs = 0;
    for (const ns of this.#cpuNs.values()) cpuNs += ns;
    return { cpuSeconds: cpuNs / NANOSECONDS, residentBytes, processes };
  }

  #lookAt(pid: number): number | undefined {
    try {
      for (const tid of readdirSync(`/proc/${pid}/task`)) this.#lookAtThread(pid, tid);
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      // A process that has ended and was not waited for has no memory.
      const [, kib] = /^VmRSS:\s*(\d+) kB$/mu.exec(status) ?? [];
      return kib === undefined ? undefined : Number(kib) * KIB;
    } catch {
      return undefined;
    }
  }

  #lookAtThread(pid: number, tid: string): void {
    try {
      const [ns = '0'] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'latin1').split(' ');
      this.#cpuNs.set(`${pid}/${tid}`, Number(ns));
    } catch {
      // It has ended since; what it had used until the last look stays counted.
    }
  }
}

/** The children of every process of the machine. */
export function childrenOfAll(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/u.test(name)) continue;
    const parent = parentOf(name);
    if (parent === undefined) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [Number(name)]);
    else siblings.push(Number(name));
  }
  return children;
}

/** proc(5): the name of the program, in parentheses, may have spaces and parentheses itself. */
function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** Whether there is such a process. */
export function processExists(pid: number): boolean {
  return parentOf(String(pid)) !== undefined;
}
