import type { Plot } from './report.ts';

// The page shows what these two say, too, and takes their source for it: nothing outside of each function may be used in it.

/** A number to be read: whole from 1,000 on, with four digits below. */
export function formatValue(value: number): string {
  const digits = Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 };
  return new Intl.NumberFormat('en', digits).format(value);
}

/** A place on the x-axis: "1 h 30 min", "06:00" (a day later "06:00 +1 d"), or a number. */
export function formatX(kind: Plot['xKind'], x: number): string {
  if (kind === 'number') return new Intl.NumberFormat('en', { maximumSignificantDigits: 6 }).format(x);
  const sign = x < 0 ? '-' : '';
  const ms = Math.round(Math.abs(x) * 1000);
  const seconds = (ms % 60_000) / 1000;
  const minutes = Math.floor(ms / 60_000) % 60;
  const hours = Math.floor(ms / 3_600_000);
  if (kind === 'elapsed') {
    const parts = [hours > 0 ? `${hours} h` : '', minutes > 0 ? `${minutes} min` : '', seconds > 0 ? `${seconds} s` : ''];
    return sign + (parts.filter((part) => part !== '').join(' ') || '0 s');
  }
  const days = ms > 86_400_000 ? Math.floor(ms / 86_400_000) : 0;
  const two = (part: number) => String(Math.floor(part)).padStart(2, '0');
  const clock = `${two(hours - days * 24)}:${two(minutes)}${seconds > 0 ? `:${two(seconds)}` : ''}`;
  return `${sign}${clock}${days > 0 ? ` +${days} d` : ''}`;
}
