import { readFileSync, readdirSync } from 'node:fs';
import type { TestProcess } from '../../kit/process.ts';
import { linesOf } from '../session-logs.ts';

/** The process id of a relay's only worker, of the latest if it was restarted. */
export function workerOf(relay: TestProcess): number {
  return Number(linesOf(relay, 'worker_ready').at(-1)?.['pid']);
}

/** Resident memory of a process, bytes (proc_pid_status(5)). */
function residentBytes(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Number(kibibytes) * 1024;
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The most that a process has had resident between its start and `stop`. */
export class MemoryWatch {
  readonly beforeBytes: number;
  peakBytes: number;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.beforeBytes = residentBytes(pid);
    this.peakBytes = this.beforeBytes;
    this.#timer = setInterval(() => {
      this.peakBytes = Math.max(this.peakBytes, residentBytes(pid));
    }, 50);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
