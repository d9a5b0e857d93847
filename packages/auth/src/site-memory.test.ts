import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type DeviceRecord, openStore, type Store, StoreError } from '@sekisho/store';
import { createLogger } from '@sekisho/telemetry';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Operator } from './pki/operator.ts';
import { MAX_REVOCATION_LIST_BYTES } from './pki/revocation-list.ts';
import { RegistryMirror } from './registry-mirror.ts';
import { RememberedList } from './remembered-list.ts';
import { fileSource, type RevocationSource, urlSource } from './revocation-source.ts';
import { RevocationState } from './revocation-state.ts';
import { MAX_PENDING_SIGHTINGS, Sightings } from './sightings.ts';
import { SiteMemory } from './site-memory.ts';

const MAC = '02:00:5e:10:00:01';
const DAY_MS = 86_400_000;
const SERIAL = '4a'.repeat(16);

let directory: string;
let operator: Operator;
let store: Store;
let events: string[];
let nowMs: number;
const stops: (() => unknown)[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sekisho-memory-'));
  operator = await Operator.init(join(directory, 'operator'), { name: 'Example', managerName: 'manager.example.com' });
  store = await openStore({}, { url: `sqlite:${join(directory, 'site.db')}`, site: 'tokyo-1' });
  events = [];
  nowMs = Date.now();
});
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

function makeMemory(init: { file?: RevocationSource; urls?: RevocationSource[]; maxAgeMs?: number; remembered?: string } = {}) {
  const registry = new RegistryMirror();
  const revocations = new RevocationState({ caPem: operator.caCertPem });
  const log = createLogger({
    role: 'auth',
    destination: { write: (line) => void events.push((JSON.parse(line) as { event: string }).event) },
  });
  const remembered = init.remembered === undefined ? undefined : new RememberedList({ path: init.remembered });
  // The store of the moment: a test may swap it for one that has lost everything.
  const current = new Proxy({} as Store, { get: (_target, name) => (Reflect.get(store, name) as () => unknown).bind(store) });
  const memory = new SiteMemory(
    { store: current, log, clock: { now: () => nowMs }, registry, revocations, remembered },
    { file: init.file, urls: init.urls ?? [], maxAgeMs: init.maxAgeMs ?? DAY_MS },
  );
  return { registry, revocations, memory };
}

const device = (mac: string, changes: Partial<DeviceRecord> = {}): DeviceRecord => ({
  mac,
  label: '',
  contact: '',
  notes: '',
  state: 'enabled',
  proof: 'certificate',
  serial: null,
  rights: ['smtp', 'unheard-of'],
  expiresAt: null,
  revokedAt: null,
  updatedAt: 1,
  lastSeenAt: null,
  lastSeenFrom: null,
  ...changes,
});

const revoke = async (serials = [SERIAL]) => (await operator.revoke({ serials })).listPem;

async function serve(answer: (path: string) => { status?: number; body?: string; headers?: Record<string, string> }): Promise<{ url: string; requests: string[]; server: Server }> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.url} ${request.headers['if-none-match'] ?? ''}`);
    const { status = 200, body = '', headers = {} } = answer(request.url ?? '');
    response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, server };
}

test('the registry follows the store, page by page, and stays when the store goes', async () => {
  for (let number = 0; number < 600; number += 1)
    await store.putDevice(device(`02:00:5e:20:${(number >> 8).toString(16).padStart(2, '0')}:${(number & 255).toString(16).padStart(2, '0')}`));
  await store.putDevice(device(MAC, { state: 'disabled' }));
  const { registry, memory } = makeMemory();
  await memory.pollStore();
  expect(registry.size).toBe(601);
  expect(registry.device(MAC)).toEqual({ disabled: true, macOnly: false, rights: 1 });
  await store.putDevice(device(MAC, { proof: 'mac-only', rights: ['smtp', 'pop3', 'pop3'] }));
  await memory.pollStore();
  expect(registry.device(MAC)).toEqual({ disabled: false, macOnly: true, rights: 3 });
  await store.close();
  await memory.pollStore();
  await memory.pollStore();
  expect(memory.storeFailure).toBeDefined();
  expect(registry.size).toBe(601);
  expect(events).toEqual(['store_down']);
});

test('a list in a file is taken, kept in the store, and found there by the next auth', async () => {
  const path = join(directory, 'list.pem');
  const { revocations, memory } = makeMemory({ file: fileSource(path) });
  await memory.pollFile();
  expect(memory.sourceFailures[path]).toContain('ENOENT');
  await writeFile(path, await revoke());
  await memory.pollFile();
  expect(memory.sourceFailures).toEqual({});
  expect(revocations.isRevoked(SERIAL)).toBe(true);
  await memory.pollStore();
  const next = makeMemory();
  await next.memory.pollStore();
  expect(next.revocations.isRevoked(SERIAL)).toBe(true);
  expect(events).toEqual(['revocations_source_down', 'revocations_adopted', 'revocations_source_up', 'revocations_adopted']);
});

test('an older list never comes back, from no source', async () => {
  const old = await revoke([]);
  const newer = await revoke();
  const path = join(directory, 'list.pem');
  await writeFile(path, newer);
  const { revocations, memory } = makeMemory({ file: fileSource(path) });
  await memory.pollFile();
  await writeFile(`${path}.new`, old);
  await rename(`${path}.new`, path);
  await memory.pollFile();
  expect(revocations.isRevoked(SERIAL)).toBe(true);
  await store.putRevocations({ number: 2, pem: old, fetchedAt: 1 });
  await memory.pollStore();
  expect(revocations.isRevoked(SERIAL)).toBe(true);
  expect((await store.getRevocations())?.number).toBe(3n);
});

test('a list that is not the operator’s is refused, also when it lies in the store', async () => {
  const stranger = await Operator.init(join(directory, 'stranger'), { name: 'Example', managerName: 'manager.example.com' });
  const { listPem } = await stranger.revoke({ serials: [SERIAL] });
  const path = join(directory, 'list.pem');
  await writeFile(path, listPem);
  await store.putRevocations({ number: 99, pem: listPem, fetchedAt: 1 });
  const { revocations, memory } = makeMemory({ file: fileSource(path) });
  await memory.pollFile();
  await memory.pollFile();
  await memory.pollStore();
  expect(revocations.list).toBeUndefined();
  expect(memory.sourceFailures[path]).toContain('not signed by this operator');
  expect(events).toContain('revocations_refused');
});

test('a list from a URL outlives a restart with the store wiped and the URL out of reach', async () => {
  const remembered = join(directory, 'state', 'revocations.crl.pem');
  await mkdir(join(directory, 'state'));
  const list = await revoke();
  const { url, server } = await serve(() => ({ body: list }));
  const first = makeMemory({ urls: [urlSource(url)], remembered });
  await first.memory.recall();
  await first.memory.pollUrls();
  expect([await readFile(remembered, 'utf8'), (await stat(remembered)).mode & 0o777]).toEqual([list, 0o600]);
  expect(await readdir(join(directory, 'state'))).toEqual(['revocations.crl.pem']);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await store.close();
  store = await openStore({}, { url: `sqlite:${join(directory, 'wiped.db')}`, site: 'tokyo-1' });
  const next = makeMemory({ urls: [urlSource(url)], remembered });
  await next.memory.recall();
  expect(next.revocations.isRevoked(SERIAL)).toBe(true);
  await next.memory.pollUrls();
  await next.memory.pollStore();
  expect(next.revocations.isRevoked(SERIAL)).toBe(true);
  // The others of the site learn it again, too.
  expect((await store.getRevocations())?.number).toBe(2n);
});

test('of a remembered list and another the higher number wins, and is remembered', async () => {
  const remembered = join(directory, 'revocations.crl.pem');
  const [old, middle, newest] = [await revoke([]), await revoke(), await revoke()];
  await writeFile(remembered, middle);
  const path = join(directory, 'list.pem');
  await writeFile(path, old);
  await store.putRevocations({ number: 2, pem: old, fetchedAt: 1 });
  const { memory, revocations } = makeMemory({ file: fileSource(path), remembered });
  await memory.recall();
  await memory.pollStore();
  await memory.pollFile();
  expect([revocations.list?.number, await readFile(remembered, 'utf8')]).toEqual([3n, middle]);
  await store.putRevocations({ number: 4, pem: newest, fetchedAt: 1 });
  await memory.pollStore();
  expect([revocations.list?.number, await readFile(remembered, 'utf8')]).toEqual([4n, newest]);
});

test('a remembered list that is not the operator’s is refused, and replaced by the next good one', async () => {
  const remembered = join(directory, 'revocations.crl.pem');
  const stranger = await Operator.init(join(directory, 'stranger'), { name: 'Example', managerName: 'manager.example.com' });
  await writeFile(remembered, (await stranger.revoke({ serials: [SERIAL] })).listPem);
  const path = join(directory, 'list.pem');
  const { memory, revocations } = makeMemory({ file: fileSource(path), remembered });
  await memory.recall();
  expect([revocations.list, events]).toEqual([undefined, ['revocations_refused']]);
  const list = await revoke();
  await writeFile(path, list);
  await memory.pollFile();
  expect(await readFile(remembered, 'utf8')).toBe(list);
});

test('a list that cannot be written down is in force all the same; it is told once and tried again', async () => {
  const remembered = join(directory, 'blocked', 'revocations.crl.pem');
  const path = join(directory, 'list.pem');
  await writeFile(path, await revoke());
  const { memory, revocations } = makeMemory({ file: fileSource(path), remembered });
  await memory.recall();
  await memory.pollFile();
  await memory.pollStore();
  expect(revocations.isRevoked(SERIAL)).toBe(true);
  expect(memory.sourceFailures[remembered]).toContain('ENOENT');
  await mkdir(join(directory, 'blocked'));
  await memory.pollStore();
  expect(memory.sourceFailures).toEqual({});
  expect(events).toEqual(['revocations_adopted', 'revocations_not_remembered', 'revocations_remembered']);
});

test('a store that has lost its data gets the list back', async () => {
  const path = join(directory, 'list.pem');
  await writeFile(path, await revoke());
  const { memory } = makeMemory({ file: fileSource(path) });
  await memory.pollFile();
  await memory.pollStore();
  await store.close();
  store = await openStore({}, { url: `sqlite:${join(directory, 'wiped.db')}`, site: 'tokyo-1' });
  const after = makeMemory({ file: fileSource(path) });
  await after.memory.pollStore();
  expect(await store.getRevocations()).toBeNull();
  await after.memory.pollFile();
  await after.memory.pollStore();
  expect((await store.getRevocations())?.number).toBe(2n);
});

test('a device that was disabled does not come back because the store was wiped', async () => {
  await store.putDevice(device(MAC, { state: 'disabled' }));
  const { registry, memory } = makeMemory();
  await memory.pollStore();
  const full = store;
  store = await openStore({}, { url: `sqlite:${join(directory, 'wiped.db')}`, site: 'tokyo-1' });
  stops.push(() => full.close());
  await memory.pollStore();
  expect(events).toEqual(['registry_lost']);
  expect(registry.device(MAC)?.disabled).toBe(true);
  const other = '02:00:5e:10:00:02';
  await store.putDevice(device(other));
  await memory.pollStore();
  expect([registry.device(MAC)?.disabled, registry.device(other)?.disabled]).toEqual([true, false]);
  await store.putDevice(device(MAC));
  await memory.pollStore();
  expect(registry.device(MAC)?.disabled).toBe(false);
  expect(events).toEqual(['registry_lost']);
});

test('a record that cannot be read leaves its device as it was known, is told once, and stops no other order', async () => {
  const other = '02:00:5e:10:00:02';
  for (const mac of [MAC, other]) await store.putDevice(device(mac, { state: mac === MAC ? 'disabled' : 'enabled' }));
  const { registry, memory } = makeMemory();
  await memory.pollStore();
  const raw = new DatabaseSync(join(directory, 'site.db'));
  stops.push(() => raw.close());
  raw.exec(`UPDATE device SET body = '{' WHERE mac = '${MAC}'`);
  await store.putDevice(device(other, { state: 'disabled' }));
  await memory.pollStore();
  expect([registry.device(MAC)?.disabled, registry.device(other)?.disabled]).toEqual([true, true]);
  expect([[...registry.corrupt], memory.storeFailure]).toEqual([[MAC], undefined]);
  await store.putDevice(device(other));
  await memory.pollStore();
  expect([registry.device(MAC)?.disabled, registry.device(other)?.disabled]).toEqual([true, false]);
  expect(events).toEqual(['registry_corrupt']);
  await store.putDevice(device(MAC));
  await memory.pollStore();
  expect([registry.device(MAC)?.disabled, registry.corrupt.size]).toEqual([false, 0]);
});

test('a device that was deleted is forgotten', async () => {
  await store.putDevice(device(MAC, { state: 'disabled' }));
  const { registry, memory } = makeMemory();
  await memory.pollStore();
  await store.deleteDevice(MAC);
  await memory.pollStore();
  expect(registry.size).toBe(0);
});

test('URLs: fetched again only when changed; a 404, a redirect, silence and a flood are failures', async () => {
  const list = await revoke();
  const { url, requests } = await serve((path) => {
    if (path === '/list') return { body: list, headers: { etag: '"1"' } };
    if (path === '/flood') return { body: 'x'.repeat(MAX_REVOCATION_LIST_BYTES + 1) };
    if (path === '/moved') return { status: 302, headers: { location: '/list' } };
    return { status: 404 };
  });
  const urls = ['/list', '/flood', '/moved', '/none'].map((path) => urlSource(url + path));
  const { revocations, memory } = makeMemory({ urls });
  await memory.pollUrls();
  expect(revocations.isRevoked(SERIAL)).toBe(true);
  expect(memory.sourceFailures[`${url}/flood`]).toContain('more than');
  expect(memory.sourceFailures[`${url}/none`]).toContain('404');
  expect(Object.keys(memory.sourceFailures).length).toBe(3);
  await memory.pollUrls();
  expect(requests.filter((request) => request.startsWith('/list'))).toEqual(['/list ', '/list "1"']);
});

test('a file without an end is not read to the end', async () => {
  await expect(fileSource('/dev/zero').read()).rejects.toThrow('more than');
});

test('an old list is told of once an hour; no list at all is none to be old', async () => {
  const { memory, revocations } = makeMemory({ maxAgeMs: 2 * DAY_MS });
  expect(memory.checkAge()).toBe(false);
  revocations.adopt(await revoke());
  expect(memory.checkAge()).toBe(false);
  nowMs += 3 * DAY_MS;
  expect([memory.checkAge(), memory.checkAge()]).toEqual([true, true]);
  nowMs += 3_600_000;
  memory.checkAge();
  expect(events).toEqual(['revocations_old', 'revocations_old']);
  expect(revocations.age(nowMs + 40 * DAY_MS, 1e15)?.overdue).toContain('announced');
});

test('sightings are written in small batches, and wait while the store is away', async () => {
  await store.putDevice(device(MAC));
  let away = true;
  const flaky = new Proxy(store, {
    get: (target, name) =>
      name === 'touchDevice' && away
        ? () => Promise.reject(new StoreError('UNAVAILABLE', 'away'))
        : (Reflect.get(target, name) as () => unknown).bind(target),
  });
  const sightings = new Sightings({ store: flaky });
  for (let number = 0; number < 150; number += 1) sightings.note(`02:00:5e:20:00:${number.toString(16).padStart(2, '0')}`, { at: 5, from: '192.0.2.1' });
  sightings.note(MAC, { at: 7, from: '192.0.2.1' });
  await sightings.flush();
  expect(sightings.size).toBe(151);
  away = false;
  await sightings.flush();
  expect(sightings.size).toBe(51);
  await sightings.flush();
  expect(sightings.size).toBe(0);
  expect(await store.getDevice(MAC)).toMatchObject({ lastSeenAt: 7, lastSeenFrom: '192.0.2.1' });
});

test('sightings are bounded', () => {
  const sightings = new Sightings({ store });
  for (let number = 0; number < MAX_PENDING_SIGHTINGS + 10; number += 1) sightings.note(String(number), { at: 5, from: 'x' });
  expect(sightings.size).toBe(MAX_PENDING_SIGHTINGS);
});
