import type { Refusal, RefusalCode } from '@sekisho/wire';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type DnsServer, startDnsServer } from '../../../../test/kit/dns-server.ts';
import { DestinationPolicy } from './destination.ts';
import { SUSPICIOUS_NAMES } from './dns-health.ts';
import { parseHost } from './host.ts';
import { formatAddress } from './ip-address.ts';
import { DestinationResolver } from './resolve.ts';

let dns: DnsServer;
beforeAll(async () => {
  dns = await startDnsServer();
});
afterAll(() => dns.stop());
beforeEach(() => {
  dns.mode = 'answer';
});

function resolverOf(allow: readonly string[] = []): DestinationResolver {
  const policy = new DestinationPolicy({ extraPorts: [], allow, ownAddresses: ['198.45.1.7'] });
  return new DestinationResolver({ policy }, { servers: [dns.server], timeoutMs: 200 });
}

async function resolved(host: string, allow?: readonly string[]): Promise<readonly string[]> {
  return (await resolverOf(allow).resolve(parseHost(host))).map(formatAddress);
}

async function refused(resolver: DestinationResolver, host: string): Promise<RefusalCode> {
  const error: unknown = await resolver.resolve(parseHost(host)).then(
    () => new Error('not refused'),
    (reason: unknown) => reason,
  );
  return (error as Refusal).code;
}

test('both families, in turn, IPv6 first', async () => {
  dns.set('both.example', { a: ['8.8.8.8', '8.8.4.4'], aaaa: ['2606:4700::1'] });
  const found = await resolved('both.example');
  expect(found[0]).toBe('2606:4700::1');
  expect(found.slice(1).sort()).toEqual(['8.8.4.4', '8.8.8.8']);
});

test('an address is not looked up', async () => {
  const before = dns.queries;
  expect(await resolved('8.8.8.8')).toEqual(['8.8.8.8']);
  expect(await resolved('::ffff:8.8.8.8')).toEqual(['8.8.8.8']);
  expect(dns.queries).toBe(before);
});

test('a name that leads inside is refused', async () => {
  dns.set('inside.example', { a: ['127.0.0.1'] });
  dns.set('wrapped.example', { aaaa: ['64:ff9b::7f00:1'] });
  dns.set('own.example', { a: ['198.45.1.7'] });
  for (const name of ['inside.example', 'wrapped.example', 'own.example', 'localhost', 'x.localhost', '10.0.0.1'])
    expect(await refused(resolverOf(), name)).toBe('DESTINATION_ADDRESS');
});

test('of a mixed answer only what is allowed is dialled', async () => {
  dns.set('mixed.example', { a: ['169.254.169.254', '8.8.8.8', '10.0.0.1'], aaaa: ['::1'] });
  expect(await resolved('mixed.example')).toEqual(['8.8.8.8']);
});

test('what is listed may be inside', async () => {
  dns.set('inside.example', { a: ['127.0.0.1'] });
  expect(await resolved('inside.example', ['127.0.0.0/8'])).toEqual(['127.0.0.1']);
  expect(await resolved('localhost', ['127.0.0.0/8', '::1'])).toEqual(['::1', '127.0.0.1']);
});

test('a name with many addresses: six are enough', async () => {
  dns.set('many.example', { a: Array.from({ length: 20 }, (_, index) => `8.8.8.${index}`) });
  expect(await resolved('many.example')).toHaveLength(6);
});

test('a server that answers differently the second time is asked once', async () => {
  dns.set('rebind.example', { a: ['8.8.8.8'], ttlS: 0 });
  const found = await resolverOf().resolve(parseHost('rebind.example'));
  dns.set('rebind.example', { a: ['127.0.0.1'], ttlS: 0 });
  // One A and one AAAA; the addresses that were classified are the ones that are connected to.
  expect(dns.queriesFor('rebind.example')).toBe(2);
  expect(found.map(formatAddress)).toEqual(['8.8.8.8']);
  expect(await refused(resolverOf(), 'rebind.example')).toBe('DESTINATION_ADDRESS');
});

test.each([
  ['nxdomain', 'DNS_NOT_FOUND'],
  ['servfail', 'DNS_FAILED'],
  ['refuse', 'DNS_FAILED'],
  ['silent', 'DNS_FAILED'],
] as const)('%s is %s', async (mode, code) => {
  dns.mode = mode;
  expect(await refused(resolverOf(), 'any.example')).toBe(code);
});

test('a name without addresses is not found', async () => {
  dns.set('empty.example', {});
  expect(await refused(resolverOf(), 'empty.example')).toBe('DNS_NOT_FOUND');
});

test('DNS is dead when many names and the root get no answer, and alive again with the first one', async () => {
  const resolver = resolverOf();
  dns.mode = 'servfail';
  for (let index = 0; index < SUSPICIOUS_NAMES; index += 1) await refused(resolver, `dead${index}.example`);
  await expect.poll(() => resolver.health.dead).toBe(true);
  resolver.health.recheck();
  dns.mode = 'answer';
  await expect
    .poll(() => {
      resolver.health.recheck();
      return resolver.health.dead;
    })
    .toBe(false);
});

test('the same broken name again and again says nothing about DNS', async () => {
  const resolver = resolverOf();
  dns.mode = 'servfail';
  for (let index = 0; index < 3 * SUSPICIOUS_NAMES; index += 1) await refused(resolver, 'broken.example');
  expect(resolver.health.dead).toBe(false);
});

test('broken names of a device do not make the relay call itself unable', async () => {
  const resolver = resolverOf();
  for (let index = 0; index < 3 * SUSPICIOUS_NAMES; index += 1) resolver.health.failed(`mine${index}.example`);
  const queries = dns.queries;
  await expect.poll(() => dns.queries).toBeGreaterThan(queries);
  expect(resolver.health.dead).toBe(false);
});
