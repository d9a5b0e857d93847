import type { RelayState } from './health.ts';
import type { LoadComponent } from './load.ts';
import type { Row } from './row.ts';
import type { Policy } from './settings.ts';

export interface RelaySnapshot {
  readonly name: string;
  readonly state: RelayState;
  /** When the state was entered, by the table's clock. */
  readonly sinceMs: number;
  readonly reason: string;
  readonly weight: {
    readonly configured: number;
    /** Null: the operator has set none. */
    readonly override: number | null;
    /** After override and slow start; 0 while the relay is out of the rotation. */
    readonly effective: number;
  };
  /** The part of new agents its weight gives it now, 0 to 1. */
  readonly share: number;
  /** Fractions of the limits, or null before the first report. */
  readonly load: Readonly<Record<LoadComponent, number>> | null;
  /** The largest of them. */
  readonly score: number | null;
  readonly sessions: number | null;
  readonly maxSessions: number | null;
  readonly reportAgeMs: number | null;
  readonly handedOut: number;
  readonly handedOutSinceReport: number;
  /** Renewals that left an agent where it was. */
  readonly kept: number;
}

export interface TableSnapshot {
  readonly policy: Policy;
  /** Marks `overloaded` and `stale` are distrusted at present. */
  readonly panic: boolean;
  readonly relays: readonly RelaySnapshot[];
}

export function snapshotOf(
  rows: readonly Row[],
  at: { policy: Policy; panic: boolean; weightSum: number; nowMs: number },
): TableSnapshot {
  return { policy: at.policy, panic: at.panic, relays: rows.map((row) => relaySnapshot(row, at)) };
}

function relaySnapshot(row: Row, at: { weightSum: number; nowMs: number }): RelaySnapshot {
  const { state, sinceMs, reason, report, load, reportAtMs } = row.health;
  return {
    name: row.name,
    state,
    sinceMs,
    reason,
    weight: { configured: row.configuredWeight, override: row.overrideWeight, effective: row.effectiveWeight },
    share: row.effectiveWeight > 0 ? row.effectiveWeight / at.weightSum : 0,
    load: load?.components ?? null,
    score: load?.score ?? null,
    sessions: report?.sessions ?? null,
    maxSessions: report?.maxSessions ?? null,
    reportAgeMs: report === null ? null : at.nowMs - reportAtMs,
    handedOut: row.handedOut,
    handedOutSinceReport: row.handedOutSinceReport,
    kept: row.kept,
  };
}
