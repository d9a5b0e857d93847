import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from './cpu.ts';

/** What a process with its descendants has resident, in KiB. */
export function residentKib(rootPid: number): number {
  return processTree(rootPid).reduce((sum, pid) => sum + Number(/^VmRSS:\s+(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0), 0);
}

/** For NODE_OPTIONS: a process opens its inspector, on SIGUSR1, at a port that nobody else has. */
export const INSPECTOR_OPTION = '--inspect-port=0';

const INSPECTOR_PATIENCE_MS = 10_000;
const POLL_MS = 20;
/** Freed pages go back to the system a moment after the collection. */
const SETTLE_MS = 500;
const LISTENING = /Debugger listening on (ws:\S+)/gu;

/** Node processes, started with `INSPECTOR_OPTION`, whose garbage can be collected from outside. */
export class Inspected {
  readonly #rootPid: number;
  readonly #stderr: () => string;
  #urls: readonly string[] | undefined;

  /** @param init `stderr`: what the process and its children have said, where each tells its inspector's address */
  constructor(init: { readonly rootPid: number; readonly stderr: () => string }) {
    this.#rootPid = init.rootPid;
    this.#stderr = init.stderr;
  }

  /**
   * Collects garbage in each process, in place of waiting until memory would be short: what is left is what they need.
   * The inspectors are opened the first time, and stay.
   */
  async collectGarbage(): Promise<void> {
    this.#urls ??= await this.#openInspectors();
    // Twice: what the first finds dead may hold the last reference to native memory.
    for (const url of this.#urls) await callAll(url, ['HeapProfiler.collectGarbage', 'HeapProfiler.collectGarbage']);
    await sleep(SETTLE_MS);
  }

  async #openInspectors(): Promise<string[]> {
    const tree = processTree(this.#rootPid);
    const deadline = performance.now() + INSPECTOR_PATIENCE_MS;
    for (const pid of tree) process.kill(pid, 'SIGUSR1');
    for (;;) {
      const urls = [...this.#stderr().matchAll(LISTENING)].map(([, url = '']) => url);
      if (urls.length === tree.length) return urls;
      if (performance.now() > deadline) throw new Error(`${urls.length} of ${tree.length} inspectors have opened`);
      await sleep(POLL_MS);
    }
  }
}

async function callAll(url: string, methods: readonly string[]): Promise<void> {
  const socket = new WebSocket(url);
  await event(socket, 'open');
  for (const [id, method] of methods.entries()) {
    const answered = event(socket, 'message');
    socket.send(JSON.stringify({ id, method }));
    await answered;
  }
  const closed = event(socket, 'close');
  socket.close();
  await closed;
}

function event(socket: WebSocket, name: 'open' | 'message' | 'close'): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.addEventListener(name, () => resolve(), { once: true });
    socket.addEventListener('error', () => reject(new Error('the inspector hung up')), { once: true });
  });
}
