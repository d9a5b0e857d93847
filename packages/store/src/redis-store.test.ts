import { Redis } from 'ioredis';
import RedisMock from 'ioredis-mock';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeStore } from '../test/compliance.ts';
import { aDetection, aDevice, macNumber } from '../test/records.ts';
import type { OpenInit } from '../test/store-under-test.ts';
import { RedisServer } from '../test/redis-server.ts';
import { openStore } from './open-store.ts';
import { RedisConnection } from './redis-connection.ts';
import { RedisStore } from './redis-store.ts';
import type { Store } from './store.ts';

const OPERATION_TIMEOUT_MS = 5000;
const MAC = macNumber(1);
let server: RedisServer;
let raw: Redis;

beforeAll(async () => {
  server = await RedisServer.start();
  raw = new Redis(server.socketPath);
});
afterAll(async () => {
  raw.disconnect();
  await server.stop();
});

const open = (site = 'tokyo-1', { clock, detectionLimits }: OpenInit = {}): Promise<Store> =>
  openStore({ clock }, { url: server.url, site, operationTimeoutMs: OPERATION_TIMEOUT_MS, detectionLimits });

describeStore(
  'RedisStore over a real redis-server',
  async () => ({
    open: (init) => open('tokyo-1', init),
    wipe: async () => {
      await raw.flushall();
    },
    damage: async (mac) => {
      await raw.hset(`sekisho:{tokyo-1}:device:${mac}`, 'body', '{');
    },
  }),
  40,
);

describeStore(
  'RedisStore over ioredis-mock',
  async () => {
    const wiper = new RedisMock();
    return {
      open: async ({ clock, detectionLimits } = {}) => {
        const client = new RedisMock();
        const connection = new RedisConnection({ client }, { operationTimeoutMs: OPERATION_TIMEOUT_MS });
        await connection.firstOutcome();
        return new RedisStore({ connection, clock }, { site: 'tokyo-1', detectionLimits });
      },
      wipe: async () => {
        await wiper.flushall();
      },
      damage: async (mac) => {
        await wiper.hset(`sekisho:{tokyo-1}:device:${mac}`, 'body', '{');
      },
    };
  },
  10,
);

describe('keys', () => {
  beforeEach(() => raw.flushall());

  it('of sites are apart in one Redis', async () => {
    const [tokyo, osaka] = [await open('tokyo-1'), await open('osaka-1')];
    await tokyo.putDevice(aDevice(MAC));
    await tokyo.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    await tokyo.putRevocations({ number: 1, pem: 'x', fetchedAt: 1 });
    await tokyo.recordDetections([aDetection('a')]);
    await tokyo.putAlarm('a', { expected: 0, body: 'x' });
    expect((await osaka.detectionsAfter(null, 1)).detections).toEqual([]);
    expect(await osaka.alarms()).toEqual(new Map());
    expect(await osaka.getDevice(MAC)).toBeNull();
    expect(await osaka.getRevocations()).toBeNull();
    expect(await osaka.overridesSnapshot()).toMatchObject({ epoch: null, changes: 0 });
    const keys = await raw.keys('*');
    expect(keys.every((key) => key.startsWith('sekisho:{tokyo-1}:'))).toBe(true);
    await Promise.all([tokyo.close(), osaka.close()]);
  });

  it('need a site that is a name', async () => {
    for (const site of ['', 'a}b', 'A', '-a', 'x'.repeat(64)])
      await expect(open(site)).rejects.toMatchObject({ code: 'INVALID' });
  });
});

describe('detections', () => {
  beforeEach(() => raw.flushall());
  const log = 'sekisho:{tokyo-1}:detections';
  const index = 'sekisho:{tokyo-1}:detection-index';

  it('begin anew after FLUSHALL, also for a cursor of before', async () => {
    // A clock that was ahead: the numbers of before are above those that come.
    const ahead = await open('tokyo-1', { clock: { now: () => Date.now() + 60_000 } });
    await ahead.recordDetections(['a', 'b', 'c'].map((key) => aDetection(key)));
    const { cursor } = await ahead.detectionsAfter(null, 3);
    await raw.flushall();
    const store = await open();
    const empty = await store.detectionsAfter(cursor, 10);
    expect(empty.detections).toEqual([]);
    expect(await store.recordDetections([aDetection('a'), aDetection('d')])).toBe(2);
    for (const before of [cursor, empty.cursor, null])
      expect((await store.detectionsAfter(before, 10)).detections.map(({ key }) => key)).toEqual(['a', 'd']);
    await Promise.all([ahead.close(), store.close()]);
  });

  it.each([
    ['the log', log],
    ['the index', index],
  ])('begin anew when Redis has evicted %s', async (_, evicted) => {
    const store = await open();
    await store.recordDetections([aDetection('a'), aDetection('b')]);
    const { cursor } = await store.detectionsAfter(null, 2);
    await raw.del(evicted);
    expect((await store.detectionsAfter(cursor, 10)).detections).toEqual([]);
    expect(await store.recordDetections([aDetection('b'), aDetection('c')])).toBe(2);
    expect((await store.detectionsAfter(cursor, 10)).detections.map(({ key }) => key)).toEqual(['b', 'c']);
    await store.close();
  });

  it('are CORRUPT when their keys are of another type, and so are alarms', async () => {
    const store = await open();
    await raw.set(log, 'x');
    await raw.set(index, 'x');
    await raw.hset('sekisho:{tokyo-1}:alarms', ':a', 'loud');
    const corrupt = { name: 'StoreError', code: 'CORRUPT' };
    await expect(store.recordDetections([aDetection('a')])).rejects.toMatchObject(corrupt);
    await expect(store.detectionsAfter(null, 1)).rejects.toMatchObject(corrupt);
    await expect(store.alarms()).rejects.toMatchObject(corrupt);
    await store.close();
  });

  it('that cannot be read hide no others', async () => {
    const store = await open();
    await store.recordDetections([aDetection('a')]);
    await raw.zadd(log, 0, '9000000000000000:x:{', 0, `9000000000000001:y:${JSON.stringify({ ...aDetection('y'), source: 'other' })}`);
    const page = await store.detectionsAfter(null, 10);
    expect(page).toMatchObject({ detections: [aDetection('a')], unreadable: 2 });
    expect(await store.detectionsAfter(page.cursor, 10)).toEqual({ detections: [], unreadable: 0, cursor: page.cursor });
    await store.close();
  });
});

describe('what was damaged', () => {
  let store: Store;
  beforeEach(async () => {
    await raw.flushall();
    store = await open();
    await store.putDevice(aDevice(MAC));
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    await store.putRevocations({ number: 1, pem: 'x', fetchedAt: 1 });
  });
  afterEach(() => store.close());
  const device = `sekisho:{tokyo-1}:device:${MAC}`;
  const table = 'sekisho:{tokyo-1}:table';

  it.each<[string, () => Promise<unknown>, (store: Store) => Promise<unknown>]>([
    ['a device', () => raw.hset(device, 'body', '{'), (store) => store.getDevice(MAC)],
    ['a sighting', () => raw.hset(device, 'seenAt', 'noon', 'seenFrom', 'x'), (store) => store.getDevice(MAC)],
    ['half a sighting', () => raw.hset(device, 'seenAt', '1'), (store) => store.getDevice(MAC)],
    ['the type of a device', () => raw.set(device, 'x'), (store) => store.getDevice(MAC)],
    ['an override', () => raw.hset(table, 'relay-1', 'drained'), (store) => store.overrides()],
    ['the text of an override', () => raw.hset(table, 'relay-1', '1:s:{"by":1}'), (store) => store.overridesSnapshot()],
    ['the number of changes', () => raw.hset(table, '@changes', 'many'), (store) => store.revision()],
    ['the type of the table', () => raw.set(table, 'x'), (store) => store.deleteDevice(MAC)],
    ['the revocation list', () => raw.hset('sekisho:{tokyo-1}:revocations', 'number', '1'), (store) => store.getRevocations()],
  ])('is CORRUPT: %s', async (_, damage, read) => {
    await damage();
    await expect(read(store)).rejects.toMatchObject({ name: 'StoreError', code: 'CORRUPT', temporary: false });
  });

  it('can be mended by writing it anew', async () => {
    await raw.hset(device, 'body', '{', 'seenAt', 'noon');
    await raw.hset(table, 'relay-1', 'drained');
    await raw.hset('sekisho:{tokyo-1}:revocations', 'number', 'many');
    await store.putDevice(aDevice(MAC, { lastSeenAt: 5, lastSeenFrom: 'a' }));
    await store.setOverride('relay-1', { drain: false, weight: 1, by: 'ann', at: 2 });
    expect(await store.putRevocations({ number: 1, pem: 'y', fetchedAt: 1 })).toBe(true);
    expect(await store.getDevice(MAC)).toMatchObject({ lastSeenAt: 5 });
    expect((await store.overrides()).get('relay-1')).toMatchObject({ weight: 1 });
  });

  it('lists the others when a device is of another type', async () => {
    await store.putDevice(aDevice(macNumber(2)));
    await raw.set(device, 'x');
    expect(await store.listDevices({ limit: 5 })).toEqual({ devices: [aDevice(macNumber(2))], corrupt: [MAC], next: null });
  });

  it('leaves out of a listing what Redis has evicted', async () => {
    await store.putDevice(aDevice(macNumber(2)));
    await raw.del(device);
    expect(await store.getDevice(MAC)).toBeNull();
    expect(await store.listDevices({ limit: 1 })).toEqual({ devices: [], corrupt: [], next: MAC });
    expect((await store.listDevices({ after: MAC, limit: 1 })).devices).toEqual([aDevice(macNumber(2))]);
    expect(await store.deleteDevice(MAC)).toBe(false);
    expect((await store.listDevices({ limit: 5 })).devices).toEqual([aDevice(macNumber(2))]);
  });
});
