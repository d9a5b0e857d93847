import { RelayTable, type RelayTableInit, type Transition } from '../src/relay-table.ts';
import type { LoadReport } from '../src/load.ts';
import type { RelaySnapshot } from '../src/snapshot.ts';

/** The table of the original service: two shared servers once, three dedicated ones twice. */
export const ORIGIN_TABLE =
  '10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.3, 10.0.0.4, 10.0.0.4, 10.0.0.5, 10.0.0.5';

const IDLE: LoadReport = {
  loadPerCore: 0,
  hottestCore: 0,
  loopDelayMs: 0,
  sessions: 0,
  maxSessions: 1_000,
  bytesPerSecond: 0,
  bytesPerSecondLimit: 0,
  draining: false,
  unable: null,
};

export function report(changes: Partial<LoadReport> = {}): LoadReport {
  return { ...IDLE, ...changes };
}

/** A small generator with a seed (xorshift32), so that a run can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

/** A table with a clock that the test moves and a list of what happened. */
export class FakeSite {
  nowMs = 1_000_000;
  readonly transitions: Transition[] = [];
  readonly table: RelayTable;

  constructor(relays: RelayTableInit['relays'], settings: RelayTableInit['settings'] = {}, seed = 7) {
    this.table = new RelayTable(
      { clock: () => this.nowMs, random: seededRandom(seed), onTransition: (event) => this.transitions.push(event) },
      { relays, settings },
    );
  }

  get names(): string[] {
    return this.table.snapshot().relays.map((row) => row.name);
  }

  state(name: string): string {
    return this.row(name).state;
  }

  row(name: string): RelaySnapshot {
    const found = this.table.snapshot().relays.find((row) => row.name === name);
    if (found === undefined) throw new Error(`the table has no ${name}`);
    return found;
  }

  /** A second later every relay named reports; the others keep silent. */
  second(reports: Readonly<Record<string, Partial<LoadReport>>>): void {
    this.nowMs += 1_000;
    for (const [name, changes] of Object.entries(reports)) this.table.report(name, report(changes));
    this.table.tick();
  }

  /** A second later all relays report the same. */
  secondOfAll(changes: Partial<LoadReport> = {}): void {
    this.second(Object.fromEntries(this.names.map((name) => [name, changes])));
  }

  /** How often each relay is first in so many picks. */
  firsts(picks: number): Map<string, number> {
    const counts = new Map<string, number>(this.names.map((name) => [name, 0]));
    for (let i = 0; i < picks; i += 1) {
      const first = this.table.pick({ count: 1 }).relays[0];
      if (first !== undefined) counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    return counts;
  }
}
