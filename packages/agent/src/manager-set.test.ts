import { expect, test } from 'vitest';
import { ManagerSet } from './manager-set.ts';
import { seeded } from './testing/virtual-mesh.ts';

const make = (...addresses: string[]): ManagerSet => {
  const set = new ManagerSet({ random: seeded(1) }, { retry: { firstMs: 1000, maxMs: 60_000 } });
  set.update(addresses);
  return set;
};

test('the order is random: each is first in its share of the time', () => {
  const set = make('a', 'b', 'c');
  const firsts = new Map<string, number>();
  for (let i = 0; i < 3000; i += 1) {
    const [first] = set.candidates(0);
    firsts.set(first!, (firsts.get(first!) ?? 0) + 1);
  }
  for (const count of firsts.values()) expect(count).toBeGreaterThan(850);
  expect(firsts.size).toBe(3);
});

test('a dead one comes last, and only when its pause is over', () => {
  const set = make('a', 'b', 'c');
  set.failed('a', 0, 'silent');
  for (let i = 0; i < 20; i += 1) expect([...set.candidates(0)].sort()).toEqual(['b', 'c']);
  for (let i = 0; i < 20; i += 1) expect([...set.candidates(1000)].at(-1)).toBe('a');
});

test('pauses grow, with jitter, up to the limit', () => {
  const set = make('a');
  const pauses: number[] = [];
  for (let i = 0; i < 12; i += 1) {
    set.failed('a', 0, 'silent');
    pauses.push(set.nextRetryAtMs(() => false));
  }
  for (const [i, pause] of pauses.entries()) {
    const full = Math.min(1000 * 2 ** i, 60_000);
    expect(pause).toBeGreaterThanOrEqual(full / 2);
    expect(pause).toBeLessThanOrEqual(full);
  }
  expect(new Set(pauses.slice(6)).size).toBeGreaterThan(3);
});

test('alive again after two good answers to probes, or one lease', () => {
  const set = make('a', 'b');
  set.failed('a', 0, 'silent');
  set.good('a', 1000);
  expect(set.isAlive('a')).toBe(false);
  // Should the living not answer, it is asked all the same.
  expect([...set.candidates(1000)]).toEqual(['b', 'a']);
  set.good('a', 2000);
  expect(set.isAlive('a')).toBe(true);
  set.failed('b', 0, 'silent');
  set.leased('b', 0, 'tokyo-1');
  expect(set.isAlive('b')).toBe(true);
});

test('a failure between two good answers starts over', () => {
  const set = make('a', 'b');
  set.failed('a', 0, 'silent');
  set.good('a', 1000);
  set.failed('a', 2000, 'silent');
  set.good('a', 5000);
  expect(set.isAlive('a')).toBe(false);
});

test('what leaves the zone is forgotten', () => {
  const set = make('a', 'b');
  set.failed('a', 0, 'absent');
  expect(set.someAbsent).toBe(true);
  set.update(['b']);
  expect(set.someAbsent).toBe(false);
  set.failed('a', 0, 'silent');
  expect([...set.candidates(1e9)]).toEqual(['b']);
});

test('one that has died often is asked for a lease as soon as any other, should nobody be alive', () => {
  const set = new ManagerSet({ random: () => 0.5 }, { retry: { firstMs: 1000, maxMs: 60_000 } });
  set.update(['a']);
  const pauses: number[] = [];
  for (let nowMs = 0; nowMs < 600_000; nowMs += 100_000) {
    set.failed('a', nowMs, 'silent');
    pauses.push(set.nextAskAtMs - nowMs);
    expect([...set.candidates(nowMs)]).toEqual([]);
    expect([...set.candidates(set.nextAskAtMs)]).toEqual(['a']);
    set.leased('a', nowMs + 90_000, 'tokyo-1');
  }
  expect(new Set(pauses).size).toBe(1);
  expect(pauses[0]).toBeLessThanOrEqual(1000);
});

test('one that dies again soon after it was back is probed less and less often, before it is back again', () => {
  const backAfterMs = (set: ManagerSet, diedAtMs: number): number => {
    set.failed('a', diedAtMs, 'silent');
    let nowMs = diedAtMs;
    while (!set.isAlive('a')) {
      nowMs = set.nextRetryAtMs(() => false);
      set.good('a', nowMs);
    }
    return nowMs - diedAtMs;
  };
  const set = make('a');
  let nowMs = 0;
  const timesMs = Array.from({ length: 8 }, () => {
    const timeMs = backAfterMs(set, nowMs);
    nowMs += timeMs + 5000;
    return timeMs;
  });
  expect(timesMs[0]).toBeLessThanOrEqual(2000);
  for (const [index, timeMs] of timesMs.entries()) expect(timeMs).toBeGreaterThanOrEqual(Math.min(1000 * 2 ** index, 60_000));
  expect(backAfterMs(set, nowMs + 1_800_001)).toBeLessThanOrEqual(2000);
});

test('where a manager is, is known when it has given a lease, and forgotten with its address', () => {
  const set = make('a', 'b', 'c');
  set.leased('a', 0, 'tokyo-1');
  expect([set.siteOf('a'), set.siteOf('b')]).toEqual(['tokyo-1', undefined]);
  for (let i = 0; i < 20; i += 1) {
    expect([...set.candidates(0, (site) => site === 'tokyo-1')].at(-1)).toBe('a');
    expect([...set.livingElsewhere((site) => site === 'tokyo-1')].sort()).toEqual(['b', 'c']);
  }
  set.failed('b', 0, 'silent');
  expect([...set.livingElsewhere(() => false)].sort()).toEqual(['a', 'c']);
  set.update(['b', 'c']);
  set.update(['a', 'b', 'c']);
  expect(set.siteOf('a')).toBeUndefined();
});
