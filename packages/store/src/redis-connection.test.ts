import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { eventually, timed } from '../test/fault-kit.ts';
import { aDevice, macNumber } from '../test/records.ts';
import { RedisServer } from '../test/redis-server.ts';
import { openStore } from './open-store.ts';
import { MAX_REDIS_OPERATIONS } from './redis-connection.ts';
import type { Store } from './store.ts';

const OPERATION_TIMEOUT_MS = 500;
/** A deadline that fires late on a busy machine, yet is no hanging. */
const LATEST_MS = OPERATION_TIMEOUT_MS + 2000;
const MAC = macNumber(1);
const UNAVAILABLE = { name: 'StoreError', code: 'UNAVAILABLE', temporary: true };

let server: RedisServer;
let store: Store;
let states: [string, string][];
const stores: Store[] = [];

async function open(url = server.url, operationTimeoutMs = OPERATION_TIMEOUT_MS): Promise<Store> {
  const opened = await openStore(
    { onStateChange: (state, reason) => states.push([state, reason]) },
    { url, site: 'tokyo-1', operationTimeoutMs },
  );
  stores.push(opened);
  return opened;
}

const answers = async (): Promise<boolean> => (await timed(store.ping())).error === undefined;
const stateNames = (): string[] => states.map(([state]) => state);

beforeEach(async () => {
  states = [];
  server = await RedisServer.start();
  store = await open();
  await store.putDevice(aDevice(MAC));
});
afterEach(async () => {
  for (const one of stores.splice(0)) await one.close();
  await server.stop();
});

describe('a paused Redis', () => {
  it('is UNAVAILABLE at the deadline, then at once, and is used again when it goes on', async () => {
    server.pause();
    const first = await timed(store.getDevice(MAC));
    expect(first.error).toMatchObject(UNAVAILABLE);
    expect(first.tookMs).toBeLessThan(LATEST_MS);
    const later = await Promise.all(Array.from({ length: 200 }, () => timed(store.revision())));
    for (const { error, tookMs } of later) {
      expect(error).toMatchObject(UNAVAILABLE);
      expect(tookMs).toBeLessThan(OPERATION_TIMEOUT_MS);
    }
    expect(stateNames()).toEqual(['up', 'down']);
    expect(states[1]?.[1]).toContain(`no answer within ${OPERATION_TIMEOUT_MS} ms`);
    server.resume();
    await eventually('the store answers', answers);
    expect(await store.getDevice(MAC)).toEqual(aDevice(MAC));
    expect(stateNames()).toEqual(['up', 'down', 'up']);
  });

  it('keeps no operation in memory, however long the pause is', async () => {
    server.pause();
    const outcomes = await Promise.all(Array.from({ length: MAX_REDIS_OPERATIONS + 50 }, () => timed(store.ping())));
    for (const { error, tookMs } of outcomes) {
      expect(error).toMatchObject(UNAVAILABLE);
      expect(tookMs).toBeLessThan(LATEST_MS);
    }
    expect(outcomes.filter(({ error }) => String(error).includes('too many'))).toHaveLength(50);
    // Long enough for several attempts to connect, each of which the kernel accepts and Redis does not answer. None
    // of them makes an operation wait.
    for (let n = 0; n < 15; n += 1) {
      expect((await timed(store.ping())).tookMs).toBeLessThan(OPERATION_TIMEOUT_MS / 2);
      await sleep(100);
    }
    expect(stateNames()).toEqual(['up', 'down']);
    server.resume();
    await eventually('the store answers', answers);
  });

  it('does not keep open() waiting beyond the deadline', async () => {
    server.pause();
    const { tookMs, error } = await timed(open());
    expect(error).toBeUndefined();
    expect(tookMs).toBeLessThan(LATEST_MS);
    await expect(stores.at(-1)!.ping()).rejects.toMatchObject(UNAVAILABLE);
    server.resume();
  });

  it('lets close() end at once, and what waits fails with CLOSED', async () => {
    const patient = await open(server.url, 15_000);
    server.pause();
    const waiting = timed(patient.ping());
    await sleep(20);
    await patient.close();
    const { error, tookMs } = await waiting;
    expect(error).toMatchObject({ code: 'CLOSED' });
    expect(tookMs).toBeLessThan(1500);
    server.resume();
  });
});

describe('a closed store', () => {
  it('does not keep its process alive, even if Redis is paused', async () => {
    const module = new URL('./open-store.ts', import.meta.url).href;
    const script = `
      import { openStore } from ${JSON.stringify(module)};
      const store = await openStore({}, { url: process.argv[1], site: 'tokyo-1' });
      await store.ping();
      process.stdout.write('open');
      process.stdin.once('data', async () => {
        process.stdin.destroy();
        await store.close();
      });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, server.url]);
    const ended = once(child, 'exit');
    try {
      await once(child.stdout, 'data');
      server.pause();
      child.stdin.write('close');
      expect(await Promise.race([ended, sleep(10_000, 'still running')])).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      server.resume();
    }
  });
});

describe('a stopped Redis', () => {
  it('ends what is under way at once', async () => {
    const patient = await open(server.url, 15_000);
    server.pause();
    const waiting = timed(patient.ping());
    await sleep(20);
    await server.kill();
    const { error, tookMs } = await waiting;
    expect(error).toMatchObject(UNAVAILABLE);
    expect(tookMs).toBeLessThan(10_000);
  });

  it('fails fast and is used again when it returns, empty', async () => {
    const before = await store.revision();
    await server.kill();
    await eventually('the store has noticed', async () => !(await answers()));
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => timed(store.putDevice(aDevice(MAC)))));
    for (const { error, tookMs } of outcomes) {
      expect(error).toMatchObject(UNAVAILABLE);
      expect(tookMs).toBeLessThan(OPERATION_TIMEOUT_MS);
    }
    // Several attempts to connect fail meanwhile; they are one change of state.
    await sleep(500);
    expect(stateNames()).toEqual(['up', 'down']);
    await server.launch();
    await eventually('the store answers', answers);
    expect(stateNames()).toEqual(['up', 'down', 'up']);
    // Nothing that failed meanwhile was kept to be sent later.
    expect(await store.getDevice(MAC)).toBeNull();
    expect(await store.revision()).not.toBe(before);
  });

  it('may be there later than we are', async () => {
    await server.kill();
    const early = await open();
    expect((await timed(early.ping())).error).toMatchObject(UNAVAILABLE);
    await server.launch();
    await eventually('the store answers', async () => (await timed(early.ping())).error === undefined);
  });

  it('does not write to the console', async () => {
    const consoles = [vi.spyOn(console, 'error'), vi.spyOn(console, 'warn'), vi.spyOn(console, 'log')];
    await server.kill();
    await eventually('the store has noticed', async () => !(await answers()));
    await sleep(200);
    for (const spy of consoles) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});

describe('a flushed Redis', () => {
  it('simply is empty, and says so in its revision', async () => {
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    const before = await store.overridesSnapshot();
    const raw = new Redis(server.socketPath);
    await raw.flushall();
    raw.disconnect();
    expect(await store.getDevice(MAC)).toBeNull();
    expect(await store.touchDevice(MAC, { at: 1, from: 'a' })).toBe(false);
    expect(await store.overrides()).toEqual(new Map());
    const emptied = await store.overridesSnapshot();
    expect(emptied).toMatchObject({ epoch: null, changes: 0 });
    // The same changes again do not look like the state before.
    await store.putDevice(aDevice(MAC));
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    const after = await store.overridesSnapshot();
    expect(after.changes).toBe(before.changes);
    expect(new Set([before, emptied, after].map(({ revision }) => revision)).size).toBe(3);
    expect(stateNames()).toEqual(['up']);
  });
});

describe('a server that is no Redis', () => {
  let impostor: Server;
  const sockets = new Set<Socket>();
  let connections = 0;

  async function listen(onConnection: (socket: Socket) => void): Promise<string> {
    connections = 0;
    impostor = createServer((socket) => {
      connections += 1;
      sockets.add(socket);
      socket.on('error', () => {});
      onConnection(socket);
    }).listen(0, '127.0.0.1');
    await once(impostor, 'listening');
    return `redis://127.0.0.1:${(impostor.address() as AddressInfo).port}`;
  }
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((resolve) => {
      impostor.close(resolve);
    });
  });

  it.each<[string, (socket: Socket) => void]>([
    ['closes at once', (socket) => socket.end()],
    ['resets', (socket) => socket.resetAndDestroy()],
    ['answers garbage', (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))],
    ['is still loading', (socket) => socket.on('data', () => socket.write('-LOADING Redis is loading\r\n'))],
  ])('is UNAVAILABLE when it %s, and is not asked in a tight loop', async (_, behaviour) => {
    const impostorStore = await open(await listen(behaviour));
    expect((await timed(impostorStore.ping())).error).toMatchObject(UNAVAILABLE);
    await sleep(1000);
    // Pauses of 25 to 50, 50 to 100, 100 to 200, 200 to 400 ms: 6 attempts at the most.
    expect(connections).toBeGreaterThan(1);
    expect(connections).toBeLessThan(8);
    expect((await timed(impostorStore.ping())).error).toMatchObject(UNAVAILABLE);
    expect(stateNames()).toEqual(['up', 'down']);
  });
});
