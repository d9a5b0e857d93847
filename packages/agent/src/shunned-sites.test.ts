import { expect, test } from 'vitest';
import { ShunnedSites } from './shunned-sites.ts';

const MINUTE_MS = 60_000;
const make = (): ShunnedSites => new ShunnedSites({ random: () => 1 - Number.EPSILON });

test('longer each time, up to two hours; forgotten an hour after the pause', () => {
  const shunned = make();
  let nowMs = 0;
  for (const minutes of [10, 20, 40, 80, 120, 120]) {
    shunned.shun(nowMs, 'tokyo-1');
    expect(shunned.list(nowMs)).toEqual([{ site: 'tokyo-1', untilMs: nowMs + minutes * MINUTE_MS }]);
    nowMs += minutes * MINUTE_MS;
    expect([shunned.has(nowMs - 1, 'tokyo-1'), shunned.has(nowMs, 'tokyo-1')]).toEqual([true, false]);
  }
  nowMs += 60 * MINUTE_MS;
  shunned.shun(nowMs, 'tokyo-1');
  expect(shunned.list(nowMs)[0]?.untilMs).toBe(nowMs + 10 * MINUTE_MS);
});

test('a last resort after a tenth of the pause', () => {
  const shunned = make();
  shunned.shun(0, 'tokyo-1');
  expect([shunned.isBarred(MINUTE_MS - 1, 'tokyo-1'), shunned.isBarred(MINUTE_MS, 'tokyo-1'), shunned.isBarred(0, 'osaka-1')]).toEqual([true, false, false]);
});

test('32 sites; the one whose pause ends first makes room', () => {
  const shunned = make();
  for (let index = 0; index < 33; index += 1) shunned.shun(index, `site-${index}`);
  expect(shunned.list(40)).toHaveLength(32);
  expect([shunned.has(40, 'site-0'), shunned.has(40, 'site-1'), shunned.has(40, 'site-32')]).toEqual([false, true, true]);
});
