import { type ChildProcess, fork } from 'node:child_process';
import { SessionKeys } from '@sekisho/channel';
import type { Logger } from '@sekisho/telemetry';
import type { Detection } from '../inspect/detection.ts';
import { DEFAULT_DEADLINES, type RelaySettings } from '../settings.ts';
import type { WorkerReport } from '../worker.ts';
import type { FromWorker, StartError, ToWorker } from './messages.ts';

/** How a worker process is started: `process.execPath file ...args`, which must call runRelayWorker(). */
export interface WorkerExec {
  readonly file: string;
  readonly args: readonly string[];
}

export interface WorkerPoolHandler {
  onReport(report: WorkerReport): void;
  onDetection(detection: Detection): void;
  /** A worker has died, or was killed because it hung; another one takes its place. */
  onRestart(): void;
}

/**
 * A young generation of 1 MB, the least: what a relay reads into is collected, and used again, while it is still in the
 * processor's cache. Relaying a stream costs a seventh less, a short session the same (docs/performance.md).
 */
const WORKER_HEAP = ['--max-semi-space-size=1'];

/** A worker that cannot live must not cost a core for being started again and again. */
const FIRST_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 10_000;
const SOUND_AFTER_MS = 60_000;
const CHECK_MS = 500;
/** Node, the modules and the certificates, on a machine that is busy. */
const START_MS = 30_000;

type SlotState = 'starting' | 'ready' | 'waiting' | 'gone';

interface Slot {
  readonly index: number;
  state: SlotState;
  child: ChildProcess | undefined;
  report: WorkerReport | undefined;
  /** Checks since it last said something. */
  silentChecks: number;
  startedAtMs: number;
  backoffMs: number;
  timer: NodeJS.Timeout | undefined;
}

/** The worker processes of a relay, one for each core, all listening at the same port (docs/decisions/002). */
export class WorkerPool {
  readonly #log: Logger;
  readonly #handler: WorkerPoolHandler;
  readonly #settings: RelaySettings;
  readonly #exec: WorkerExec;
  readonly #slots: readonly Slot[];
  readonly #check: NodeJS.Timeout;
  readonly #hungChecks: number;
  readonly #startChecks = Math.ceil(START_MS / CHECK_MS);
  readonly #sessionKeys = new SessionKeys({ onChange: (key) => this.#sendAll({ type: 'sessionKey', key: key.toString('base64') }) });
  #port: number;
  #isStarted = false;
  #isStopping = false;

  constructor(
    components: { readonly log: Logger; readonly handler: WorkerPoolHandler },
    init: { readonly settings: RelaySettings; readonly exec: WorkerExec },
  ) {
    this.#log = components.log;
    this.#handler = components.handler;
    this.#settings = init.settings;
    this.#exec = init.exec;
    this.#port = init.settings.listen.port;
    this.#slots = Array.from({ length: init.settings.workers }, (_, index) => newSlot(index));
    this.#hungChecks = Math.ceil((init.settings.deadlines ?? DEFAULT_DEADLINES).hungMs / CHECK_MS);
    this.#check = setInterval(() => this.#checkAll(), CHECK_MS);
  }

  /** The data port, once start() has resolved. */
  get port(): number {
    return this.#port;
  }

  /** The last reports of the workers that are ready. */
  get reports(): readonly WorkerReport[] {
    return this.#slots.flatMap(({ state, report }) => (state === 'ready' && report !== undefined ? [report] : []));
  }

  /** Workers that listen. */
  get ready(): number {
    return this.#slots.filter(({ state }) => state === 'ready').length;
  }

  /** Process ids of the workers that run. */
  get pids(): readonly number[] {
    return this.#slots.flatMap(({ child }) => (child?.pid === undefined ? [] : [child.pid]));
  }

  /**
   * Starts the workers.
   * @throws the error of the first that could not listen
   */
  async start(): Promise<void> {
    const [first, ...others] = this.#slots;
    if (first === undefined) return;
    // It finds a free port if there is to be one, and says at once when the port cannot be had.
    this.#port = await this.#startSlot(first);
    await Promise.all(others.map((slot) => this.#startSlot(slot)));
    this.#isStarted = true;
  }

  /** Lets every worker finish its sessions; resolves when the last process has ended. */
  async drain(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(
      this.#slots.map((slot) => {
        if (slot.state === 'ready') send(slot, { type: 'drain' });
        else slot.child?.kill('SIGKILL');
        return this.#ended(slot);
      }),
    );
    this.#stopWatching();
  }

  /** Ends every worker at once; resolves when the processes are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#stopWatching();
    await Promise.all(
      this.#slots.map((slot) => {
        slot.child?.kill('SIGKILL');
        return this.#ended(slot);
      }),
    );
  }

  #stopWatching(): void {
    clearInterval(this.#check);
    this.#sessionKeys.close();
  }

  #startSlot(slot: Slot): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const child = fork(this.#exec.file, this.#exec.args, { execArgv: [...process.execArgv, ...WORKER_HEAP] });
    Object.assign(slot, { child, state: 'starting', report: undefined, silentChecks: 0, startedAtMs: performance.now() });
    child.on('message', (message: FromWorker) => {
      slot.silentChecks = 0;
      if (message.type === 'failed') return reject(systemError(message.error));
      if (message.type === 'report') return this.#onReport(slot, message.report);
      if (message.type === 'detection') return this.#handler.onDetection(message.detection);
      slot.state = 'ready';
      this.#log.info({ event: 'worker_ready', worker: slot.index, pid: child.pid }, 'a worker listens');
      resolve(message.port);
    });
    // A message to a process that is gone; 'exit' follows.
    child.on('error', (error) => this.#log.warn({ event: 'worker_error', worker: slot.index, err: error }, error.message));
    child.once('exit', (code, signal) => {
      reject(new Error(`worker ${slot.index} ended with ${signal ?? code} before it was ready`));
      this.#onExit(slot, signal ?? code);
    });
    const listen = { ...this.#settings.listen, port: this.#port };
    const sessionKey = this.#sessionKeys.current.toString('base64');
    send(slot, { type: 'start', settings: { ...this.#settings, listen }, logLevel: this.#log.level, sessionKey });
    return promise;
  }

  #sendAll(message: ToWorker): void {
    for (const slot of this.#slots) send(slot, message);
  }

  #onReport(slot: Slot, report: WorkerReport): void {
    slot.report = report;
    this.#handler.onReport(report);
  }

  #onExit(slot: Slot, reason: string | number | null): void {
    const wasReady = slot.state === 'ready';
    slot.child = undefined;
    slot.report = undefined;
    // One that never was ready is start()'s to report.
    if (this.#isStopping || (!wasReady && !this.#isStarted)) {
      slot.state = 'gone';
      return;
    }
    slot.state = 'waiting';
    const lived = performance.now() - slot.startedAtMs;
    slot.backoffMs = lived >= SOUND_AFTER_MS ? FIRST_BACKOFF_MS : Math.min(MAX_BACKOFF_MS, slot.backoffMs * 2);
    this.#log.error(
      { event: 'worker_died', worker: slot.index, reason, restartInMs: slot.backoffMs },
      'a worker has died and its sessions with it; another one takes its place',
    );
    this.#handler.onRestart();
    slot.timer = setTimeout(() => this.#restart(slot), slot.backoffMs);
  }

  #restart(slot: Slot): void {
    if (this.#isStopping) return;
    this.#startSlot(slot).catch((error: unknown) =>
      this.#log.error({ event: 'worker_start_failed', worker: slot.index, err: error }, 'a worker could not be started'),
    );
  }

  // Counted by our own turns and not by the clock: when it was we who were held up, their messages are still to be read.
  #checkAll(): void {
    for (const slot of this.#slots) {
      if (slot.state !== 'starting' && slot.state !== 'ready') continue;
      slot.silentChecks += 1;
      if (slot.silentChecks <= (slot.state === 'ready' ? this.#hungChecks : this.#startChecks)) continue;
      this.#log.error(
        { event: 'worker_hung', worker: slot.index, pid: slot.child?.pid },
        'a worker has said nothing for too long and is killed',
      );
      slot.child?.kill('SIGKILL');
    }
  }

  #ended(slot: Slot): Promise<void> {
    clearTimeout(slot.timer);
    const { child } = slot;
    if (child === undefined) {
      slot.state = 'gone';
      return Promise.resolve();
    }
    return new Promise((resolve) => child.once('exit', () => resolve()));
  }
}

function newSlot(index: number): Slot {
  return {
    index,
    state: 'gone',
    child: undefined,
    report: undefined,
    silentChecks: 0,
    startedAtMs: 0,
    backoffMs: FIRST_BACKOFF_MS / 2,
    timer: undefined,
  };
}

function send({ child }: Slot, message: ToWorker): void {
  // The callback takes the error of a process that is gone; without it, it would be thrown.
  if (child?.connected === true) child.send(message, () => {});
}

function systemError({ message, ...traits }: StartError): Error {
  return Object.assign(new Error(message), traits);
}
