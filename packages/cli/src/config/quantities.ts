import { z } from 'zod';

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS = { B: 1, KB: 1000, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** A duration like `300ms`, `5s`, `10m`, `48h` or `30d`; milliseconds once parsed. */
export function duration(minMs: number, maxMs: number) {
  return z
    .string()
    .regex(/^\d+(?:ms|s|m|h|d)$/u, 'a duration is a number with a unit: 300ms, 5s, 10m, 48h or 30d')
    .transform((text) => scale(text, DURATION_UNITS))
    .refine((ms) => ms >= minMs && ms <= maxMs, `must be from ${showDuration(minMs)} to ${showDuration(maxMs)}`);
}

/** A size like `256KiB` or `25MB`; bytes once parsed. */
export function size(minBytes: number, maxBytes: number) {
  return z
    .string()
    .regex(/^\d+(?:B|KB|MB|GB|KiB|MiB|GiB)$/u, 'a size is a number with a unit: 64KiB, 25MB or 1GiB')
    .transform((text) => scale(text, SIZE_UNITS))
    .refine((bytes) => bytes >= minBytes && bytes <= maxBytes, `must be from ${minBytes} to ${maxBytes} bytes`);
}

function scale(text: string, units: Readonly<Record<string, number>>): number {
  const number = Number.parseInt(text, 10);
  return number * (units[text.replace(/^\d+/u, '')] ?? Number.NaN);
}

function showDuration(ms: number): string {
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms >= DURATION_UNITS[unit] && ms % DURATION_UNITS[unit] === 0) return `${ms / DURATION_UNITS[unit]}${unit}`;
  }
  return `${ms}ms`;
}
