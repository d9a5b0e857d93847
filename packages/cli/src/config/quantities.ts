import { z } from 'zod';

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = { B: 1, KB: 1000, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

interface Bounds {
  readonly min: string;
  readonly max: string;
}

/** A duration like `300ms`, `5s`, `10m`, `48h` or `30d`; milliseconds once parsed. */
export function duration(standard: string, bounds: Bounds) {
  const pattern = /^\d+(?:ms|s|m|h|d)$/u;
  return quantity(standard, bounds, pattern, DURATION_UNITS, 'a duration is a number with a unit: 300ms, 5s, 10m, 48h or 30d');
}

/** A size like `256KiB` or `25MB`; bytes once parsed. */
export function size(standard: string, bounds: Bounds) {
  const pattern = /^\d+(?:B|KB|MB|GB|KiB|MiB|GiB)$/u;
  return quantity(standard, bounds, pattern, SIZE_UNITS, 'a size is a number with a unit: 64KiB, 25MB or 1GiB');
}

function quantity(
  standard: string,
  { min, max }: Bounds,
  pattern: RegExp,
  units: Readonly<Record<string, number>>,
  form: string,
) {
  const scale = (text: string): number => Number.parseInt(text, 10) * (units[text.replace(/^\d+/u, '')] ?? Number.NaN);
  return z
    .string()
    .regex(pattern, form)
    .refine((text) => scale(text) >= scale(min) && scale(text) <= scale(max), `must be from ${min} to ${max}`)
    .transform(scale)
    .prefault(standard)
    .meta({ range: `${min} to ${max}` });
}
