import { expect, test } from 'vitest';
import { seeded } from '../load/random.ts';
import { NameService } from './name-service.ts';

const TTL_MS = 60_000;
const FROM_MS = 1_000_000;

function make(faulty: { share: number; keepsTimes: number; fixedOrder: boolean }[] = []): NameService {
  return new NameService(
    { random: seeded(1) },
    { dns: { ttlMs: TTL_MS, caches: 100, delayMs: 20, faulty }, addresses: ['10.0.0.2', '10.0.0.1'] },
  );
}

test('each cache sees a change when it fetches next, all within a TTL, evenly', () => {
  const names = make();
  names.publish(FROM_MS, ['10.0.0.3']);
  const seenAtMs = Array.from({ length: 100 }, (_, cache) => names.nextFetchMs(cache, FROM_MS));
  for (const [cache, atMs] of seenAtMs.entries()) {
    expect(names.versionAt(cache, atMs - 1)).toBe(0);
    expect(names.versionAt(cache, atMs)).toBe(1);
  }
  const after = seenAtMs.map((atMs) => atMs - FROM_MS);
  expect(Math.max(...after)).toBeLessThanOrEqual(TTL_MS);
  expect(Math.max(...after)).toBeGreaterThan(0.9 * TTL_MS);
  expect(after.reduce((sum, ms) => sum + ms, 0) / 100).toBeGreaterThan(0.4 * TTL_MS);
});

test('an answer tells the rest of its time, and the next one after that is another fetch', () => {
  const names = make();
  for (let cache = 0; cache < 100; cache += 1) {
    const { ipv4 } = names.answer(cache, FROM_MS);
    const next = FROM_MS + (ipv4?.ttlMs ?? 0);
    expect(names.nextFetchMs(cache, next)).toBeCloseTo(names.nextFetchMs(cache, FROM_MS) + TTL_MS, 3);
    expect(ipv4?.addresses).toEqual(['10.0.0.1', '10.0.0.2']);
  }
});

test('faulty caches: some keep answers longer, some give their own order', () => {
  const names = make([
    { share: 0.1, keepsTimes: 5, fixedOrder: false },
    { share: 0.2, keepsTimes: 1, fixedOrder: true },
  ]);
  names.publish(FROM_MS, ['10.0.0.9', '10.0.0.3']);
  const all = Array.from({ length: 100 }, (_, cache) => cache);
  expect(all.filter((cache) => names.versionAt(cache, FROM_MS + TTL_MS) === 0).length).toBeGreaterThan(3);
  expect(all.filter((cache) => names.versionAt(cache, FROM_MS + TTL_MS) === 0).every((cache) => cache < 10)).toBe(true);
  const later = FROM_MS + 5 * TTL_MS;
  expect(all.every((cache) => names.versionAt(cache, later) === 1)).toBe(true);
  expect(all.filter((cache) => names.answer(cache, later).ipv4?.addresses[0] === '10.0.0.9')).toEqual(all.slice(10, 30));
});
