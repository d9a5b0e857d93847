import { setTimeout as sleep } from 'node:timers/promises';

/** Far above what any of the awaited things takes, on a busy machine too. */
const PATIENCE_MS = 10_000;

/** Waits until `condition` holds. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`did not happen: ${what}`);
    await sleep(10);
  }
}

/** Milliseconds that `work` took, and what it failed with, if it did. */
export async function timed(work: Promise<unknown>): Promise<{ tookMs: number; error: unknown }> {
  const start = performance.now();
  let error: unknown;
  try {
    await work;
  } catch (failure) {
    error = failure;
  }
  return { tookMs: performance.now() - start, error };
}
