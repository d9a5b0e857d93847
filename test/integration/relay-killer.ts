import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MeshSite } from '../kit/mesh.ts';
import { holders, type TcpSocket, tcpSockets } from '../kit/tcp-sockets.ts';
import { linesOf } from './session-logs.ts';

/** `worker`: the process that carries mail, which its supervisor replaces. `machine`: supervisor and all. */
type Victim = 'worker' | 'machine';

export interface RelayOfSite {
  readonly name: string;
  readonly address: string;
}

/** A supervisor waits longer each time before it replaces a worker: after so many the whole relay is killed. */
const WORKERS_PER_LIFE = 3;

/** Kills relays with SIGKILL, counts it, and starts again what nobody else would. */
export class RelayKiller {
  readonly kills: Record<Victim, number> = { worker: 0, machine: 0 };
  readonly relays: readonly RelayOfSite[];
  readonly #site: MeshSite;
  readonly #repairs = new Map<string, Promise<unknown>>();
  /** A process stays visible until its supervisor has heard of its end. */
  readonly #killed = new Set<number>();
  readonly #killedInThisLife = new Map<string, number>();

  constructor(site: MeshSite) {
    this.#site = site;
    this.relays = site.servers.filter(({ roles }) => roles.includes('relay'));
  }

  get total(): number {
    return this.kills.worker + this.kills.machine;
  }

  /** The process that carries mail for a relay, if it lives. */
  worker(relay: string): number | undefined {
    const supervisor = this.#site.process(relay, 'relay');
    const pid = Number(linesOf(supervisor, 'worker_ready').at(-1)?.['pid']);
    return !this.#killed.has(pid) && isInGroup(pid, supervisor.pid) ? pid : undefined;
  }

  /** The relay whose worker has a connection to this destination. */
  carrierTo(port: number): string | undefined {
    const sockets = tcpSockets().filter(({ remotePort }) => remotePort === port);
    return this.#holding(sockets)[0];
  }

  /** The relays to which agents are connected, by the kernel's own account: also those whose handshake is not done. */
  connected(): string[] {
    return this.#relaysWith(() => true);
  }

  /** Relays where a connection waits that was never accepted, with the agent's first words in it. */
  inHandshake(): string[] {
    return this.#relaysWith(({ inode, unreadBytes }) => inode === 0 && unreadBytes > 0);
  }

  /** Kills the worker of a relay, and now and then the whole relay. False when there is nothing to kill. */
  kill(relay: string): boolean {
    const pid = this.worker(relay);
    if (pid === undefined || this.#repairs.has(relay)) return false;
    const before = this.#killedInThisLife.get(relay) ?? 0;
    const victim: Victim = before < WORKERS_PER_LIFE ? 'worker' : 'machine';
    this.#killedInThisLife.set(relay, victim === 'worker' ? before + 1 : 0);
    this.#killed.add(pid);
    this.kills[victim] += 1;
    if (victim === 'worker') process.kill(pid, 'SIGKILL');
    else this.#repair(relay);
    return true;
  }

  /** Stops and continues the worker, as when a machine swaps. */
  freeze(relay: string): void {
    const pid = this.worker(relay);
    if (pid !== undefined) process.kill(pid, 'SIGSTOP');
  }

  thaw(relay: string): void {
    const pid = this.worker(relay);
    if (pid !== undefined) process.kill(pid, 'SIGCONT');
  }

  /** Resolves when at least so many relays have a worker. */
  async waitForWorkers(count: number): Promise<void> {
    const deadline = performance.now() + 30_000;
    while (this.relays.filter(({ name }) => this.worker(name) !== undefined).length < count) {
      if (performance.now() > deadline) throw new Error(`fewer than ${count} relays after 30 s`);
      await sleep(50);
    }
  }

  /** Resolves when every machine that was killed is up again. */
  async settle(): Promise<void> {
    while (this.#repairs.size > 0) await Promise.all(this.#repairs.values());
  }

  #holding(sockets: readonly TcpSocket[]): string[] {
    const workers = new Map(this.relays.flatMap(({ name }) => {
      const pid = this.worker(name);
      return pid === undefined ? [] : [[pid, name] as const];
    }));
    return holders([...workers.keys()], sockets).flatMap((pid) => workers.get(pid) ?? []);
  }

  #relaysWith(wanted: (socket: TcpSocket) => boolean): string[] {
    const sockets = tcpSockets().filter(({ localPort }) => localPort === this.#site.ports.relay);
    return this.relays
      .filter(({ address }) => sockets.some((socket) => socket.localAddress === address && wanted(socket)))
      .map(({ name }) => name);
  }

  #repair(relay: string): void {
    const repair = this.#site.killRole(relay, 'relay').then(() => this.#site.startRole(relay, 'relay'));
    this.#repairs.set(relay, repair.finally(() => this.#repairs.delete(relay)));
  }
}

/** Numbers of processes are used again: none but a process of this very relay may be killed. */
function isInGroup(pid: number, group: number): boolean {
  try {
    // After the name, which may hold anything: state, parent, process group.
    const [, , pgrp] = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /su, '').split(' ');
    return Number(pgrp) === group;
  } catch {
    return false;
  }
}
