import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../kit/mails.ts';
import type { LabSite } from './site.ts';

/** As systemd would with RestartSec=1. */
const RESTART_AFTER_MS = 1000;

/** SIGKILL to one process after the other: roles, their workers, Redis, clamd. What it kills is started again a second later. */
export class RandomKiller {
  readonly #sites: readonly LabSite[];
  readonly #random: () => number;
  readonly #counts = new Map<string, number>();
  readonly #restarts = new Set<Promise<void>>();

  constructor(sites: readonly LabSite[], init: { seed: number }) {
    this.#sites = sites;
    this.#random = seededRandom(init.seed);
  }

  /** How many of each kind. */
  get told(): string {
    return [...this.#counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  }

  killOne(): void {
    const site = this.#pick(this.#sites);
    const targets = [
      ...site.units.flatMap((unit) => {
        const { process: child } = unit;
        if (child?.running !== true) return [];
        // Only the one process, not its group: what is left of a role must find out by itself.
        const own = { kind: unit.role as string, kill: () => void process.kill(child.pid, 'SIGKILL') };
        const workers = childrenOf(child.pid).map((pid) => ({ kind: `worker of ${unit.role}`, kill: () => void process.kill(pid, 'SIGKILL') }));
        return [own, ...workers];
      }),
      { kind: 'redis', kill: () => this.#restart(site.redis) },
      ...site.scanners.map((scanner) => ({ kind: 'clamd', kill: () => this.#restart(scanner) })),
    ];
    const { kind, kill } = this.#pick(targets);
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    try {
      kill();
    } catch {
      // It has ended by itself.
    }
  }

  /** Resolves when what it killed is started again. */
  async settle(): Promise<void> {
    await Promise.all(this.#restarts);
  }

  #restart(server: { kill(): Promise<void>; restart(): Promise<void> }): void {
    const restart = server
      .kill()
      .then(() => sleep(RESTART_AFTER_MS))
      .then(() => server.restart())
      // Killed again meanwhile; the last one to try brings it back.
      .catch(() => undefined)
      .finally(() => this.#restarts.delete(restart));
    this.#restarts.add(restart);
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#random() * from.length)];
    if (picked === undefined) throw new Error('there is nothing to pick from');
    return picked;
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean).map(Number));
  } catch {
    return [];
  }
}
