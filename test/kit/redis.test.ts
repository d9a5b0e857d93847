import { existsSync } from 'node:fs';
import { Redis as Client } from 'ioredis';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startRedis } from './redis.ts';
import type { Redis } from './redis.ts';

let redis: Redis;
const clients: Client[] = [];

beforeEach(async () => {
  redis = await startRedis({ address: '127.0.6.1' });
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect();
  await redis.stop();
});

function client(target: string): Client {
  const made = new Client(target, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  made.on('error', () => undefined);
  clients.push(made);
  return made;
}

test('the same data through port and socket; flushed', async () => {
  await client(redis.url).set('key', 'value');
  expect(await client(redis.socketPath).get('key')).toBe('value');
  await redis.flush();
  expect(await client(redis.url).get('key')).toBe(null);
});

test('paused it answers nothing, resumed it answers what was asked', async () => {
  const asking = client(redis.url);
  await asking.set('key', 'value');
  redis.pause();
  const answer = asking.get('key');
  const silence = new Promise((resolve) => setTimeout(() => resolve('silence'), 150));
  expect(await Promise.race([answer, silence])).toBe('silence');
  redis.resume();
  expect(await answer).toBe('value');
});

test('killed and restarted on the same port and socket, empty', async () => {
  const lasting = client(redis.url);
  await lasting.set('key', 'value');
  await redis.kill();
  await redis.restart();
  await redis.restart();
  expect(await lasting.get('key')).toBe(null);
  expect(await client(redis.socketPath).ping()).toBe('PONG');
});

test('stopped while paused it is gone', async () => {
  redis.pause();
  await redis.stop();
  expect(existsSync(redis.socketPath)).toBe(false);
  await expect(redis.flush()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
