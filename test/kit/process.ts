import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessInit {
  command: string;
  args?: readonly string[];
  /** Added to the environment of this process. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Written to its standard input, which is then closed. */
  stdin?: Buffer | string;
  /** In a process group of its own, which is killed as a whole: for a server with children that expects to lead one. */
  ownGroup?: boolean;
}

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Of each stream only this much of the end is kept. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const STOP_GRACE_MS = 3000;
const POLL_MS = 10;

const alive = new Set<TestProcess>();

const cleanUps = new Set<() => void>();

let guarded = false;

/** What a test forgot must not outlive the run that started it; vitest ends its workers with SIGTERM, without 'exit'. */
function guardAgainstOrphans(): void {
  if (guarded) return;
  guarded = true;
  const killAll = (): void => {
    for (const child of alive) child.kill('SIGKILL');
    for (const cleanUp of cleanUps) cleanUp();
  };
  process.on('exit', killAll);
  for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]] as const) {
    process.on(signal, () => {
      killAll();
      // Whoever else listens decides himself when to end.
      if (process.listenerCount(signal) === 1) process.exit(code);
    });
  }
}

/**
 * Has something undone, synchronously, when this process ends without having done it, also by SIGINT or SIGTERM, and after the
 * processes it started were killed. Returns how to take that back.
 */
export function whenThisProcessEnds(cleanUp: () => void): () => void {
  guardAgainstOrphans();
  cleanUps.add(cleanUp);
  return () => void cleanUps.delete(cleanUp);
}

class CapturedStream {
  #chunks: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes > MAX_OUTPUT_BYTES) this.#bytes -= this.#chunks.shift()?.length ?? 0;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

/** A child process whose output is kept. Made by `startProcess`. */
export class TestProcess {
  readonly pid: number;
  readonly name: string;
  /** Resolves when the process has ended and its output is complete. */
  readonly exited: Promise<ProcessExit>;
  #child: ChildProcessWithoutNullStreams;
  #stdout = new CapturedStream();
  #stderr = new CapturedStream();
  #exit: ProcessExit | undefined;
  #ownGroup: boolean;

  constructor(child: ChildProcessWithoutNullStreams, init: { pid: number; name: string; ownGroup: boolean }) {
    this.#child = child;
    this.pid = init.pid;
    this.#ownGroup = init.ownGroup;
    this.name = init.name;
    child.stdout.on('data', (chunk: Buffer) => this.#stdout.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => this.#stderr.add(chunk));
    // A process that ended before it read everything: its exit code says so.
    child.stdin.on('error', () => undefined);
    alive.add(this);
    // 'exit' and not 'close': a grandchild may hold the output open for long.
    child.once('exit', () => alive.delete(this));
    this.exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  get stdout(): Buffer {
    return this.#stdout.bytes;
  }

  get stderr(): string {
    return this.#stderr.bytes.toString();
  }

  /** Both streams, standard output first. */
  get output(): string {
    return this.stdout.toString() + this.stderr;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the match in its output; rejects when the process ends or the time is over before it. */
  async waitForOutput(pattern: RegExp, timeoutMs = 10_000): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const ended = this.#exit !== undefined;
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (ended) throw new Error(`${this.name} ended without ${String(pattern)}; its output:\n${this.output}`);
      if (performance.now() > deadline) {
        throw new Error(`no ${String(pattern)} from ${this.name} in ${timeoutMs} ms; its output:\n${this.output}`);
      }
      await sleep(POLL_MS);
    }
  }

  /** False when it has ended already. SIGKILL, SIGSTOP and SIGCONT go to its whole group if it has its own. */
  kill(signal: NodeJS.Signals): boolean {
    if (!this.running) return false;
    // A polite signal goes to the leader alone, which knows in what order its children are to end.
    if (!this.#ownGroup || signal === 'SIGTERM' || signal === 'SIGHUP') return this.#child.kill(signal);
    return process.kill(-this.pid, signal);
  }

  /** SIGTERM, and SIGKILL for what is still there after the grace; resolves when it has ended. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    if (!this.running) return;
    const ended = once(this.#child, 'exit');
    // A stopped (SIGSTOP) process would not hear the SIGTERM.
    this.kill('SIGTERM');
    this.kill('SIGCONT');
    const timer = setTimeout(() => this.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(timer);
  }
}

/** Starts a process. @throws the error of the system (ENOENT, EACCES) when it can't be started */
export async function startProcess(init: ProcessInit): Promise<TestProcess> {
  const env = { ...process.env, ...init.env };
  const ownGroup = init.ownGroup === true;
  const options = { env, detached: ownGroup, ...(init.cwd === undefined ? {} : { cwd: init.cwd }) };
  const child = spawn(init.command, init.args ?? [], options);
  const pid = child.pid;
  if (pid === undefined) {
    const [error] = (await once(child, 'error')) as [Error];
    throw error;
  }
  guardAgainstOrphans();
  const started = new TestProcess(child, { pid, name: init.command, ownGroup });
  child.stdin.end(init.stdin ?? '');
  return started;
}

export interface ProcessResult extends ProcessExit {
  stdout: Buffer;
  stderr: string;
  /** Both, as text. */
  output: string;
}

/** Runs a process to its end, whatever its exit code; killed and rejected after `timeoutMs`. */
export async function runProcess(init: ProcessInit & { timeoutMs?: number }): Promise<ProcessResult> {
  const timeoutMs = init.timeoutMs ?? 60_000;
  const child = await startProcess(init);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill('SIGKILL');
  }, timeoutMs);
  const exit = await child.exited;
  clearTimeout(timer);
  if (late) throw new Error(`${init.command} did not end in ${timeoutMs} ms; its output:\n${child.output}`);
  return { ...exit, stdout: child.stdout, stderr: child.stderr, output: child.output };
}

/** Stops everything that `startProcess` started in this process and that still runs: for afterAll. */
export async function stopAllProcesses(): Promise<void> {
  await Promise.all([...alive].map((child) => child.stop()));
}

/** Resolves as soon as somebody accepts there, a unix socket or a port; rejects after `timeoutMs`. */
export async function waitForPort(
  target: { host: string; port: number } | { path: string },
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await accepts(target))) {
    if (performance.now() > deadline) throw new Error(`nobody accepts at ${JSON.stringify(target)} after ${timeoutMs} ms`);
    await sleep(POLL_MS);
  }
}

function accepts(target: { host: string; port: number } | { path: string }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(target);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
