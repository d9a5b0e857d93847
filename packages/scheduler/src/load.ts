import type { SchedulerSettings } from './settings.ts';

/** What a relay says about itself in answer to a probe. */
export interface LoadReport {
  /** One-minute load average divided by the number of cores. */
  readonly loadPerCore: number;
  /** Busy fraction of the busiest core, 0 to 1. */
  readonly hottestCore: number;
  readonly loopDelayMs: number;
  readonly sessions: number;
  /** 0: the relay has no cap. */
  readonly maxSessions: number;
  readonly bytesPerSecond: number;
  /** 0: what the line can carry is not known. */
  readonly bytesPerSecondLimit: number;
  readonly draining: boolean;
  /** Why the relay cannot do its work (no workers, no descriptors, DNS dead), or null. */
  readonly unable: string | null;
}

export type LoadComponent = 'loadPerCore' | 'hottestCore' | 'loopDelay' | 'bytesPerSecond' | 'sessions';

/** A report in fractions of the limits: 1 is at the limit. */
export interface Load {
  readonly components: Readonly<Record<LoadComponent, number>>;
  /** The largest component. */
  readonly score: number;
  /** The largest component without the sessions, which have a state of their own (`full`). */
  readonly pressure: number;
  readonly pressureBy: LoadComponent;
}

/** What a nonsensical figure (NaN, infinite) counts as, and the most any figure counts: finite, so it can be printed. */
const MAX_RATIO = 100;

/** `value` in units of `limit`; 0 where there is no limit. A relay that reports nonsense is not believed to be idle. */
function ratio(value: number, limit: number): number {
  if (Number.isNaN(value) || Number.isNaN(limit)) return MAX_RATIO;
  if (limit <= 0 || value <= 0) return 0;
  const quotient = value / limit;
  return quotient < MAX_RATIO ? quotient : MAX_RATIO;
}

/**
 * The load of a relay as the *largest* of its components. A sum or a mean would hide the one that is exhausted: load
 * average does not count waiting on the network, and a mean over cores hides a core that is saturated.
 */
export function loadOf(report: LoadReport, settings: SchedulerSettings): Load {
  const components = {
    loadPerCore: ratio(report.loadPerCore, settings.loadPerCoreLimit),
    hottestCore: ratio(report.hottestCore, settings.hottestCoreLimit),
    loopDelay: ratio(report.loopDelayMs, settings.loopDelayLimitMs),
    bytesPerSecond: ratio(report.bytesPerSecond, report.bytesPerSecondLimit),
    sessions: ratio(report.sessions, report.maxSessions),
  };
  let pressureBy: LoadComponent = 'loadPerCore';
  if (components.hottestCore > components[pressureBy]) pressureBy = 'hottestCore';
  if (components.loopDelay > components[pressureBy]) pressureBy = 'loopDelay';
  if (components.bytesPerSecond > components[pressureBy]) pressureBy = 'bytesPerSecond';
  const pressure = components[pressureBy];
  return { components, pressure, pressureBy, score: Math.max(pressure, components.sessions) };
}

/**
 * The load of a report of this age. Nobody knows what an old report is worth, and a relay that has not answered for a
 * while is rather busy than idle: between `freshForMs` and `staleAfterMs` it rises to 1.
 */
export function agedScore(score: number, ageMs: number, settings: SchedulerSettings): number {
  if (score >= 1 || ageMs <= settings.freshForMs) return score;
  const doubt = (ageMs - settings.freshForMs) / (settings.staleAfterMs - settings.freshForMs);
  return score + (1 - score) * Math.min(1, doubt);
}
