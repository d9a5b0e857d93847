import { existsSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { adminRequest, type Manager, type ManagerStatus } from '@sekisho/manager';
import { openStore } from '@sekisho/store';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, IDLE_REPORT, MiniSite } from './mini-site.ts';

let site: MiniSite;
let socket: string;
const managers: Manager[] = [];
beforeEach(async () => {
  site = await MiniSite.make();
  socket = join(site.directory, 'manager.sock');
});
afterEach(async () => {
  for (const manager of managers.splice(0)) await manager.close();
  await site.close();
});

const status = async () => (await adminRequest(socket, 'GET', '/status')).body as ManagerStatus;
const order = (path: string, body: object, at = socket) => adminRequest(at, 'POST', `/table/${path}`, { site: 'tokyo-1', by: 'test', ...body });
const row = async (relay: string) => (await status()).table.relays.find(({ name }) => name === relay)!;

test('status shows the whole of the manager', async () => {
  await site.startAuth();
  await site.startRelays(2);
  await site.startManager();
  site.relays[0]!.report = { ...IDLE_REPORT, sessions: 7, loadPerCoreMilli: 400 };
  await (await site.agent(await site.device())).hello();
  await expect.poll(async () => (await row('s1')).sessions).toBe(7);
  const shown = await status();
  expect(shown).toMatchObject({
    role: 'manager',
    site: 'tokyo-1',
    name: 's1',
    stopping: false,
    agents: 1,
    direct: { agents: 0, hellos: 0 },
    auths: [{ name: 's1', up: true }],
    store: { up: true, reason: null },
    table: { policy: 'least-load', panic: false, relays: [{ name: 's1', state: 'up', host: '127.0.0.1', port: 7026, override: null }, { name: 's2', state: 'up' }] },
  });
  expect(shown.events.length).toBeGreaterThan(0);
  expect(shown.events.length).toBeLessThanOrEqual(50);
});

test('only its owner can open the socket', async () => {
  await site.startManager({ relays: [{ name: 's1', host: '127.0.0.1', port: 1, controlPort: 1 }], table: { entries: ['s1'] } });
  expect((await stat(socket)).mode & 0o777).toBe(0o600);
  await site.manager!.close();
  expect(existsSync(socket)).toBe(false);
});

test('drain, undrain and weight: in force here and at the other manager, and after a restart', async () => {
  await site.startRelays(2);
  await site.startManager();
  const first = site.manager!;
  const otherStore = await openStore({}, { url: `sqlite:${join(site.directory, 'site.db')}`, site: 'tokyo-1' });
  site.managerMetrics.registry.clear();
  const otherSocket = join(site.directory, 'other.sock');
  const other = await site.startManager({ name: 's2', adminSocket: otherSocket }, { store: otherStore });
  managers.push(first);

  expect(await order('drain', { relay: 's1' })).toMatchObject({ status: 200, body: { relay: 's1', override: { drain: true, weight: null, by: 'test' } } });
  expect(await row('s1')).toMatchObject({ state: 'draining', override: { drain: true } });
  await eventually('the other manager has it', () => other.status().table.relays[0]!.state === 'draining');
  expect(await order('weight', { relay: 's2', weight: 3 }, otherSocket)).toMatchObject({ status: 200 });
  await eventually('this manager has it', () => first.status().table.relays[1]!.weight.override === 3);

  await other.close();
  site.managerMetrics.registry.clear();
  const restarted = await site.startManager({ name: 's2', adminSocket: otherSocket }, { store: otherStore });
  expect(restarted.status().table.relays.map(({ state, weight }) => [state, weight.override])).toEqual([
    ['draining', null],
    ['up', 3],
  ]);

  expect(await order('undrain', { relay: 's1' })).toMatchObject({ status: 200, body: { override: null } });
  expect((await order('weight', { relay: 's2', weight: null })).body).toMatchObject({ override: null });
  expect((await status()).table.relays.map(({ override, weight }) => [override, weight.override])).toEqual([
    [null, null],
    [null, null],
  ]);
  await restarted.close();
  await otherStore.close();
});

test('drain and weight of one relay do not undo each other', async () => {
  await site.startRelays(2);
  await site.startManager();
  await order('weight', { relay: 's1', weight: 5 });
  expect((await order('drain', { relay: 's1' })).body).toMatchObject({ override: { drain: true, weight: 5 } });
  expect((await order('undrain', { relay: 's1' })).body).toMatchObject({ override: { drain: false, weight: 5 } });
});

test('the last relay that is up is not drained by mistake', async () => {
  await site.startRelays(2);
  await site.startManager();
  await order('drain', { relay: 's1' });
  for (const [path, body] of [['drain', {}], ['weight', { weight: 0 }], ['drain', { dryRun: true }]] as const) {
    const refused = await order(path, { relay: 's2', ...body });
    expect(refused).toMatchObject({ status: 409, body: { error: 'LAST_RELAY' } });
    expect(JSON.stringify(refused.body)).toContain('s2 is the last relay of site tokyo-1');
    expect(JSON.stringify(refused.body)).toContain('--confirm=tokyo-1');
  }
  expect(await order('drain', { relay: 's2', confirm: 'osaka-1' })).toMatchObject({ status: 409, body: { error: 'WRONG_SITE' } });
  expect((await row('s2')).state).toBe('up');
  expect(await order('drain', { relay: 's1' })).toMatchObject({ status: 200 });
  expect(await order('drain', { relay: 's2', confirm: 'tokyo-1' })).toMatchObject({ status: 200, body: { site: 'tokyo-1', relay: 's2' } });
  expect((await row('s2')).state).toBe('draining');
});

test('a relay of weight 0 is not counted on', async () => {
  await site.startRelays(2);
  await site.startManager();
  await order('weight', { relay: 's1', weight: 0 });
  expect(await order('drain', { relay: 's2' })).toMatchObject({ status: 409, body: { error: 'LAST_RELAY' } });
  expect(await order('drain', { relay: 's1' })).toMatchObject({ status: 200 });
});

test('an order for another site is refused, and a dry run changes nothing', async () => {
  await site.startRelays(2);
  await site.startManager();
  const wrong = await order('drain', { site: 'osaka-1', relay: 's1' });
  expect(wrong).toMatchObject({ status: 409, body: { error: 'WRONG_SITE' } });
  expect(JSON.stringify(wrong.body)).toMatch(/for site osaka-1.*manager of tokyo-1/u);
  expect(await order('drain', { relay: 's1', dryRun: true })).toMatchObject({ status: 200, body: { override: { drain: true } } });
  expect((await status()).table.relays.map(({ state, override }) => [state, override])).toEqual([['up', null], ['up', null]]);
});

test('of two orders at the same time that would drain both relays one is refused', async () => {
  await site.startRelays(2);
  await site.startManager();
  const answers = await Promise.all([order('drain', { relay: 's1' }), order('drain', { relay: 's2' })]);
  expect(answers.map(({ status: code }) => code)).toEqual([200, 409]);
});

test('with the store down what was ordered stays in force, and nothing new is taken', async () => {
  await site.startRelays(2);
  await site.startManager();
  await order('drain', { relay: 's1' });
  await site.store.close();
  await expect.poll(async () => (await status()).store.up, { timeout: 10_000 }).toBe(false);
  expect(await order('drain', { relay: 's2', confirm: 'tokyo-1' })).toMatchObject({ status: 503, body: { error: 'STORE_DOWN' } });
  expect((await status()).table.relays.map(({ state }) => state)).toEqual(['draining', 'up']);
  await expect.poll(async () => (await status()).events.map(({ event }) => event)).toContain('store_down');
});

const BAD: [string, object, number][] = [
  ['drain', { relay: 's9' }, 404],
  ['drain', { relay: 7 }, 400],
  ['drain', { relay: 's1', by: '' }, 400],
  ['drain', { relay: 's1', by: 'a\u001b[31m' }, 400],
  ['drain', { relay: 's1', confirm: true }, 400],
  ['drain', { relay: 's1', dryRun: 'yes' }, 400],
  ['drain', { relay: 's1', site: undefined }, 400],
  ['weight', { relay: 's1' }, 400],
  ['weight', { relay: 's1', weight: -1 }, 400],
  ['weight', { relay: 's1', weight: 1e9 }, 400],
  ['drain', { relay: 's'.repeat(5000) }, 400],
  ['explode', { relay: 's1' }, 404],
];

test('what is not an order is refused, with the reason', async () => {
  await site.startRelays(2);
  await site.startManager();
  for (const [path, body, code] of BAD) {
    const answer = await order(path, body);
    expect([path, body, answer.status]).toEqual([path, body, code]);
    expect(answer.body).toMatchObject({ error: expect.any(String) as string, message: expect.any(String) as string });
  }
  expect((await adminRequest(socket, 'GET', '/')).status).toBe(404);
  const garbage = await new Promise<number | undefined>((resolve, reject) => {
    const sent = request({ socketPath: socket, method: 'POST', path: '/table/drain' }, (response) => resolve(response.resume().statusCode));
    sent.on('error', reject);
    sent.end('{');
  });
  expect(garbage).toBe(400);
  expect((await status()).table.relays.map(({ override }) => override)).toEqual([null, null]);
});

test('a socket left behind is replaced; one that is in use, and a file that is none, are left alone', async () => {
  const init = { relays: [{ name: 's1', host: '127.0.0.1', port: 1, controlPort: 1 }], table: { entries: ['s1'] } };
  // A process that dies without cleaning up.
  spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`]);
  expect(existsSync(socket)).toBe(true);
  await site.startManager(init);
  expect((await status()).name).toBe('s1');
  await site.manager!.close();

  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(socket, resolve));
  site.managerMetrics.registry.clear();
  await expect(site.startManager(init)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  holder.close();

  const file = join(site.directory, 'notes.txt');
  await writeFile(file, 'mine');
  site.managerMetrics.registry.clear();
  await expect(site.startManager({ ...init, adminSocket: file })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  expect(existsSync(file)).toBe(true);
});

test('no manager there', async () => {
  await expect(adminRequest(socket, 'GET', '/status')).rejects.toMatchObject({ code: 'ENOENT' });
});
