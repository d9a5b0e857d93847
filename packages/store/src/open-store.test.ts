import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { eventually, timed } from '../test/fault-kit.ts';
import { aDetection, aDevice, macNumber } from '../test/records.ts';
import { RedisServer } from '../test/redis-server.ts';
import { openStore, type StoreSpec } from './open-store.ts';
import type { Store } from './store.ts';

const MAC = macNumber(1);
const PASSWORD = 'correct-horse';
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function serve(extraArguments?: (directory: string) => readonly string[]): Promise<RedisServer> {
  const server = await RedisServer.start(extraArguments);
  cleanups.push(() => server.stop());
  return server;
}

async function open(spec: Omit<StoreSpec, 'site'>, reasons: string[] = []): Promise<Store> {
  const store = await openStore(
    { onStateChange: (state, reason) => reasons.push(`${state}: ${reason}`) },
    { operationTimeoutMs: 2000, site: 'tokyo-1', ...spec },
  );
  cleanups.push(() => store.close());
  return store;
}

/** Uses every kind of command, and gives the number of devices it met. */
async function exercise(store: Store): Promise<number> {
  await store.putDevice(aDevice(MAC));
  await store.touchDevice(MAC, { at: 1, from: 'a' });
  await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
  await store.restoreOverrides((await store.overridesSnapshot()).registers);
  await store.putRevocations({ number: 1, pem: 'x', fetchedAt: 1 });
  expect(await store.getRevocations()).not.toBeNull();
  expect(await store.revision()).toContain('.3');
  expect(await store.recordDetections([aDetection('a')])).toBe(1);
  expect((await store.detectionsAfter(null, 5)).detections).toHaveLength(1);
  expect(await store.putAlarm('alarm', { expected: 0, body: '{}' })).toBe(true);
  expect(await store.putAlarm('alarm', { expected: (await store.alarms()).get('alarm')?.version ?? 0, body: null })).toBe(true);
  const { devices } = await store.listDevices({ limit: 5 });
  expect(await store.deleteDevice(MAC)).toBe(true);
  return devices.length;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The rights that docs name for the ACL user of a store: its keys, and the commands it uses. */
const ACL_COMMANDS =
  '+eval +ping +select +exists +del +hget +hmget +hgetall +hset +hsetnx +hincrby +hdel +hlen +hexists ' +
  '+zadd +zrem +zrangebylex';
const withAcl = (commands = ACL_COMMANDS): string[] =>
  `--user default off --user sekisho on >${PASSWORD} ~sekisho:* ${commands}`.split(' ');

it('opens a file', async () => {
  const server = await serve();
  expect(await exercise(await open({ url: `sqlite:${join(server.directory, 'store.db')}` }))).toBe(1);
});

it('opens a Redis over TCP, in the database that is named', async () => {
  const port = await freePort();
  await serve(() => ['--port', String(port), '--bind', '127.0.0.1']);
  const url = `redis://127.0.0.1:${port}`;
  const store = await open({ url: `${url}/3` });
  expect(await exercise(store)).toBe(1);
  const other = await open({ url });
  expect(await other.getRevocations()).toBeNull();
});

it('is content with the rights of an ACL user of its own', async () => {
  const server = await serve(() => withAcl());
  expect(await exercise(await open({ url: server.url, username: 'sekisho', password: PASSWORD }))).toBe(1);
});

it.each([
  ['a wrong password', 'WRONGPASS', { username: 'sekisho', password: 'wrong-horse' }],
  ['an unknown user', 'WRONGPASS', { username: 'nobody', password: PASSWORD }],
  ['no password', 'NOAUTH', {}],
])('is DENIED with %s, says %s and never the password', async (_, reason, credentials) => {
  const server = await serve(() => withAcl());
  const reasons: string[] = [];
  const store = await open({ url: server.url, ...credentials }, reasons);
  // Still so after the connection was closed and tried again.
  for (let n = 0; n < 10; n += 1) {
    const { error } = await timed(store.getDevice(MAC));
    expect(error).toMatchObject({ name: 'StoreError', code: 'DENIED', message: expect.stringContaining(reason) });
    expect(inspect([reasons, error], { depth: 9, showHidden: true })).not.toMatch(/horse/u);
    await sleep(50);
  }
  expect(reasons).toEqual([expect.stringContaining(`down: Redis: ${reason}`)]);
});

it('is DENIED what the ACL does not allow, and stays connected', async () => {
  const server = await serve(() => withAcl('+ping +hmget'));
  const reasons: string[] = [];
  const store = await open({ url: server.url, username: 'sekisho', password: PASSWORD }, reasons);
  await expect(store.putDevice(aDevice(MAC))).rejects.toMatchObject({ code: 'DENIED' });
  expect(await store.getDevice(MAC)).toBeNull();
  expect(reasons).toEqual(['up: answers']);
});

it('speaks TLS and refuses a server whose certificate it does not know', async () => {
  const port = await freePort();
  const { directory } = await serve();
  const key = join(directory, 'key.pem');
  const cert = join(directory, 'cert.pem');
  const request =
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 ' +
    '-subj /CN=redis.example -addext subjectAltName=DNS:redis.example';
  await promisify(execFile)('openssl', [...request.split(' '), '-keyout', key, '-out', cert]);
  const tlsArguments = `--tls-port ${port} --bind 127.0.0.1 --tls-auth-clients no`;
  await serve(() => [...tlsArguments.split(' '), '--tls-cert-file', cert, '--tls-key-file', key]);
  const url = `rediss://127.0.0.1:${port}`;
  const ca = await readFile(cert, 'utf8');
  expect(await exercise(await open({ url, tls: { ca, serverName: 'redis.example' } }))).toBe(1);
  for (const tls of [undefined, { serverName: 'redis.example' }, { ca }]) {
    const reasons: string[] = [];
    const stranger = await open({ url, ...(tls === undefined ? {} : { tls }) }, reasons);
    expect((await timed(stranger.ping())).error).toMatchObject({ code: 'UNAVAILABLE' });
    await eventually('the reason is told', () => /certificate|altnames/iu.test(reasons[0] ?? ''));
  }
});

it('refuses contradictions', async () => {
  const invalid = { code: 'INVALID' };
  await expect(open({ url: 'redis://127.0.0.1', tls: {} })).rejects.toMatchObject(invalid);
  await expect(open({ url: 'redis://127.0.0.1', operationTimeoutMs: 0 })).rejects.toMatchObject(invalid);
  await expect(open({ url: 'postgres://127.0.0.1' })).rejects.toMatchObject(invalid);
});
