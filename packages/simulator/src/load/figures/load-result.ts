import type { RefusalCode } from '@sekisho/wire';
import type { WorkerOutcome } from '../messages.ts';
import { Histogram } from './histogram.ts';
import { type Balance, balance } from './ledger.ts';
import { type ErrorCount, type Phase, PHASES } from './tally.ts';
import { type Quantiles, quantilesMs, type Second } from './timeline.ts';

/** What a run has come to: `sekisho load --json` prints this, and docs/load.md describes it. Milliseconds, bytes, seconds. */
export interface LoadResult {
  readonly version: 1;
  readonly startedAt: string;
  /** Somebody ended it before its time. */
  readonly interrupted: boolean;
  /** Nothing lost, nothing altered, and nothing there twice: the clients send each mail once. */
  readonly ok: boolean;
  readonly conditions: Readonly<Record<string, string>>;
  /** What the figures are of: the time after the warm-up. */
  readonly measuredSeconds: number;
  readonly warmUpSeconds: number;
  readonly sessions: { readonly completed: number; readonly failed: number; readonly perSecond: number };
  readonly mails: { readonly sent: number; readonly fetched: number };
  readonly phases: Readonly<Record<Phase, (Quantiles & { readonly count: number; readonly mean: number }) | null>>;
  readonly throughput: {
    readonly upBytesPerSecond: number;
    readonly downBytesPerSecond: number;
    /** Null with an open loop, where no client lasts. */
    readonly perClientBytesPerSecond: { readonly min: number; readonly p50: number; readonly max: number } | null;
  };
  readonly processes: readonly ProcessFigures[];
  readonly errors: readonly ErrorCount[];
  readonly refusals: readonly { readonly code: RefusalCode; readonly count: number }[];
  readonly direct: readonly { readonly reason: string; readonly count: number }[];
  /** Of the whole run, warm-up and end included, as are errors, refusals and direct. */
  readonly inAll: { readonly completed: number; readonly failed: number };
  readonly ledger: Balance;
  readonly perSecond: readonly Second[];
}

/** What one watched process, with its descendants, has used in the time that was measured. */
export interface ProcessFigures {
  readonly name: string;
  readonly cpuSeconds: number;
  readonly cpuSecondsPerThousandSessions: number | null;
  readonly cpuSecondsPerGB: number | null;
  readonly residentBytes: { readonly start: number; readonly max: number; readonly end: number };
  /** At the end; 0: it had ended. */
  readonly processes: number;
}

export interface ResultInit {
  readonly startedAt: Date;
  readonly interrupted: boolean;
  readonly conditions: Readonly<Record<string, string>>;
  readonly measuredSeconds: number;
  readonly warmUpSeconds: number;
  readonly hasClients: boolean;
  readonly outcomes: readonly WorkerOutcome[];
  readonly usage: readonly Pick<ProcessFigures, 'name' | 'cpuSeconds' | 'residentBytes' | 'processes'>[];
  readonly perSecond: readonly Second[];
}

const GB = 1e9;
const US_PER_MS = 1000;

/** Adds up what all load processes have counted. */
export function loadResult(init: ResultInit): LoadResult {
  const { outcomes, measuredSeconds } = init;
  const tallies = outcomes.map(({ tally }) => tally);
  const sum = (of: (one: (typeof tallies)[number]) => number): number => tallies.reduce((total, one) => total + of(one), 0);
  const completed = sum(({ sessions }) => sessions);
  const [bytesUp, bytesDown] = [sum((one) => one.bytesUp), sum((one) => one.bytesDown)];
  const ledger = balance(outcomes.map((one) => one.ledger));
  return {
    version: 1,
    startedAt: init.startedAt.toISOString(),
    interrupted: init.interrupted,
    ok: ledger.up.lost === 0 && ledger.up.duplicate === 0 && ledger.up.altered === 0 && ledger.down.altered === 0,
    conditions: init.conditions,
    measuredSeconds,
    warmUpSeconds: init.warmUpSeconds,
    sessions: { completed, failed: sum(({ failed }) => failed), perSecond: completed / measuredSeconds },
    mails: { sent: sum(({ mailsUp }) => mailsUp), fetched: sum(({ mailsDown }) => mailsDown) },
    phases: Object.fromEntries(PHASES.map((phase) => [phase, phaseFigures(outcomes, phase)])) as LoadResult['phases'],
    throughput: {
      upBytesPerSecond: bytesUp / measuredSeconds,
      downBytesPerSecond: bytesDown / measuredSeconds,
      perClientBytesPerSecond: init.hasClients ? spread(outcomes.flatMap(({ clientRates }) => [...clientRates])) : null,
    },
    processes: init.usage.map((usage) => ({
      ...usage,
      cpuSecondsPerThousandSessions: completed === 0 ? null : (usage.cpuSeconds / completed) * 1000,
      cpuSecondsPerGB: bytesUp + bytesDown === 0 ? null : (usage.cpuSeconds / (bytesUp + bytesDown)) * GB,
    })),
    errors: addUp(tallies.flatMap(({ errors }) => errors), ({ code, stage }) => `${code} ${stage}`),
    refusals: addUp(tallies.flatMap(({ refusals }) => refusals), ({ code }) => code),
    direct: addUp(tallies.flatMap(({ direct }) => direct), ({ reason }) => reason),
    inAll: { completed: sum(({ sessionsInAll }) => sessionsInAll), failed: sum(({ failedInAll }) => failedInAll) },
    ledger,
    perSecond: init.perSecond,
  };
}

function phaseFigures(outcomes: readonly WorkerOutcome[], phase: Phase): LoadResult['phases'][Phase] {
  const histogram = new Histogram();
  for (const { tally } of outcomes) histogram.merge(tally.phases[phase]);
  const quantiles = quantilesMs(histogram);
  return quantiles === null ? null : { ...quantiles, count: histogram.count, mean: histogram.mean / US_PER_MS };
}

function spread(rates: readonly number[]): { min: number; p50: number; max: number } | null {
  const sorted = [...rates].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)] ?? 0;
  return sorted.length === 0 ? null : { min: at(0), p50: at(0.5), max: at(1) };
}

/** Sums up the counts of what has the same name; the most frequent first. */
function addUp<T extends { readonly count: number }>(counts: readonly T[], nameOf: (one: T) => string): T[] {
  const sums = new Map<string, T>();
  for (const one of counts) sums.set(nameOf(one), { ...one, count: (sums.get(nameOf(one))?.count ?? 0) + one.count });
  return [...sums.values()].sort((a, b) => b.count - a.count || nameOf(a).localeCompare(nameOf(b)));
}
