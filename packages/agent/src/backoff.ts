export interface BackoffInit {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * The pause in milliseconds after the `failures`-th failure in a row: doubling up to a limit, and drawn from its upper
 * half so that a thousand agents that failed together do not come back together. `random` gives numbers from 0 up to 1.
 */
export function pauseMs(failures: number, { firstMs, maxMs }: BackoffInit, random: () => number): number {
  const fullMs = Math.min(firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30), maxMs);
  return Math.round(fullMs * (0.5 + random() / 2));
}
