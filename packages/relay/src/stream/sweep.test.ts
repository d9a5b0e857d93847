import { expect, test } from 'vitest';
import { Sweep, type Sweepable, TICK_MS, ticksOf } from './sweep.ts';

test('a deadline is called when its tick has come, again until it is moved, and never once deleted', async () => {
  let nowMs = 0;
  const sweep = new Sweep({ now: () => nowMs });
  let calls = 0;
  const entry: Sweepable = { deadlineTick: sweep.after(1000), onDeadline: () => (calls += 1) };
  try {
    sweep.add(entry);
    nowMs = 999;
    await expect.poll(() => sweep.tick).toBe(3);
    expect(calls).toBe(0);
    // The loop was blocked for long: the tick follows the clock.
    nowMs = 100_000;
    await expect.poll(() => calls, { timeout: 5000 }).toBeGreaterThan(1);
    entry.deadlineTick = sweep.after(60_000);
    expect(entry.deadlineTick).toBe(Math.floor(160_000 / TICK_MS) + 1);
    const before = calls;
    sweep.delete(entry);
    nowMs = 1_000_000;
    await expect.poll(() => sweep.tick, { timeout: 5000 }).toBe(4000);
    expect(calls).toBe(before);
  } finally {
    sweep.stop();
  }
});

test('a duration in ticks is never too short', () => {
  expect(ticksOf(0)).toBe(1);
  expect(ticksOf(1)).toBe(2);
  expect(ticksOf(TICK_MS)).toBe(2);
  expect(ticksOf(TICK_MS + 1)).toBe(3);
});
