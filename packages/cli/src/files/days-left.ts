export const DAY_MS = 86_400_000;
/** A site has a month to bring new certificates. */
export const CERTIFICATE_WARNING_DAYS = 30;

/** Whole days until then; below 0 once it is past. */
export function daysLeft(untilMs: number, nowMs: number): number {
  return Math.floor((untilMs - nowMs) / DAY_MS);
}
