import type { UninspectedCause, ViolationCode } from '@sekisho/inspect';
import type { UnscannableCause } from '../scan/scanner.ts';
import type { InspectedProtocol, Verdict } from './inspection.ts';
import type { Action } from './policy.ts';

/** What can be found in a message; a session that is not inspected has none. */
export const VERDICTS = ['clean', 'infected', 'unscannable'] as const;
export type VerdictKind = (typeof VERDICTS)[number];
type ByVerdict = Partial<Record<VerdictKind, number>>;

/** What inspection has found since the last report. */
export interface InspectionCounts {
  readonly verdicts: Readonly<Record<InspectedProtocol, ByVerdict>>;
  readonly unscannable: Partial<Record<UnscannableCause, number>>;
  readonly actions: Partial<Record<Action, number>>;
  /** Sessions. */
  readonly uninspected: Partial<Record<UninspectedCause, number>>;
  readonly violations: Partial<Record<ViolationCode, number>>;
  readonly bytes: number;
  readonly scanMs: readonly number[];
}

/** A report carries each scan's time; beyond this many in one interval, the rest is left out of the histogram. */
const MAX_SCAN_TIMES = 1000;

/** The counters of a worker's inspection. They are added to at each message, and taken away with each report. */
export class InspectionTally {
  #counts = nothing();

  verdict(protocol: InspectedProtocol, { result, action, bytes, scanMs }: Verdict): void {
    const counts = this.#counts;
    count(counts.verdicts[protocol], result.kind);
    count(counts.actions, action);
    if (result.kind === 'unscannable') count(counts.unscannable, result.cause);
    counts.bytes += bytes;
    if (counts.scanMs.length < MAX_SCAN_TIMES) counts.scanMs.push(scanMs);
  }

  uninspected(cause: UninspectedCause): void {
    count(this.#counts.uninspected, cause);
  }

  violation(code: ViolationCode): void {
    count(this.#counts.violations, code);
  }

  take(): InspectionCounts {
    const counts = this.#counts;
    this.#counts = nothing();
    return counts;
  }
}

/** Messages with this verdict, of both protocols. */
export function totalOf({ verdicts }: InspectionCounts, verdict: VerdictKind): number {
  return (verdicts.smtp[verdict] ?? 0) + (verdicts.pop3[verdict] ?? 0);
}

/** Sessions that passed unseen, for whatever cause. */
export function uninspectedOf({ uninspected }: InspectionCounts): number {
  return Object.values(uninspected).reduce((sum, number) => sum + number, 0);
}

function count<K extends string>(counts: Partial<Record<K, number>>, key: K): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

function nothing() {
  const verdicts: Record<InspectedProtocol, ByVerdict> = { smtp: {}, pop3: {} };
  const unscannable: Partial<Record<UnscannableCause, number>> = {};
  const actions: Partial<Record<Action, number>> = {};
  const uninspected: Partial<Record<UninspectedCause, number>> = {};
  const violations: Partial<Record<ViolationCode, number>> = {};
  const scanMs: number[] = [];
  return { verdicts, unscannable, actions, uninspected, violations, bytes: 0, scanMs };
}
