import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeStore } from '../test/compliance.ts';
import { aDetection, aDevice, macNumber } from '../test/records.ts';
import type { OpenInit } from '../test/store-under-test.ts';
import { sqliteSchema } from './sqlite-schema.ts';
import { SqliteStore } from './sqlite-store.ts';
import type { Store } from './store.ts';

const OPERATION_TIMEOUT_MS = 5000;
const MAC = macNumber(1);
let directory: string;
let files = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sekisho-sqlite-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const newPath = (): string => join(directory, `store-${(files += 1)}.db`);
const opened: Store[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

async function open(path: string, init: OpenInit & { operationTimeoutMs?: number; states?: string[] } = {}): Promise<SqliteStore> {
  const store = await SqliteStore.open(
    { onStateChange: (state) => init.states?.push(state), clock: init.clock },
    { path, operationTimeoutMs: init.operationTimeoutMs ?? OPERATION_TIMEOUT_MS, detectionLimits: init.detectionLimits },
  );
  opened.push(store);
  return store;
}

function withRaw(path: string, work: (raw: DatabaseSync) => void): void {
  const raw = new DatabaseSync(path, { timeout: OPERATION_TIMEOUT_MS });
  try {
    work(raw);
  } finally {
    raw.close();
  }
}

describeStore(
  'SqliteStore',
  async () => {
    const path = newPath();
    await (await open(path)).close();
    return {
      open: (init) => open(path, init),
      wipe: async () =>
        withRaw(path, (raw) =>
          raw.exec(
            'DELETE FROM device; DELETE FROM override; DELETE FROM revocations; DELETE FROM detection; DELETE FROM alarm;' +
              'UPDATE meta SET changes = 0',
          ),
        ),
      damage: async (mac) => withRaw(path, (raw) => void raw.prepare(`UPDATE device SET body = '{' WHERE mac = ?`).run(mac)),
    };
  },
  40,
);

describe('a file', () => {
  it('is readable to its owner only, with what stands beside it', async () => {
    const path = newPath();
    const store = await open(path);
    await store.putDevice(aDevice(MAC));
    for (const name of [path, `${path}-wal`, `${path}-shm`]) expect((await stat(name)).mode & 0o777).toBe(0o600);
  });

  it('keeps everything, its epoch too, when opened again', async () => {
    const path = newPath();
    const store = await open(path);
    await store.putDevice(aDevice(MAC));
    await store.setOverride('relay-1', { drain: true, weight: 2, by: 'ann', at: 1 });
    await store.putRevocations({ number: 4, pem: 'x', fetchedAt: 1 });
    const before = await store.overridesSnapshot();
    await store.close();
    const again = await open(path);
    expect(await again.overridesSnapshot()).toEqual(before);
    expect(await again.getDevice(MAC)).toEqual(aDevice(MAC));
    expect(await again.getRevocations()).toMatchObject({ number: 4n });
  });

  it('has another epoch than every other file', async () => {
    const [a, b] = [await open(newPath()), await open(newPath())];
    expect(await a.revision()).not.toBe(await b.revision());
  });
});

describe('a file in the place of another', () => {
  it('is read from its beginning, whatever was seen of the other', async () => {
    const [before, after] = [await open(newPath()), await open(newPath())];
    await after.recordDetections([aDetection('a')]);
    await before.recordDetections([aDetection('x'), aDetection('y')]);
    const { cursor } = await before.detectionsAfter(null, 5);
    expect((await after.detectionsAfter(cursor, 5)).detections).toEqual([aDetection('a')]);
  });
});

describe('a file of version 1', () => {
  /** As the first release made it. */
  const VERSION_1 = `
    CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, changes INTEGER NOT NULL) STRICT;
    CREATE TABLE device (mac TEXT PRIMARY KEY, body TEXT NOT NULL, seen_at INTEGER, seen_from TEXT)
      STRICT, WITHOUT ROWID;
    CREATE TABLE override (relay TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL)
      STRICT, WITHOUT ROWID;
    CREATE TABLE revocations (id INTEGER PRIMARY KEY CHECK (id = 1), number TEXT NOT NULL, pem TEXT NOT NULL,
      fetched_at INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES (1, '6f1c2f2e-0f5a-4b7e-9d55-000000000001', 7);
    INSERT INTO override VALUES ('relay-1', 'set', 5, '{"drain":true,"weight":2,"by":"ann"}');
    PRAGMA application_id = 0x73656b69; PRAGMA user_version = 1; PRAGMA journal_mode = WAL`;

  it('is upgraded where it is, by whoever of many comes first, and keeps what it has', async () => {
    const path = newPath();
    withRaw(path, (raw) => raw.exec(VERSION_1));
    const module = new URL('./sqlite-store.ts', import.meta.url).href;
    const detection = JSON.stringify(aDetection('child'));
    const script = `
      import { SqliteStore } from ${JSON.stringify(module)};
      const store = await SqliteStore.open({}, { path: process.argv[1], operationTimeoutMs: 15000 });
      const recorded = await store.recordDetections([${detection}]);
      await store.close();
      process.stdout.write(String(recorded));`;
    const child = async (): Promise<number> =>
      Number((await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, path])).stdout);
    // One that was open before, as an older process has it.
    const raw = new DatabaseSync(path, { timeout: OPERATION_TIMEOUT_MS });
    const read = raw.prepare('SELECT changes FROM meta');
    expect(read.get()).toEqual({ changes: 7 });
    const [first, second, ...stores] = await Promise.all([child(), child(), ...Array.from({ length: 4 }, () => open(path))]);
    expect(first + second).toBe(1);
    for (const store of stores) {
      expect(await store.revision()).toBe('6f1c2f2e-0f5a-4b7e-9d55-000000000001.7');
      expect((await store.detectionsAfter(null, 5)).detections).toEqual([aDetection('child')]);
    }
    expect((await stores[0]?.overrides())?.get('relay-1')).toEqual({ drain: true, weight: 2, by: 'ann', at: 5 });
    expect(await stores[0]?.putAlarm('a', { expected: 0, body: 'x' })).toBe(true);
    raw.exec('UPDATE meta SET changes = changes + 1');
    expect(read.get()).toEqual({ changes: 8 });
    raw.close();
    expect(await stores[0]?.revision()).toContain('.8');
  });
});

describe('several users of one file', () => {
  it('may open it at the same moment', async () => {
    const path = newPath();
    const stores = await Promise.all(Array.from({ length: 8 }, () => open(path)));
    const revisions = await Promise.all(stores.map((store) => store.revision()));
    expect(new Set(revisions).size).toBe(1);
  });

  it('lose no change of another process', async () => {
    const path = newPath();
    const ours = await open(path);
    const module = new URL('./sqlite-store.ts', import.meta.url).href;
    const script = `
      import { SqliteStore } from ${JSON.stringify(module)};
      const store = await SqliteStore.open({}, { path: process.argv[1], operationTimeoutMs: 15000 });
      for (let n = 0; n < 50; n += 1)
        await store.setOverride('relay-' + process.argv[2], { drain: true, weight: n, by: 'child', at: n });
      await store.close();`;
    const child = (name: string): Promise<unknown> =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, path, name]);
    const here = async (): Promise<void> => {
      for (let n = 0; n < 50; n += 1)
        await ours.setOverride('relay-3', { drain: true, weight: n, by: 'parent', at: n });
    };
    await Promise.all([child('1'), child('2'), here()]);
    const { changes, registers } = await ours.overridesSnapshot();
    expect(changes).toBe(150);
    expect([...registers.values()].map((register) => register.kind === 'set' && register.weight)).toEqual([49, 49, 49]);
  });

  it('wait for a lock without stopping the process, and give up at the deadline', async () => {
    const path = newPath();
    const states: string[] = [];
    const store = await open(path, { operationTimeoutMs: 300, states });
    await store.putDevice(aDevice(MAC));
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 5);
    const raw = new DatabaseSync(path);
    raw.exec('BEGIN IMMEDIATE');
    try {
      await expect(store.putDevice(aDevice(MAC, { label: 'late' }))).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        temporary: true,
      });
      expect(turns).toBeGreaterThan(3);
      expect(states).toEqual(['up', 'down']);
      // Readers do not wait for a writer (write-ahead log).
      expect(await store.getDevice(MAC)).toEqual(aDevice(MAC));
      setTimeout(() => raw.exec('ROLLBACK'), 50);
      await store.putDevice(aDevice(MAC, { label: 'in time' }));
    } finally {
      clearInterval(ticking);
      raw.close();
    }
    expect(await store.getDevice(MAC)).toMatchObject({ label: 'in time' });
    expect(states).toEqual(['up', 'down', 'up']);
  });
});

describe('what cannot be used', () => {
  it('is refused when it is no database', async () => {
    const path = newPath();
    await writeFile(path, 'This is not a database, it is a letter. '.repeat(200));
    await expect(open(path)).rejects.toMatchObject({ name: 'StoreError', code: 'CORRUPT', temporary: false });
  });

  it('is refused when it is the database of another program or of another version', async () => {
    const foreign = newPath();
    withRaw(foreign, (raw) => raw.exec('CREATE TABLE invoice (id)'));
    await expect(open(foreign)).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
    const newer = newPath();
    await (await open(newer)).close();
    withRaw(newer, (raw) => raw.exec('PRAGMA user_version = 3'));
    await expect(open(newer)).rejects.toMatchObject({ code: 'INCOMPATIBLE', message: expect.stringContaining('3') });
    // Asked beforehand, without a change to the file.
    expect(sqliteSchema(newer)).toEqual({ has: 3, speaks: 2 });
    expect([foreign, newPath()].map((path) => sqliteSchema(path))).toEqual([undefined, undefined]);
  });

  it('is refused when it cannot be created or opened', async () => {
    await expect(open(join(directory, 'missing', 'store.db'))).rejects.toMatchObject({ code: 'DENIED' });
    await expect(open(directory)).rejects.toMatchObject({ code: 'DENIED' });
  });

  it('says CORRUPT when pages are damaged', async () => {
    const path = newPath();
    const store = await open(path);
    for (let n = 0; n < 50; n += 1) await store.putDevice(aDevice(macNumber(n), { notes: 'x'.repeat(2000) }));
    await store.close();
    await truncate(path, 3 * 4096);
    const damaged = async (): Promise<void> => {
      const again = await open(path);
      await again.listDevices({ limit: 100 });
    };
    await expect(damaged()).rejects.toMatchObject({ name: 'StoreError', code: 'CORRUPT' });
  });

  it.each<[string, string, (store: Store) => Promise<unknown>]>([
    ['a device', `UPDATE device SET body = '{'`, (store) => store.getDevice(MAC)],
    ['a device that is no record', `UPDATE device SET body = 'null'`, (store) => store.getDevice(MAC)],
    ['a field of a device', `UPDATE device SET body = json_set(body, '$.state', 'x')`, (store) => store.getDevice(MAC)],
    ['a device under another name', `UPDATE device SET mac = '02:00:5e:10:00:02'`, (store) => store.getDevice(macNumber(2))],
    ['half a sighting', `UPDATE device SET seen_at = 1`, (store) => store.getDevice(MAC)],
    ['a number beyond JavaScript', `UPDATE device SET seen_at = 9223372036854775807`, (store) => store.getDevice(MAC)],
    ['an override', `UPDATE override SET body = '[]'`, (store) => store.overrides()],
    ['the kind of an override', `UPDATE override SET kind = 'maybe'`, (store) => store.overridesSnapshot()],
    ['the revocation list', `UPDATE revocations SET number = 'many'`, (store) => store.getRevocations()],
    ['the epoch', `DELETE FROM meta`, (store) => store.revision()],
  ])('says CORRUPT when it finds damage: %s', async (_, damage, read) => {
    const path = newPath();
    const store = await open(path);
    await store.putDevice(aDevice(MAC));
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    await store.putRevocations({ number: 1, pem: 'x', fetchedAt: 1 });
    withRaw(path, (raw) => raw.exec(damage));
    await expect(read(store)).rejects.toMatchObject({ name: 'StoreError', code: 'CORRUPT', temporary: false });
  });

  it('lists the others when a time of one is beyond JavaScript', async () => {
    const path = newPath();
    const store = await open(path);
    const fine = aDevice(macNumber(2), { lastSeenAt: 1_700_000_000_000, lastSeenFrom: 'a' });
    for (const device of [aDevice(MAC, { lastSeenAt: 1, lastSeenFrom: 'a' }), fine]) await store.putDevice(device);
    withRaw(path, (raw) => raw.exec(`UPDATE device SET seen_at = 9223372036854775807 WHERE mac = '${MAC}'`));
    expect(await store.listDevices({ limit: 5 })).toEqual({ devices: [fine], corrupt: [MAC], next: null });
  });

  it('can be mended by writing it anew', async () => {
    const path = newPath();
    const store = await open(path);
    await store.putDevice(aDevice(MAC));
    await store.setOverride('relay-1', { drain: true, weight: null, by: 'ann', at: 1 });
    withRaw(path, (raw) => raw.exec(`UPDATE device SET body = '{'; UPDATE override SET body = '{'`));
    await store.putDevice(aDevice(MAC));
    await store.clearOverride('relay-1', { by: 'ann', at: 2 });
    expect(await store.getDevice(MAC)).toEqual(aDevice(MAC));
    expect(await store.overrides()).toEqual(new Map());
  });
});
