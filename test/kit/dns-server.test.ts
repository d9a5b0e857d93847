import { Resolver } from 'node:dns/promises';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { startDnsServer } from './dns-server.ts';
import type { DnsServer, DnsServerInit } from './dns-server.ts';

const running: DnsServer[] = [];

async function start(init?: DnsServerInit): Promise<DnsServer> {
  const server = await startDnsServer(init);
  running.push(server);
  return server;
}

function resolverFor(server: DnsServer, timeoutMs = 2000): Resolver {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  resolver.setServers([server.server]);
  return resolver;
}

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

test('answers A and AAAA with TTL, and rotates each by itself', async () => {
  const a = ['127.0.1.1', '127.0.2.1', '127.0.3.1'];
  const server = await start({ address: '127.0.0.53', zone: { 'manager.test': { a, aaaa: ['::1', '::2'], ttlS: 7 } } });
  const resolver = resolverFor(server);
  const firsts: string[] = [];
  for (let i = 0; i < 4; i += 1) {
    const answers = await resolver.resolve4('MANAGER.test', { ttl: true });
    expect(answers.map((answer) => answer.address).sort()).toEqual(a);
    expect(answers[0]!.ttl).toBe(7);
    firsts.push(answers[0]!.address);
    await resolver.resolve6('manager.test');
  }
  expect(firsts).toEqual(['127.0.1.1', '127.0.2.1', '127.0.3.1', '127.0.1.1']);
  expect(server.queriesFor('manager.test')).toBe(8);
  expect(server.queries).toBe(8);
});

test('the zone changes while it runs', async () => {
  const server = await start();
  const resolver = resolverFor(server);
  await expect(resolver.resolve4('m.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  server.set('m.test', { a: ['127.0.1.1'] });
  expect(await resolver.resolve4('m.test')).toEqual(['127.0.1.1']);
  await expect(resolver.resolve6('m.test')).rejects.toMatchObject({ code: 'ENODATA' });
  server.delete('m.test');
  await expect(resolver.resolve4('m.test')).rejects.toMatchObject({ code: 'ENOTFOUND' });
});

test('modes: servfail, nxdomain, refuse, silent', async () => {
  const server = await start({ zone: { 'm.test': { a: ['127.0.1.1'] } } });
  const resolver = resolverFor(server, 300);
  for (const [mode, code] of [['servfail', 'ESERVFAIL'], ['nxdomain', 'ENOTFOUND'], ['refuse', 'EREFUSED'], ['silent', 'ETIMEOUT']] as const) {
    server.mode = mode;
    await expect(resolver.resolve4('m.test')).rejects.toMatchObject({ code });
  }
  server.mode = 'answer';
  expect(await resolver.resolve4('m.test')).toEqual(['127.0.1.1']);
});

test('an answer too large for UDP comes over TCP', async () => {
  const a = Array.from({ length: 200 }, (_, i) => `127.0.${i + 1}.1`);
  const server = await start({ zone: { 'big.test': { a } } });
  expect((await resolverFor(server).resolve4('big.test')).length).toBe(200);
});

test('garbage and a query in pieces over TCP do not harm', async () => {
  const server = await start({ zone: { 'm.test': { a: ['127.0.1.1'] } } });
  const socket = connect(server.port, server.address);
  socket.write(Buffer.from([0, 3, 1, 2, 3]));
  socket.write(Buffer.from([0]));
  const query = Buffer.from('abcd01000001000000000000016d04746573740000010001', 'hex');
  socket.write(Buffer.concat([Buffer.from([query.length]), query]));
  const reply = await new Promise<Buffer>((resolve, reject) => {
    socket.once('data', resolve);
    socket.once('error', reject);
  });
  socket.destroy();
  expect(reply.subarray(2, 4).toString('hex')).toBe('abcd');
  expect(reply.subarray(-4)).toEqual(Buffer.from([127, 0, 1, 1]));
});
