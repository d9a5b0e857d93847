import { expect, test } from 'vitest';
import { startDnsServer } from '../../../test/kit/dns-server.ts';
import { ManagerResolver } from './resolver.ts';
import { atEnd } from './testing/world.ts';
import { MAX_MANAGERS } from './zone.ts';

async function setUp(timeoutMs = 2500) {
  const dns = await startDnsServer({
    zone: { 'both.test': { a: ['127.0.1.1', '127.0.2.1'], aaaa: ['::1'], ttlS: 7 }, 'four.test': { a: ['127.0.1.1'] } },
  });
  atEnd(() => dns.stop());
  return { dns, resolver: new ManagerResolver({ servers: [dns.server], timeoutMs }) };
}

test('both families with their TTL', async () => {
  const { resolver } = await setUp();
  const { ipv4, ipv6 } = await resolver.resolve('both.test');
  expect([ipv4?.addresses.toSorted(), ipv4?.ttlMs]).toEqual([['127.0.1.1', '127.0.2.1'], 7000]);
  expect(ipv6).toEqual({ addresses: ['::1'], ttlMs: 7000 });
});

test('a family, or a name, that does not exist is an answer without addresses', async () => {
  const { resolver } = await setUp();
  expect((await resolver.resolve('four.test')).ipv6?.addresses).toEqual([]);
  const { ipv4, ipv6 } = await resolver.resolve('nobody.test');
  expect([ipv4?.addresses, ipv6?.addresses]).toEqual([[], []]);
});

test('a DNS that fails or is silent gives no answer, within the time', async () => {
  const { dns, resolver } = await setUp(400);
  for (const mode of ['servfail', 'refuse', 'silent'] as const) {
    dns.mode = mode;
    const startedAt = performance.now();
    expect(await resolver.resolve('both.test')).toEqual({ ipv4: undefined, ipv6: undefined });
    expect(performance.now() - startedAt).toBeLessThan(3000);
  }
});

test('an address is its own answer', async () => {
  const { dns, resolver } = await setUp();
  expect((await resolver.resolve('127.0.9.9')).ipv4?.addresses).toEqual(['127.0.9.9']);
  expect((await resolver.resolve('::1')).ipv6?.addresses).toEqual(['::1']);
  expect(dns.queries).toBe(0);
});

test('more addresses than fit into a datagram: over TCP, all of them, with their TTL', async () => {
  const { dns, resolver } = await setUp();
  const a = Array.from({ length: MAX_MANAGERS }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  dns.set('many.test', { a, ttlS: 1200 });
  const { ipv4 } = await resolver.resolve('many.test');
  expect(ipv4?.addresses.toSorted()).toEqual(a.toSorted());
  expect(ipv4?.ttlMs).toBe(1_200_000);
});
