import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves when `condition` holds; rejects, naming it, when it does not within `timeoutMs`. */
export async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition.toString()}`);
    await sleep(5);
  }
}
