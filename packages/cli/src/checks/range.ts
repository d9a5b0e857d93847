/** A range of Nagios: the values from `start` to `end` are good, or with `isInside` the bad ones. */
export interface Range {
  readonly start: number;
  readonly end: number;
  /** `@`: the alarm is raised inside instead of outside. */
  readonly isInside: boolean;
  /** As it was written, for the performance data. */
  readonly text: string;
}

const NUMBER = String.raw`-?\d+(?:\.\d+)?`;
const RANGE = new RegExp(`^(?<at>@)?(?:(?<start>${NUMBER}|~)?:)?(?<end>${NUMBER})?$`, 'u');

/**
 * Reads a threshold as monitoring plugins have it: `10` (0 to 10 is good), `10:` (10 and more), `~:10` (10 and less),
 * `10:20`, and `@10:20`, which alarms within.
 * @throws Error that says what a range is
 */
export function parseRange(text: string): Range {
  const groups = RANGE.exec(text)?.groups;
  const isEmpty = groups?.['start'] === undefined && groups?.['end'] === undefined;
  if (groups === undefined || isEmpty) throw new Error('a threshold is 10, 10:, ~:10, 10:20 or @10:20');
  const start = groups['start'] === '~' ? Number.NEGATIVE_INFINITY : Number(groups['start'] ?? 0);
  const end = groups['end'] === undefined ? Number.POSITIVE_INFINITY : Number(groups['end']);
  if (start > end) throw new Error('a threshold goes from the lower to the higher value');
  return { start, end, isInside: groups['at'] !== undefined, text };
}

/** Whether a value raises the alarm. */
export function isBreached(range: Range, value: number): boolean {
  const isIn = value >= range.start && value <= range.end;
  return isIn === range.isInside;
}
