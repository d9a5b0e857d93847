/** Why an agent looks for another manager while it has, or had, one; a closed set, also a metric's label. */
export const MOVE_REASONS = [
  'newcomer', // DNS has one more
  'rehomed', // it was its turn to choose anew
  'slow', // the site answers much more slowly than it did
  'silent', // the manager is silent or gone
  'relays', // the manager answers, and none of its relays can be used
  'refused', // the manager said that it, or its site, cannot serve us
  'zone', // DNS does not have it any more
] as const;
export type MoveReason = (typeof MOVE_REASONS)[number];

/** Whether things could stay as they are: whoever says no then takes nothing away. */
export function isOptional(reason: MoveReason): boolean {
  return reason === 'newcomer' || reason === 'rehomed' || reason === 'slow';
}

/**
 * Whether an agent that has a manager moves to one of those that are new in the zone: all agents together give them the
 * share that they would have had from the start.
 */
export function followsNewcomers(gained: number, managers: number, random: () => number): boolean {
  return random() < gained / managers;
}
