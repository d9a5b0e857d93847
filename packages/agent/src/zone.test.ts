import { expect, test } from 'vitest';
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
