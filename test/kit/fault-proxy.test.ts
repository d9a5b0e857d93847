import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFaultProxy } from './fault-proxy.ts';
import type { FaultProxy } from './fault-proxy.ts';
import type { Faults } from './faulty-pipe.ts';
import { closeServer, listenOn } from './loopback-listen.ts';
import { sha256, textMail } from './mails.ts';

const NEVER = Number.POSITIVE_INFINITY;
let echo: Server;
let proxy: FaultProxy;
const echoSockets = new Set<Socket>();
const clients = new Set<Client>();

/** A connection through the proxy and all that happened on it. */
class Client {
  socket: Socket;
  received = Buffer.alloc(0);
  events: string[] = [];

  constructor(target: { address: string; port: number }) {
    this.socket = connect({ host: target.address, port: target.port, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.events.push(error.code ?? 'error'));
    for (const event of ['connect', 'end', 'close']) this.socket.on(event, () => this.events.push(event));
    clients.add(this);
  }

  async roundTrip(text: string): Promise<number> {
    const startedAt = performance.now();
    const before = this.received.length;
    this.socket.write(text);
    while (this.received.length < before + text.length) await sleep(1);
    return performance.now() - startedAt;
  }
}

async function start(faults: Partial<Faults> = {}): Promise<FaultProxy> {
  const { port } = echo.address() as { port: number };
  proxy = await startFaultProxy({ upstream: { host: '127.0.0.1', port }, address: '127.0.8.1', faults });
  return proxy;
}

beforeEach(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    echoSockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => echoSockets.delete(socket));
    socket.pipe(socket);
  });
  await listenOn(echo, '127.0.0.1', 0);
});

afterEach(async () => {
  for (const client of clients) client.socket.destroy();
  clients.clear();
  await proxy.stop();
  for (const socket of echoSockets) socket.destroy();
  await closeServer(echo);
});

test('without faults it forwards bytes and half-close, and counts', async () => {
  await start();
  const client = new Client(proxy);
  const { raw, sha256: hash } = textMail(1, 8_000_000);
  client.socket.end(raw);
  await expect.poll(() => client.events, { timeout: 10_000 }).toEqual(['connect', 'end', 'close']);
  expect(sha256(client.received)).toBe(hash);
  expect(proxy.bytesForwarded).toEqual({ toServer: raw.length, toClient: raw.length });
  expect(proxy.connections).toBe(1);
  await expect.poll(() => proxy.openConnections).toBe(0);
});

test('latency and jitter, set and lifted while a connection runs', async () => {
  await start();
  const client = new Client(proxy);
  await client.roundTrip('warm');
  proxy.set({ latencyMs: 60, jitterMs: 20 });
  expect(await client.roundTrip('one')).toBeGreaterThanOrEqual(119);
  await Promise.all('abcdefghij'.split('').map((letter) => client.roundTrip(letter)));
  expect(client.received.toString()).toBe('warmoneabcdefghij');
  proxy.heal();
  const healed = [await client.roundTrip('x'), await client.roundTrip('y'), await client.roundTrip('z')];
  expect(Math.min(...healed)).toBeLessThan(100);
});

test('a rate cap', async () => {
  await start({ bytesPerSecond: 100_000 });
  const client = new Client(proxy);
  expect(await client.roundTrip('x'.repeat(50_000))).toBeGreaterThanOrEqual(450);
  expect(client.received.length).toBe(50_000);
});

test('silence: accepted, nothing forwarded, the server not even connected', async () => {
  await start({ silent: true });
  const client = new Client(proxy);
  client.socket.write('hello');
  await sleep(150);
  expect(client.events).toEqual(['connect']);
  expect(client.received.length).toBe(0);
  expect(echoSockets.size).toBe(0);
  client.socket.end();
  await expect.poll(() => proxy.openConnections).toBe(0);
});

test('a stall at a byte, without a close, and its end', async () => {
  await start({ toServer: { stallAfterBytes: 3, resetAfterBytes: NEVER } });
  const client = new Client(proxy);
  client.socket.end('abcdef');
  await expect.poll(() => client.received.toString()).toBe('abc');
  await sleep(100);
  expect(client.events).toEqual(['connect']);
  proxy.heal();
  await expect.poll(() => client.events).toEqual(['connect', 'end', 'close']);
  expect(client.received.toString()).toBe('abcdef');
});

test('a stall in the direction of the client', async () => {
  await start();
  const client = new Client(proxy);
  await client.roundTrip('abc');
  proxy.set({ toClient: { stallAfterBytes: 0, resetAfterBytes: NEVER } });
  client.socket.write('def');
  await expect.poll(() => proxy.bytesForwarded.toServer).toBe(6);
  await sleep(50);
  expect(client.received.toString()).toBe('abc');
});

test('a reset at a byte reaches both sides, after the bytes before it', async () => {
  await start({ toServer: { stallAfterBytes: NEVER, resetAfterBytes: 4 } });
  const client = new Client(proxy);
  let atServer = '';
  echo.once('connection', (socket: Socket) => socket.on('data', (chunk: Buffer) => (atServer += chunk.toString())));
  client.socket.write('abcdef');
  await expect.poll(() => client.events).toContain('ECONNRESET');
  expect(atServer).toBe('abcd');
  await expect.poll(() => echoSockets.size).toBe(0);
});

test('refusing keeps running connections, and ends', async () => {
  await start();
  const old = new Client(proxy);
  await old.roundTrip('a');
  proxy.refuse();
  const refused = new Client(proxy);
  await expect.poll(() => refused.events).toContain('ECONNREFUSED');
  await old.roundTrip('b');
  await proxy.accept();
  await new Client(proxy).roundTrip('c');
});

test('half-open: the server is gone and the client does not learn it', async () => {
  await start();
  const client = new Client(proxy);
  await client.roundTrip('a');
  proxy.halfOpen('server');
  await expect.poll(() => echoSockets.size).toBe(0);
  client.socket.write('anybody there?');
  await sleep(100);
  expect(client.events).toEqual(['connect']);
});

test('half-open: the client is gone and the server does not learn it; resetAll tells everybody', async () => {
  await start();
  const [gone, other] = [new Client(proxy), new Client(proxy)];
  await Promise.all([gone.roundTrip('a'), other.roundTrip('a')]);
  proxy.halfOpen('client');
  await expect.poll(() => [...gone.events, ...other.events].filter((event) => event === 'ECONNRESET').length).toBe(2);
  await sleep(50);
  expect(echoSockets.size).toBe(2);
  const third = new Client(proxy);
  await third.roundTrip('a');
  proxy.resetAll();
  await expect.poll(() => third.events).toContain('ECONNRESET');
  await expect.poll(() => echoSockets.size).toBe(0);
});

test('a server that refuses resets the client', async () => {
  await start();
  await closeServer(echo);
  const client = new Client(proxy);
  await expect.poll(() => client.events).toContain('ECONNRESET');
});
