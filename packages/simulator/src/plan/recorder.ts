import type { VirtualRelay } from './virtual-relay.ts';
import type { VirtualSite } from './virtual-site.ts';
import type { Tally } from './tally.ts';

/** The state of the mesh at one moment. */
export interface Sample {
  readonly atMs: number;
  /** By the index of the relay. */
  readonly clients: Int32Array;
  readonly sessions: Int32Array;
  readonly cpu: Float32Array;
  /** 1: it works, and its site is in DNS. */
  readonly inUse: Uint8Array;
  /** By the index of the site: 1 is all that the line can. */
  readonly line: Float32Array;
  /** Agents without a relay that works. */
  readonly astray: number;
  /** Sessions since the sample before. */
  readonly direct: number;
  readonly refused: number;
}

/** More would not be seen in any plot, and fills the memory with 1,500 relays. */
const MAX_SAMPLES = 2000;
/** A day in steps of five minutes. */
const REGULAR_SAMPLES = 288;
/** After a failure: how long how densely. */
const CLOSE_LOOK: readonly { readonly forMs: number; readonly everyMs: number }[] = [
  { forMs: 30_000, everyMs: 1000 },
  { forMs: 300_000, everyMs: 10_000 },
];

/** The times at which to look: evenly over the run, and closely after each failure. Ascending, at most MAX_SAMPLES. */
export function sampleTimes(startMs: number, durationMs: number, faultsMs: readonly number[]): number[] {
  const endMs = startMs + durationMs;
  const times = new Set(Array.from({ length: REGULAR_SAMPLES + 1 }, (_, index) => startMs + Math.round((durationMs * index) / REGULAR_SAMPLES)));
  for (const atMs of faultsMs) {
    if (times.size >= MAX_SAMPLES - 100) break;
    times.add(Math.max(startMs, atMs - 1));
    for (const { forMs, everyMs } of CLOSE_LOOK)
      for (let afterMs = everyMs; afterMs <= forMs; afterMs += everyMs) times.add(atMs + afterMs);
  }
  return [...times].filter((atMs) => atMs <= endMs).sort((a, b) => a - b);
}

/** Takes samples. */
export class Recorder {
  readonly samples: Sample[] = [];
  readonly #relays: readonly VirtualRelay[];
  readonly #sites: readonly VirtualSite[];
  readonly #tally: Tally;
  readonly #agents: number;
  #direct = 0;
  #refused = 0;

  constructor(components: { readonly relays: readonly VirtualRelay[]; readonly sites: readonly VirtualSite[]; readonly tally: Tally }, init: { readonly agents: number }) {
    this.#relays = components.relays;
    this.#sites = components.sites;
    this.#tally = components.tally;
    this.#agents = init.agents;
  }

  take(nowMs: number): void {
    const clients = Int32Array.from(this.#relays, (relay) => relay.clients);
    const { directSum, refusedSum } = this.#tally;
    this.samples.push({
      atMs: nowMs,
      clients,
      sessions: Int32Array.from(this.#relays, ({ sessions }) => sessions),
      cpu: Float32Array.from(this.#relays, ({ cpu }) => cpu),
      inUse: Uint8Array.from(this.#relays, ({ health, site }) => (health === 'up' && this.#sites[site]?.inZone === true ? 1 : 0)),
      line: Float32Array.from(this.#sites, ({ lineDemand }) => lineDemand),
      astray: this.#agents - clients.reduce((sum, count) => sum + count, 0),
      direct: directSum - this.#direct,
      refused: refusedSum - this.#refused,
    });
    this.#direct = directSum;
    this.#refused = refusedSum;
  }
}
