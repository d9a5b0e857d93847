/** Figures as people read them at a glance. */

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `7 s`, `12 min`, `5 h`, `3 d`. */
export function age(ms: number): string {
  if (ms < MINUTE_MS) return `${Math.max(0, Math.floor(ms / SECOND_MS))} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  return ms < 2 * DAY_MS ? `${Math.floor(ms / HOUR_MS)} h` : `${Math.floor(ms / DAY_MS)} d`;
}

/** `0 B/s`, `12 kB/s`, `3.4 MB/s`: three digits at most before the point, one behind it below ten. */
export function rate(bytesPerSecond: number): string {
  const units = ['B/s', 'kB/s', 'MB/s', 'GB/s'];
  let value = bytesPerSecond;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}

/** With thin spaces between thousands. */
export function count(value: number): string {
  return String(value).replaceAll(/\B(?=(?:\d{3})+$)/gu, '\u2009');
}

/** `14:03:09`, UTC. @param at milliseconds since 1970 */
export function clockTime(at: number): string {
  return new Date(at).toISOString().slice(11, 19);
}
