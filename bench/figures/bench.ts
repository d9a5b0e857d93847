import { setTimeout as sleep } from 'node:timers/promises';
import { CpuMeter } from '../cpu.ts';
import type { Candidate, Figure } from '../figure.ts';
import type { Bulk } from '../load/bulk.ts';
import type { Lane } from '../peers/lane.ts';
import type { Ours } from '../peers/ours.ts';
import { median, spread } from '../statistics.ts';

/** What a group of figures is measured with. */
export interface Bench {
  readonly ours: Ours;
  /** Those that are here, ours first. */
  readonly lanes: readonly Lane[];
  /** Proxies that speak SMTP, and carry nothing else. */
  readonly smtpProxies: readonly Lane[];
  readonly smtpSink: { readonly port: number; readonly pid: number };
  readonly bulk: Bulk;
  readonly isQuick: boolean;
  readonly rounds: number;
  /** One more of ours, that has done nothing yet; whoever asks for it stops it. */
  startOurs(): Promise<Ours>;
  /** Something that a reader of the report must know. */
  note(text: string): void;
}

/** Figures that are measured together. */
export interface FigureGroup {
  /** The names of its figures, or what they begin with. */
  readonly names: readonly string[];
  measure(bench: Bench): Promise<Figure[]>;
}

/** One measurement of one lane. */
export interface Sample {
  readonly seconds: number;
  /** CPU seconds of each half. */
  readonly cpu: { readonly relay?: number; readonly agent?: number };
}

/** Sessions end at a proxy a moment after their client has gone. */
const SETTLE_MS = 100;

/** Measures the CPU of a lane's halves while a load runs; the load returns its seconds. */
export async function measureCpu(lane: Pick<Lane, 'halves'>, load: () => Promise<number>): Promise<Sample> {
  const { relay, agent } = lane.halves;
  const meters = { relay: relay === undefined ? undefined : new CpuMeter(relay), agent: agent === undefined ? undefined : new CpuMeter(agent) };
  const seconds = await load();
  await sleep(SETTLE_MS);
  const cpu = { relay: meters.relay?.stop(), agent: meters.agent?.stop() };
  return { seconds, cpu: Object.fromEntries(Object.entries(cpu).filter(([, value]) => value !== undefined)) };
}

const COMPILES: ReadonlySet<Candidate> = new Set(['ours', 'haraka']);
const SHARE_TO_BEGIN = 0.1;

/** How much of a load comes before it is measured: as much again where code is compiled while it runs, else a tenth. */
export function warmUpOf(name: Candidate, count: number): number {
  return COMPILES.has(name) ? count : Math.ceil(count * SHARE_TO_BEGIN);
}

/** Measures the lanes in turns, so that a machine that grows slower does so for all; what each gave, round by round. */
export async function inTurns<L extends { readonly name: Candidate }, T>(
  lanes: readonly L[],
  rounds: number,
  measure: (lane: L) => Promise<T>,
): Promise<Map<L, T[]>> {
  const results = new Map<L, T[]>(lanes.map((lane) => [lane, []]));
  for (let round = 0; round < rounds; round += 1) for (const lane of lanes) results.get(lane)?.push(await measure(lane));
  return results;
}

/** A figure of the medians of what `read` finds in the samples; lanes in which it finds nothing are left out. */
export function figureOf<T>(
  init: { readonly name: string; readonly unit: string },
  results: ReadonlyMap<{ readonly name: Candidate }, readonly T[]>,
  read: (sample: T) => number | undefined,
): Figure {
  const values: Partial<Record<Candidate, number>> = {};
  const spreads: Partial<Record<Candidate, number>> = {};
  for (const [{ name }, samples] of results) {
    const found = samples.map(read).filter((value) => value !== undefined);
    if (found.length === 0) continue;
    values[name] = median(found);
    spreads[name] = spread(found);
  }
  return { ...init, values, spreads };
}

/** The CPU of both halves together, where there are two. */
export function chainCpu({ cpu }: Sample): number | undefined {
  return cpu.relay === undefined || cpu.agent === undefined ? undefined : cpu.relay + cpu.agent;
}
