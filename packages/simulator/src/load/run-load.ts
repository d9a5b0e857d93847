import { randomBytes } from 'node:crypto';
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LoadResult, loadResult } from './figures/load-result.ts';
import { type Second, Timeline } from './figures/timeline.ts';
import { LoadProblem } from './load-problem.ts';
import { LoadProcesses } from './load-processes.ts';
import { type Aim, aimProblem, isNamed } from './machine/own-targets.ts';
import { childrenOfAll } from './machine/process-watch.ts';
import { roomOfThisMachine, roomProblem } from './machine/room.ts';
import { UsageLog } from './machine/usage-log.ts';
import type { Way, WorkerSettings } from './messages.ts';
import type { Unready } from './offices.ts';
import { selfSigned } from './self-signed.ts';
import type { ServerInit } from './servers.ts';
import { TLS_NAME } from './session.ts';
import type { Traffic } from './traffic.ts';

/** A run, as somebody has asked for it. */
export interface LoadSettings {
  readonly processes: number;
  readonly seed: number;
  /** Of all processes together. */
  readonly traffic: Traffic;
  readonly way: Way;
  /** Each is run by every process; with port 0 each has a port of its own. */
  readonly servers: readonly ServerInit[];
  readonly tls: boolean;
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly watch: readonly { readonly name: string; readonly pid: number }[];
  /** Hosts that are not this machine, and that whoever runs this may fill with load. */
  readonly ownTargets: readonly string[];
  /** What decides the result, for the report. */
  readonly conditions: Readonly<Record<string, string>>;
}

export interface LoadComponents {
  /** Starts a process that runs runLoadWorker(), with an IPC channel whose serialization is 'advanced'. */
  readonly spawn: () => ChildProcess;
  readonly onProgress: (progress: Progress) => void;
  /** Ends the run before its time; what was measured until then is reported. */
  readonly interrupted: AbortSignal;
}

export interface Progress {
  readonly phase: 'setting up' | 'warming up' | 'measuring' | 'finishing';
  readonly elapsedSeconds: number;
  /** The last second that is over. */
  readonly last: Second | undefined;
}

/** An agent looks for managers, gets a lease and connects; a thousand of them take a while. */
const READY_TIMEOUT_MS = 30_000;
/** For sessions that run when the time is over. */
const GRACE_MS = 15_000;
/** Beyond that, and for the books at the end: who says nothing for so long has no time for it any more. */
const ANSWER_TIMEOUT_MS = 30_000;
const TICK_MS = 1000;
const NOTHING_MEASURED = 'ended before anything was measured';
const OWN_NAME = 'load';
/** Of the offices that are not ready, so many are named. */
const NAMED_OFFICES = 5;

/**
 * Runs a load to its end. Throws LoadProblem when it is refused, cannot be set up, or loses one of its processes; no
 * process is left then, either.
 */
export async function runLoad(components: LoadComponents, settings: LoadSettings): Promise<LoadResult> {
  const problem = roomProblem(wishOf(settings), roomOfThisMachine()) ?? (await aimProblem(aimsOf(settings.way), settings.ownTargets));
  if (problem !== undefined) throw new LoadProblem(problem);
  const timeline = new Timeline();
  const processes = new LoadProcesses({ spawn: components.spawn, onSample: (sample) => timeline.add(sample) }, { answerTimeoutMs: ANSWER_TIMEOUT_MS });
  const abandoned = new AbortController();
  // Also when this process ends at once: a load process that is too busy to see that is killed.
  const onExit = (): void => processes.kill();
  process.once('exit', onExit);
  try {
    const run = new LoadRun({ ...components, processes, timeline, abandoned: abandoned.signal }, settings).run();
    // When a process ends before its time, it is that which is told, and not what comes of it.
    run.catch(() => {});
    return await Promise.race([run, processes.broken]);
  } finally {
    abandoned.abort();
    processes.kill();
    process.off('exit', onExit);
  }
}

interface RunComponents extends LoadComponents {
  readonly processes: LoadProcesses;
  readonly timeline: Timeline;
  /** Nobody waits for it any more. */
  readonly abandoned: AbortSignal;
}

class LoadRun {
  readonly #components: RunComponents;
  readonly #settings: LoadSettings;
  readonly #usage: UsageLog;
  #phase: Progress['phase'] = 'setting up';
  #beganAtMs = performance.now();

  constructor(components: RunComponents, settings: LoadSettings) {
    this.#components = components;
    this.#settings = settings;
    this.#usage = new UsageLog([{ name: OWN_NAME, pid: process.pid }, ...settings.watch]);
  }

  async run(): Promise<LoadResult> {
    const { processes, timeline } = this.#components;
    const { warmUpMs, durationMs, traffic, conditions } = this.#settings;
    await this.#setUp();
    const startedAt = new Date();
    this.#beganAtMs = performance.now();
    this.#usage.look(childrenOfAll());
    processes.begin();
    const ticker = setInterval(() => this.#tick(), TICK_MS);
    try {
      this.#phase = 'warming up';
      await this.#wait(warmUpMs);
      if (this.#components.interrupted.aborted) throw new LoadProblem(NOTHING_MEASURED);
      this.#phase = 'measuring';
      this.#usage.begin(childrenOfAll());
      const measuredAtMs = performance.now();
      processes.measure();
      await this.#wait(durationMs);
      const measuredSeconds = (performance.now() - measuredAtMs) / 1000;
      this.#phase = 'finishing';
      this.#usage.end(childrenOfAll());
      await processes.stop(GRACE_MS);
      const outcomes = await processes.close();
      return loadResult({
        startedAt,
        interrupted: this.#components.interrupted.aborted,
        conditions,
        measuredSeconds,
        warmUpSeconds: warmUpMs / 1000,
        hasClients: traffic.loop.kind === 'closed',
        outcomes,
        usage: this.#usage.figures(),
        perSecond: timeline.all(),
      });
    } finally {
      clearInterval(ticker);
    }
  }

  async #setUp(): Promise<void> {
    const { processes, onProgress } = this.#components;
    onProgress({ phase: this.#phase, elapsedSeconds: 0, last: undefined });
    const ready = await Promise.race([processes.setUp(workerSettings(this.#settings)), this.#interruption()]);
    const unready = ready.flatMap((one) => one.unready);
    if (unready.length > 0) throw new LoadProblem(unreadyText(unready, this.#settings));
    const { way, ownTargets } = this.#settings;
    // Relays of a manager on this machine may be anywhere; where all managers were named, the relays are their owner's.
    if (way.kind !== 'agents' || way.agents.every(({ managerName }) => isNamed(managerName, ownTargets))) return;
    const relays = [...new Set(ready.flatMap(({ relayAddresses }) => relayAddresses))];
    const problem = await aimProblem(relays.map((host) => ({ host, what: 'The relay' })), ownTargets);
    if (problem !== undefined) throw new LoadProblem(problem);
  }

  #tick(): void {
    const { timeline, onProgress } = this.#components;
    const elapsedSeconds = (performance.now() - this.#beganAtMs) / 1000;
    const second = Math.max(Math.round(elapsedSeconds) - 1, 0);
    timeline.addCpu(second, this.#usage.look(childrenOfAll()));
    onProgress({ phase: this.#phase, elapsedSeconds, last: timeline.at(second) ?? timeline.at(second - 1) });
  }

  /** Rejects when the run is ended before it has begun. */
  async #interruption(): Promise<never> {
    const { interrupted } = this.#components;
    await new Promise<void>((resolve) => {
      if (interrupted.aborted) resolve();
      interrupted.addEventListener('abort', () => resolve(), { once: true });
    });
    throw new LoadProblem(NOTHING_MEASURED);
  }

  async #wait(ms: number): Promise<void> {
    const { interrupted, abandoned } = this.#components;
    await sleep(ms, undefined, { signal: AbortSignal.any([interrupted, abandoned]) }).catch((error: unknown) => {
      if (!interrupted.aborted || abandoned.aborted) throw error;
    });
  }
}

function workerSettings({ processes, seed, traffic, way, servers, tls }: LoadSettings): WorkerSettings[] {
  const run = randomBytes(4).toString('hex');
  const certificate = tls ? selfSigned(TLS_NAME) : undefined;
  return Array.from({ length: processes }, (_, worker) => ({
    run,
    worker,
    workers: processes,
    seed: seed + worker,
    traffic: trafficOf(traffic, worker, processes),
    way: way.kind === 'agents' ? { ...way, agents: way.agents.filter((_, index) => index % processes === worker) } : way,
    servers,
    tls: certificate,
    readyTimeoutMs: READY_TIMEOUT_MS,
  }));
}

function trafficOf(traffic: Traffic, worker: number, processes: number): Traffic {
  const { clients, loop } = traffic;
  return {
    ...traffic,
    clients: Math.floor(clients / processes) + (worker < clients % processes ? 1 : 0),
    loop: loop.kind === 'open' ? { ...loop, perSecond: loop.perSecond / processes } : loop,
  };
}

function wishOf({ traffic, processes, way, servers }: LoadSettings): Parameters<typeof roomProblem>[0] {
  const ownPorts = servers.reduce((sum, { port }) => sum + (port === 0 ? processes : 1), 0);
  const offices = way.kind === 'agents' ? way.agents.length : 0;
  const listeners = way.kind === 'listeners' ? way.targets.send.length + way.targets.fetch.length : offices * servers.length;
  return { clients: traffic.clients, processes, offices, targets: way.kind === 'direct' ? ownPorts : listeners, servers: ownPorts };
}

function aimsOf(way: Way): Aim[] {
  if (way.kind === 'direct') return [];
  if (way.kind === 'listeners') return [...way.targets.send, ...way.targets.fetch].map(({ host }) => ({ host, what: 'The agent at' }));
  // The same name may be somebody else where somebody else is asked.
  const managers = new Map(way.agents.map(({ managerName, dns }) => [[managerName, ...dns.servers].join(), { host: managerName, what: 'The manager', dnsServers: dns.servers }]));
  const relays = way.agents.flatMap(({ relays = [] }) => relays.map(({ host }) => host));
  return [...managers.values(), ...[...new Set(relays)].map((host) => ({ host, what: 'The relay' }))];
}

function unreadyText(unready: readonly Unready[], { way }: LoadSettings): string {
  const named = unready.slice(0, NAMED_OFFICES).map(({ mac, why }) => `  ${mac}: ${why}`);
  const others = unready.length - named.length;
  const count = way.kind === 'agents' ? way.agents.length : unready.length;
  return [
    `${unready.length} of ${count} offices have no connection to a relay after ${READY_TIMEOUT_MS / 1000} s:`,
    ...named,
    ...(others > 0 ? [`  and ${others} more`] : []),
    'docs/errors.md says what the codes mean. How many agents of one address a site takes say manager.maxPerAddress and relay.maxPerAddress.',
    'A ticket is for the relays of the table: one that is tried with --relay stands there, drained (sekisho table drain).',
  ].join('\n');
}
