import type { Plot } from './report.ts';

const SECONDS_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400] as const;

/** Round places from `low` to `high` (both inside), about `count` of them. */
export function ticks(low: number, high: number, count: number, kind: Plot['xKind'] = 'number'): number[] {
  const step = stepOf((high - low) / Math.max(1, count), kind);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  // A product and not a sum, and rounded: 3 * 0.1 is not 0.3.
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** The smallest round step that is at least `raw`. */
export function stepOf(raw: number, kind: Plot['xKind'] = 'number'): number {
  const seconds = kind === 'number' || raw < 1 ? undefined : SECONDS_STEPS.find((step) => step >= raw);
  if (seconds !== undefined) return seconds;
  const unit = kind !== 'number' && raw >= 1 ? 86_400 : 1;
  const power = 10 ** Math.floor(Math.log10(raw / unit));
  return unit * power * ([1, 2, 5, 10].find((factor) => factor * power * unit >= raw * (1 - 1e-9)) ?? 10);
}
