const SECOND_MS = 1000;
const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;
/** Two of a unit are said in the smaller one: `90 s` says more than `1 min`. */
const ENOUGH = 2;

/** How long ago something was, in the unit that people would use. */
export function ago(atMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / SECOND_MS));
  if (seconds < ENOUGH * MINUTE_S) return `${seconds} s ago`;
  if (seconds < ENOUGH * HOUR_S) return `${Math.round(seconds / MINUTE_S)} min ago`;
  if (seconds < ENOUGH * DAY_S) return `${Math.round(seconds / HOUR_S)} h ago`;
  return `${Math.round(seconds / DAY_S)} days ago`;
}
