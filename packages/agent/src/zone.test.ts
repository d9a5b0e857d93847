import { expect, test } from 'vitest';
import { seeded } from './testing/virtual-mesh.ts';
import { MAX_MANAGERS, Zone } from './zone.ts';

const make = (): Zone => new Zone({ random: () => 0 }, { ttlMinMs: 30_000, ttlMaxMs: 1_200_000, retryFirstMs: 1000 });
const none = { addresses: [], ttlMs: 0 };
const found = (ttlMs: number, ...addresses: string[]) => ({ addresses, ttlMs });

test('a TTL is kept between 30 s and 20 min; the shorter of two families counts', () => {
  const zone = make();
  zone.take(0, { ipv4: found(5000, '192.0.2.1'), ipv6: none });
  expect(zone.lookUpAtMs).toBe(30_000);
  zone.take(0, { ipv4: found(86_400_000, '192.0.2.1'), ipv6: none });
  expect(zone.lookUpAtMs).toBe(1_200_000);
  zone.take(0, { ipv4: found(300_000, '192.0.2.1'), ipv6: found(60_000, '2001:db8::1') });
  expect(zone.lookUpAtMs).toBe(60_000);
});

test('says what came and what went', () => {
  const zone = make();
  expect(zone.take(0, { ipv4: found(1, '192.0.2.1', '192.0.2.2'), ipv6: none })).toEqual({ gained: ['192.0.2.1', '192.0.2.2'], lost: [] });
  expect(zone.take(0, { ipv4: found(1, '192.0.2.2', '192.0.2.3'), ipv6: none })).toEqual({ gained: ['192.0.2.3'], lost: ['192.0.2.1'] });
});

test('a failing DNS and an empty answer take nothing away, and are asked again soon, then slower', () => {
  const zone = make();
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: none });
  expect(zone.take(60_000, { ipv4: none, ipv6: none })).toEqual({ gained: [], lost: [] });
  expect(zone.problem).toBe('empty');
  expect(zone.addresses).toEqual(['192.0.2.1']);
  const firstPauseMs = zone.lookUpAtMs - 60_000;
  zone.take(70_000, { ipv4: undefined, ipv6: undefined });
  expect(zone.problem).toBe('failed');
  expect(zone.addresses).toEqual(['192.0.2.1']);
  expect(zone.lookUpAtMs - 70_000).toBeGreaterThan(firstPauseMs);
  for (let i = 0; i < 50; i += 1) zone.take(0, { ipv4: undefined, ipv6: undefined });
  expect(zone.lookUpAtMs).toBeLessThanOrEqual(30_000);
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: none });
  expect(zone.problem).toBeUndefined();
});

test('a family without an answer keeps its addresses, one with an empty answer loses them', () => {
  const zone = make();
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: found(60_000, '2001:db8::1') });
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: undefined });
  expect(zone.addresses).toEqual(['192.0.2.1', '2001:db8::1']);
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: none });
  expect(zone.addresses).toEqual(['192.0.2.1']);
});

test('a zone of any size stays bounded, and the same', () => {
  const zone = make();
  const many = Array.from({ length: 2000 }, (_, i) => `192.0.${i >> 8}.${i & 255}`);
  zone.take(0, { ipv4: found(1, ...many), ipv6: none });
  expect(zone.addresses.length).toBe(MAX_MANAGERS);
  expect(zone.take(0, { ipv4: found(1, ...many.toReversed()), ipv6: none })).toEqual({ gained: [], lost: [] });
});

test('hurry() looks again when the least TTL is over, not before', () => {
  const zone = make();
  zone.take(0, { ipv4: found(1_200_000, '192.0.2.1'), ipv6: none });
  zone.hurry(10_000);
  expect(zone.lookUpAtMs).toBe(30_000);
  zone.take(0, { ipv4: found(1_200_000, '192.0.2.1'), ipv6: none });
  zone.hurry(50_000);
  expect(zone.lookUpAtMs).toBe(50_000);
});

test('hurry() leaves the pauses of a DNS that fails alone', () => {
  const zone = make();
  zone.take(0, { ipv4: found(60_000, '192.0.2.1'), ipv6: none });
  for (let i = 0; i < 10; i += 1) zone.take(60_000, { ipv4: undefined, ipv6: undefined });
  const { lookUpAtMs } = zone;
  zone.hurry(61_000);
  expect(zone.lookUpAtMs).toBe(lookUpAtMs);
  expect(lookUpAtMs).toBeGreaterThan(70_000);
});

test('hurry() is spread over some seconds, however often it is said', () => {
  const due = Array.from({ length: 200 }, (_, seed) => {
    const zone = new Zone({ random: seeded(seed) }, { ttlMinMs: 30_000, ttlMaxMs: 1_200_000, retryFirstMs: 1000 });
    zone.take(0, { ipv4: found(1_200_000, '192.0.2.1'), ipv6: none });
    for (let i = 0; i < 20; i += 1) zone.hurry(600_000);
    return zone.lookUpAtMs - 600_000;
  });
  for (const part of [0, 1, 2, 3, 4]) expect(due.filter((ms) => Math.floor(ms / 1000) === part).length).toBeGreaterThan(15);
});

test('hurry() asks less and less often for as long as there is no news, and soon again after some', () => {
  const zone = make();
  let nowMs = 0;
  const look = (...addresses: string[]): void => void zone.take(nowMs, { ipv4: found(1_200_000, ...addresses), ipv6: none });
  look('192.0.2.1');
  const pauses: number[] = [];
  for (; nowMs < 3_600_000; nowMs += 1000) {
    zone.hurry(nowMs);
    if (zone.lookUpAtMs > nowMs) continue;
    pauses.push(nowMs);
    look('192.0.2.1');
  }
  expect(pauses.filter((atMs) => atMs <= 300_000).length).toBe(10);
  expect(pauses.length).toBeGreaterThan(25);
  expect(pauses.length).toBeLessThan(40);
  look('192.0.2.1', '192.0.2.2');
  zone.hurry(nowMs);
  expect(zone.lookUpAtMs - nowMs).toBe(30_000);
});
