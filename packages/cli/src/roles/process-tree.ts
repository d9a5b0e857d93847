import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@sekisho/telemetry';

export interface Job {
  readonly name: string;
  /** Arguments of this same command. */
  readonly args: readonly string[];
}

/** A process that lived longer than this is started again at once; one that dies sooner is waited for. */
const STABLE_MS = 10_000;
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 10_000;
/** sysexits.h: a configuration that cannot be used, or a port that is taken, does not get better by trying again. */
const FINAL_EXIT_CODES: ReadonlySet<number> = new Set([2, 69]);
/** So long the next wave waits for one that is slow to be ready; then it starts all the same. */
const WAVE_PATIENCE_MS = 5000;

/** What a process of the tree says to its parent when it is ready to work. */
export const READY = 'ready';

/**
 * Runs this command several times, each time with other arguments, and starts again what ends by itself. The jobs come in
 * waves: a later one finds the earlier ones ready.
 */
export class ProcessTree {
  readonly #log: Logger;
  readonly #waves: readonly (readonly Job[])[];
  readonly #children = new Map<Job, ChildProcess>();
  readonly #waiting = new Set<NodeJS.Timeout>();
  /** Jobs that were ready once: what keeps them from working later is a fault, not the configuration. */
  readonly #proven = new Set<Job>();
  readonly #whenProven = new Map<Job, () => void>();
  readonly #done = Promise.withResolvers<void>();
  #stopping = false;

  constructor(components: { readonly log: Logger }, waves: readonly (readonly Job[])[]) {
    this.#log = components.log;
    this.#waves = waves;
  }

  /** Resolves when it was told to stop, by SIGTERM or SIGINT, and every process has ended. */
  async run(): Promise<void> {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#stop());
    for (const wave of this.#waves) {
      if (this.#stopping) break;
      for (const job of wave) this.#start(job, FIRST_PAUSE_MS);
      await Promise.race([Promise.all(wave.map((job) => this.#ready(job))), sleep(WAVE_PATIENCE_MS, undefined, { ref: false }), this.#done.promise]);
    }
    await this.#done.promise;
  }

  #ready(job: Job): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#whenProven.set(job, resolve);
    return promise;
  }

  #start(job: Job, pauseMs: number): void {
    const startedAt = performance.now();
    // A child whose channel closes knows that this process is gone, and stops.
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...job.args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Ctrl-C at a terminal goes to a whole group; each child would hear it twice and end at once.
      detached: true,
    });
    this.#children.set(job, child);
    child.once('message', () => {
      this.#proven.add(job);
      this.#whenProven.get(job)?.();
    });
    const gone = (how: { readonly code?: number | null; readonly signal?: string | null; readonly reason?: string }): void => {
      if (!this.#children.delete(job)) return;
      if (this.#stopping) return this.#finishIfDone();
      if (typeof how.code === 'number' && FINAL_EXIT_CODES.has(how.code) && !this.#proven.has(job)) return this.#giveUp(job, how.code);
      const againMs = performance.now() - startedAt > STABLE_MS ? FIRST_PAUSE_MS : pauseMs;
      this.#log.error({ event: 'process_died', process: job.name, ...how, againMs }, `${job.name} died; it is started again`);
      const timer = setTimeout(() => {
        this.#waiting.delete(timer);
        this.#start(job, Math.min(pauseMs * 2, LAST_PAUSE_MS));
      }, againMs);
      this.#waiting.add(timer);
    };
    child.once('exit', (code, signal) => gone({ code, signal }));
    // A machine without memory or process ids left cannot start one just now; that must not end those that run.
    child.on('error', (error) => {
      if (child.pid === undefined) gone({ reason: error.message });
    });
  }

  #giveUp(job: Job, code: number): void {
    this.#log.fatal({ event: 'process_failed', process: job.name, code }, `${job.name} cannot run, its last words say why; everything is stopped`);
    process.exitCode = code;
    this.#stop();
  }

  /** The first time the children drain; the second time they hear a second signal and end at once. */
  #stop(): void {
    this.#stopping = true;
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#waiting.clear();
    for (const child of this.#children.values()) child.kill('SIGTERM');
    this.#finishIfDone();
  }

  #finishIfDone(): void {
    if (this.#children.size === 0) this.#done.resolve();
  }
}
