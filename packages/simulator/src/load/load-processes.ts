import type { ChildProcess } from 'node:child_process';
import { LoadProblem } from './load-problem.ts';
import type { Order, Word, WorkerOutcome, WorkerSettings } from './messages.ts';
import type { Sample } from './figures/tally.ts';

export interface LoadProcessesComponents {
  /** Starts a process that runs runLoadWorker(), with an IPC channel whose serialization is 'advanced'. */
  readonly spawn: () => ChildProcess;
  readonly onSample: (sample: Sample) => void;
}

type Ready = Extract<Word, { type: 'ready' }>;

/** The load processes of a run, led together. One that ends before its time ends the run. */
export class LoadProcesses {
  readonly #components: LoadProcessesComponents;
  readonly #children: ChildProcess[] = [];
  readonly #exits: Promise<void>[] = [];
  readonly #broken = Promise.withResolvers<never>();
  #onWord: (child: ChildProcess, word: Word) => void = () => {};
  readonly #answerTimeoutMs: number;
  #mayEnd = false;

  /** @param init answerTimeoutMs: for a process to say that it has stopped, beyond its grace, and how its books stand */
  constructor(components: LoadProcessesComponents, init: { readonly answerTimeoutMs: number }) {
    this.#components = components;
    this.#answerTimeoutMs = init.answerTimeoutMs;
    // Whoever waits for something of the children hears of it; nobody may be waiting just then.
    this.#broken.promise.catch(() => {});
  }

  /** Starts one process for each of these settings, and waits until all are ready. */
  async setUp(settings: readonly WorkerSettings[]): Promise<Ready[]> {
    for (const _ of settings) this.#start();
    const ready = this.#all((word) => (word.type === 'ready' ? word : undefined));
    settings.forEach((one, index) => this.#order(this.#children[index], { type: 'set_up', settings: one }));
    return ready;
  }

  begin(): void {
    this.#orderAll({ type: 'begin' });
  }

  measure(): void {
    this.#orderAll({ type: 'measure' });
  }

  /** Begins no more sessions, and waits for those that run. */
  async stop(graceMs: number): Promise<void> {
    const stopped = this.#all((word) => (word.type === 'stopped' ? word : undefined));
    this.#orderAll({ type: 'stop', graceMs });
    await this.#within(graceMs + this.#answerTimeoutMs, stopped);
  }

  /** Closes the books, and resolves with them when all processes have ended by themselves. */
  async close(): Promise<WorkerOutcome[]> {
    const outcomes = this.#all((word) => {
      if (word.type === 'finished') this.#mayEnd = true;
      return word.type === 'finished' ? word.outcome : undefined;
    });
    this.#orderAll({ type: 'close' });
    const all = await this.#within(this.#answerTimeoutMs, outcomes);
    await this.#within(this.#answerTimeoutMs, Promise.all(this.#exits));
    return all;
  }

  /** Rejects when a process ends, or says that it cannot go on. */
  get broken(): Promise<never> {
    return this.#broken.promise;
  }

  /** Ends whatever is left, at once. */
  kill(): void {
    this.#mayEnd = true;
    for (const child of this.#children) child.kill('SIGKILL');
  }

  #start(): void {
    const child = this.#components.spawn();
    this.#children.push(child);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exits.push(promise);
    child.on('error', (error) => {
      this.#broken.reject(new LoadProblem(`a load process cannot be started: ${error.message}`));
      if (child.pid === undefined) resolve();
    });
    child.once('exit', (code, signal) => {
      resolve();
      if (!this.#mayEnd) this.#broken.reject(new LoadProblem(`a load process has ended (${signal ?? code}): what it had counted is lost, and so is the run`));
    });
    child.on('message', (word: Word) => {
      if (word.type === 'sample') this.#components.onSample(word.sample);
      else if (word.type === 'failed') this.#broken.reject(new LoadProblem(word.why));
      else this.#onWord(child, word);
    });
  }

  /** Waits for one such word of every process; in the order of the processes. */
  async #all<T>(take: (word: Word) => T | undefined): Promise<T[]> {
    const taken = new Map<ChildProcess, T>();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onWord = (child, word) => {
      const wanted = take(word);
      if (wanted !== undefined) taken.set(child, wanted);
      if (taken.size === this.#children.length) resolve();
    };
    await Promise.race([promise, this.#broken.promise]);
    return this.#children.map((child) => taken.get(child)).filter((one) => one !== undefined);
  }

  async #within<T>(ms: number, answers: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#broken.reject(new LoadProblem('a load process does not answer: it has more to do than it can. Give more --processes, or less load')), ms);
    try {
      return await Promise.race([answers, this.#broken.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #orderAll(order: Order): void {
    for (const child of this.#children) this.#order(child, order);
  }

  #order(child: ChildProcess | undefined, order: Order): void {
    // A child that is gone is heard of by its exit.
    if (child?.connected === true) child.send(order, () => {});
  }
}
