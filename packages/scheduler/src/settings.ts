export type Policy = 'least-load' | 'weighted';

/** Every setting of the scheduler; docs/scheduling.md gives the reason for each default. */
export interface SchedulerSettings {
  readonly policy: Policy;
  /** Good reports in a row before a relay that was down or overloaded is used again. */
  readonly rise: number;
  /** Failed probes in a row before a relay is down. */
  readonly fall: number;
  /** Reports in a row at or over a limit before a relay is overloaded. */
  readonly overloadAfterReports: number;
  /** One-minute load average per core that counts as a load of 1. */
  readonly loadPerCoreLimit: number;
  /** Busy fraction of the hottest core that counts as a load of 1. */
  readonly hottestCoreLimit: number;
  /** Event-loop delay that counts as a load of 1. */
  readonly loopDelayLimitMs: number;
  /** An overloaded relay is back when its pressure is at or below this fraction of the limit. */
  readonly recoverFraction: number;
  /** A full relay is back when its sessions are at or below this fraction of its cap. */
  readonly fullRecoverFraction: number;
  /** Up to this age a report counts as it is; from here to `staleAfterMs` its load rises linearly to 1. */
  readonly freshForMs: number;
  /** A relay whose last report is older is stale. */
  readonly staleAfterMs: number;
  /** A relay whose last report is older is down, whatever the probes say. */
  readonly downAfterMs: number;
  /** A relay that comes back gets its weight linearly over this time; 0 switches slow start off. */
  readonly slowStartMs: number;
  /** The fraction of its weight with which slow start begins. */
  readonly slowStartFloor: number;
  /** Fewer usable relays than this fraction of the table: marks `overloaded` and `stale` are distrusted. 0: never. */
  readonly panicFraction: number;
  /** An agent keeps its relay while the relay's load is at most this much above the best one's. */
  readonly keepMargin: number;
  /** The load one hand-out adds until the next report, for a relay that has the whole weight of the table. */
  readonly handOutLoad: number;
  /** Differences of load up to about this size are noise; below it the turn by weight decides. */
  readonly tieLoad: number;
  /** Whatever its load, a relay that is up gets at least this fraction of its share by weight. */
  readonly minShareFraction: number;
}

export const DEFAULT_SETTINGS: SchedulerSettings = {
  policy: 'least-load',
  rise: 2,
  fall: 3,
  overloadAfterReports: 2,
  loadPerCoreLimit: 2,
  hottestCoreLimit: 0.95,
  loopDelayLimitMs: 200,
  recoverFraction: 0.8,
  fullRecoverFraction: 0.95,
  freshForMs: 1_500,
  staleAfterMs: 3_000,
  downAfterMs: 10_000,
  slowStartMs: 30_000,
  slowStartFloor: 0.05,
  panicFraction: 0.25,
  keepMargin: 0.2,
  handOutLoad: 0.02,
  tieLoad: 0.02,
  minShareFraction: 0.05,
};

type NumericSetting = Exclude<keyof SchedulerSettings, 'policy'>;

const COUNTS: readonly NumericSetting[] = ['rise', 'fall', 'overloadAfterReports'];
const POSITIVE: readonly NumericSetting[] = [
  'loadPerCoreLimit',
  'hottestCoreLimit',
  'loopDelayLimitMs',
  'staleAfterMs',
  'downAfterMs',
  'handOutLoad',
  'tieLoad',
];
const NOT_NEGATIVE: readonly NumericSetting[] = ['freshForMs', 'slowStartMs', 'keepMargin'];
const FRACTIONS_ABOVE_ZERO: readonly NumericSetting[] = ['recoverFraction', 'fullRecoverFraction', 'slowStartFloor'];
const FRACTIONS: readonly NumericSetting[] = ['panicFraction', 'minShareFraction'];

/**
 * The defaults with the given settings in their place.
 *
 * @throws RangeError naming the setting that is out of its range or contradicts another one.
 */
export function schedulerSettings(given: Partial<SchedulerSettings> = {}): SchedulerSettings {
  const settings = { ...DEFAULT_SETTINGS, ...given };
  const demand = (names: readonly NumericSetting[], allowed: string, holds: (value: number) => boolean): void => {
    for (const name of names) {
      if (!Number.isFinite(settings[name]) || !holds(settings[name])) {
        throw new RangeError(`${name} is ${settings[name]}: ${allowed} is allowed`);
      }
    }
  };
  demand(COUNTS, 'a whole number from 1', (value) => Number.isInteger(value) && value >= 1);
  demand(POSITIVE, 'a number above 0', (value) => value > 0);
  demand(NOT_NEGATIVE, 'a number from 0', (value) => value >= 0);
  demand(FRACTIONS_ABOVE_ZERO, 'a number above 0 and at most 1', (value) => value > 0 && value <= 1);
  demand(FRACTIONS, 'a number from 0 to 1', (value) => value >= 0 && value <= 1);
  if (settings.freshForMs >= settings.staleAfterMs || settings.staleAfterMs >= settings.downAfterMs) {
    throw new RangeError('freshForMs < staleAfterMs < downAfterMs must hold');
  }
  return settings;
}
