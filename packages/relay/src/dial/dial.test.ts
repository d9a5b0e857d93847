import { createServer, type Server, type Socket } from 'node:net';
import type { Refusal } from '@sekisho/wire';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { DestinationPolicy } from '../policy/destination.ts';
import { parseHost } from '../policy/host.ts';
import { formatAddress } from '../policy/ip-address.ts';
import { DestinationResolver } from '../policy/resolve.ts';
import { startDnsServer } from '../../../../test/kit/dns-server.ts';
import { closeServer, listenOn } from '../../../../test/kit/loopback-listen.ts';
import { startBlackHole } from '../../../../test/kit/silent-server.ts';
import { Dial } from './dial.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Outcome {
  readonly socket?: Socket;
  readonly address?: string;
  readonly refusal?: Refusal;
}

function dial(host: string, port: number, servers: readonly string[] = []): { dial: Dial; outcome: Promise<Outcome> } {
  const policy = new DestinationPolicy({ extraPorts: [], allow: ['127.0.0.0/8', '::1'], ownAddresses: [] });
  const resolver = new DestinationResolver({ policy }, { servers, timeoutMs: 500 });
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const handler = {
    onConnected: (socket: Socket, address: Parameters<typeof formatAddress>[0]) => {
      socket.on('error', () => {});
      cleanUps.push(() => socket.destroy());
      resolve({ socket, address: formatAddress(address) });
    },
    onFailed: (refusal: Refusal) => resolve({ refusal }),
  };
  return { dial: new Dial({ resolver, handler }, { host: parseHost(host), port }), outcome: promise };
}

async function listen(address: string, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}));
  const bound = await listenOn(server, address, port);
  cleanUps.push(() => closeServer(server));
  return { server, port: bound };
}

test('connects to the address that was looked up', async () => {
  const { port } = await listen('127.0.0.1');
  const dns = await startDnsServer({ zone: { 'mail.example': { a: ['127.0.0.1'] } } });
  cleanUps.push(() => dns.stop());
  const { socket, address } = await dial('mail.example', port, [dns.server]).outcome;
  expect(address).toBe('127.0.0.1');
  expect(socket?.remoteAddress).toBe('127.0.0.1');
});

test('a silent address costs 250 ms, not the session: the next one is tried', async () => {
  const hole = await startBlackHole({ address: '127.0.0.2' });
  cleanUps.push(() => hole.stop());
  await listen('127.0.0.3', hole.port);
  const dns = await startDnsServer({ zone: { 'two.example': { a: ['127.0.0.2', '127.0.0.3'] } } });
  cleanUps.push(() => dns.stop());
  // The server turns its answers round: of two runs one begins with the silent address.
  const first = await dial('two.example', hole.port, [dns.server]).outcome;
  const second = await dial('two.example', hole.port, [dns.server]).outcome;
  expect([first.address, second.address]).toEqual(['127.0.0.3', '127.0.0.3']);
});

test('a refused address is passed over at once, IPv6 or not', async () => {
  const { port } = await listen('127.0.0.1');
  const { address } = await dial('localhost', port).outcome;
  expect(address).toBe('127.0.0.1');
});

test('nobody listens: CONNECT_REFUSED', async () => {
  const { server, port } = await listen('127.0.0.1');
  await closeServer(server);
  expect((await dial('127.0.0.1', port).outcome).refusal?.code).toBe('CONNECT_REFUSED');
});

test('nobody answers: CONNECT_TIMEOUT when the time is up, and no socket stays', async () => {
  const hole = await startBlackHole();
  cleanUps.push(() => hole.stop());
  const started = dial('127.0.0.1', hole.port);
  setTimeout(() => started.dial.expire(), 100);
  expect((await started.outcome).refusal?.code).toBe('CONNECT_TIMEOUT');
});

test('DNS is silent: DNS_FAILED when the time is up', async () => {
  const dns = await startDnsServer();
  dns.mode = 'silent';
  cleanUps.push(() => dns.stop());
  const started = dial('mail.example', 25, [dns.server]);
  setTimeout(() => started.dial.expire(), 50);
  expect((await started.outcome).refusal?.code).toBe('DNS_FAILED');
});

test('a refused address is never connected to', async () => {
  const { server, port } = await listen('127.0.0.1');
  let connections = 0;
  server.on('connection', () => (connections += 1));
  const dns = await startDnsServer({ zone: { 'inside.example': { aaaa: ['64:ff9b::7f00:1', '::7f00:1'] } } });
  cleanUps.push(() => dns.stop());
  expect((await dial('inside.example', port, [dns.server]).outcome).refusal?.code).toBe('DESTINATION_ADDRESS');
  expect(connections).toBe(0);
});

test('a cancelled dial says nothing and leaves no connection', async () => {
  const { server, port } = await listen('127.0.0.1');
  const started = dial('127.0.0.1', port);
  started.dial.cancel();
  started.dial.expire();
  const first = await Promise.race([started.outcome, sleep(300, 'silence')]);
  expect(first).toBe('silence');
  await expect.poll(() => new Promise((resolve) => server.getConnections((_error, count) => resolve(count)))).toBe(0);
});
