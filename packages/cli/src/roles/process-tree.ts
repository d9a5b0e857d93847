import { type ChildProcess, spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, printable } from '@sekisho/telemetry';

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
/** What the parent asks: to run its self-check. */
const PROVE = 'prove';
/** The answer. */
export type Reply = { readonly proven: true } | { readonly proven: false; readonly reason: string };
/** Proofs that one process may fail in a row, or leave without an answer, before it is killed and started again. */
const MAX_FAILED_PROOFS = 2;
/** Being killed takes no longer, unless the machine is sick. */
const MAX_PROOFS_AFTER_KILL = 2;

export function isProve(message: unknown): boolean {
  return message === PROVE;
}

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
  readonly #whenProven = new Map<Job, PromiseWithResolvers<void>>();
  /** Of processes that serve: proofs asked for since the last that was given, and what was said instead. */
  readonly #proofs = new Map<Job, { asked: number; reason: string }>();
  readonly #done = Promise.withResolvers<void>();
  /** Its real path: a link `current` may lead to another version by the time a process is started again. */
  readonly #program = realpathSync(process.argv[1] ?? '');
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

  /** Resolves when every process has been ready once. */
  async ready(): Promise<void> {
    const waiting = this.#waves.flat().filter((job) => !this.#proven.has(job));
    await Promise.all(waiting.map((job) => this.#ready(job)));
  }

  /**
   * Asks every process that serves for its self-check, and kills what has not passed two of them; it is started again as
   * what dies by itself, and the others do not notice. So only what cannot even be killed is this tree's own failure.
   */
  async selfCheck(): Promise<void> {
    for (const [job, proof] of this.#proofs) {
      if (proof.asked >= MAX_FAILED_PROOFS + MAX_PROOFS_AFTER_KILL) throw new Error(`${job.name} does not end although it was killed`);
      if (proof.asked >= MAX_FAILED_PROOFS) {
        const { reason } = proof;
        this.#log.error({ event: 'process_hung', process: job.name, reason: printable(reason) }, `${job.name} does not do its work and is killed`);
        this.#children.get(job)?.kill('SIGKILL');
      }
      proof.asked += 1;
      this.#children.get(job)?.send(PROVE, () => {});
    }
  }

  /** What serves, of how many. */
  statusLine(): string {
    const all = this.#waves.flat();
    const failing = all.filter((job) => (this.#proofs.get(job)?.asked ?? MAX_FAILED_PROOFS) >= MAX_FAILED_PROOFS);
    return `${all.length - failing.length} of ${all.length} processes serve${failing.length === 0 ? '' : `, not: ${failing.map(({ name }) => name).join(' ')}`}`;
  }

  #onMessage(job: Job, message: unknown): void {
    if (message === READY) {
      this.#proven.add(job);
      this.#proofs.set(job, { asked: 0, reason: 'no answer' });
      this.#whenProven.get(job)?.resolve();
      return;
    }
    const proof = this.#proofs.get(job);
    if (proof === undefined) return;
    const reply = message as Reply;
    if (reply.proven) proof.asked = 0;
    else proof.reason = reply.reason;
  }

  #ready(job: Job): Promise<void> {
    const waiting = this.#whenProven.get(job) ?? Promise.withResolvers<void>();
    this.#whenProven.set(job, waiting);
    return waiting.promise;
  }

  #start(job: Job, pauseMs: number): void {
    const startedAt = performance.now();
    // A child whose channel closes knows that this process is gone, and stops.
    const child = spawn(process.execPath, [...process.execArgv, this.#program, ...job.args], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Ctrl-C at a terminal goes to a whole group; each child would hear it twice and end at once.
      detached: true,
    });
    this.#children.set(job, child);
    child.on('message', (message) => this.#onMessage(job, message));
    const gone = (how: { readonly code?: number | null; readonly signal?: string | null; readonly reason?: string }): void => {
      if (!this.#children.delete(job)) return;
      this.#proofs.delete(job);
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
