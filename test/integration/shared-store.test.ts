import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagerStatus } from '@sekisho/manager';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type LocalAgent, startLocalAgent } from '../kit/local-agent.ts';
import { Mesh, type MeshSite } from '../kit/mesh.ts';
import { type Redis, startRedis } from '../kit/redis.ts';
import { type SmtpLedger, startSmtpLedger } from '../kit/smtp-ledger.ts';

/** Longer than a lease is in use until it is renewed, so that every trouble meets renewals and new devices. */
const TROUBLE_MS = 6500;
const MAIL_EVERY_MS = 100;
const MANAGERS = ['s1', 's2'];

let mesh: Mesh;
let redis: Redis;
let site: MeshSite;
let ledger: SmtpLedger;
let office: LocalAgent;
const agents: LocalAgent[] = [];

beforeAll(async () => {
  ledger = await startSmtpLedger();
  redis = await startRedis();
  mesh = await Mesh.create();
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 's1', address: '127.0.24.1', roles: ['auth', 'relay', 'manager'] },
      { name: 's2', address: '127.0.24.2', roles: ['auth', 'relay', 'manager'] },
    ],
    settings: {
      'store.url': `redis+unix:${redis.socketPath}`,
      'auth.ticketTtl': '10s',
      'relay.destinations.extraPorts': [ledger.port],
    },
  });
  await site.start();
  mesh.publish([site]);
  office = await startAgent();
  await office.send('the first');
});

afterAll(async () => {
  for (const agent of agents) agent.close();
  await mesh?.stop();
  await redis?.stop();
  await ledger?.stop();
});

async function startAgent(): Promise<LocalAgent> {
  const mac = `02:00:5e:24:00:${(agents.length + 1).toString(16).padStart(2, '0')}`;
  const agent = await startLocalAgent(mesh, { mac, destination: { host: ledger.address, port: ledger.port } });
  agents.push(agent);
  return agent;
}

async function managers(): Promise<readonly ManagerStatus[]> {
  return ((await site.status()) as unknown as { managers: ManagerStatus[] }).managers;
}

/** A relay's row at each manager, as `sekisho status --json` has it. */
async function rows(relay: string): Promise<ManagerStatus['table']['relays'][number][]> {
  const all = await managers();
  expect(all.map(({ name }) => name)).toEqual(MANAGERS);
  return all.map(({ table }) => table.relays.find(({ name }) => name === relay)!);
}

/** Within two seconds at both managers. */
function everywhere(relay: string, row: object): Promise<void> {
  const wanted = MANAGERS.map(() => row);
  return vi.waitFor(async () => expect(await rows(relay)).toMatchObject(wanted), { timeout: 2000, interval: 100 });
}

function order(...args: string[]): ReturnType<Mesh['sekisho']['run']> {
  return mesh.sekisho.run('table', ...args, '--config', site.file);
}

async function storeIs(up: boolean): Promise<void> {
  await vi.waitFor(async () => expect((await managers()).map(({ store }) => store.up)).toEqual([up, up]), { timeout: 10_000, interval: 200 });
}

/**
 * A steady stream of small mails while something happens to the store. Returns those that were not accepted, and the
 * sessions that were refused, broke, or went direct.
 */
async function underTraffic(trouble: () => Promise<void>): Promise<unknown[]> {
  const earlier = office.events('session').length;
  const mails: Promise<PromiseSettledResult<unknown>[]>[] = [];
  const timer = setInterval(() => mails.push(Promise.allSettled([office.send('one of many')])), MAIL_EVERY_MS);
  try {
    await trouble();
  } finally {
    clearInterval(timer);
  }
  const lost = (await Promise.all(mails)).flat().filter(({ status }) => status === 'rejected');
  const sessions = office.events('session').slice(earlier);
  expect(sessions.length).toBeGreaterThan(10);
  return [...lost, ...sessions.filter(({ route, outcome }) => route !== 'relayed' || outcome !== 'completed')];
}

/** A device that this site has never seen is admitted by its certificate alone. */
async function newDeviceIsServed(): Promise<void> {
  const agent = await startAgent();
  expect((await agent.send('from a new device')).session).toMatchObject({ route: 'relayed', outcome: 'completed' });
  expect(agent.events('manager_refused')).toEqual([]);
  agent.close();
}

async function orderIsRefused(): Promise<void> {
  const refused = await order('drain', 's1');
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toMatch(/nothing was changed, because the store/u);
  for (const row of await rows('s1')) expect(row).toMatchObject({ state: 'up', override: null });
}

/** That an order of before is still in force, and that new ones are carried out again. */
async function ordersHoldAndWork(): Promise<void> {
  await everywhere('s2', { override: { weight: 3 } });
  expect(await order('drain', 's1')).toMatchObject({ code: 0 });
  await everywhere('s1', { state: 'draining' });
  expect(await order('undrain', 's1')).toMatchObject({ code: 0 });
  await everywhere('s1', { override: null });
}

test('an order given at one manager is in force at the other', async () => {
  expect(await order('drain', 's2')).toMatchObject({ code: 0 });
  await everywhere('s2', { state: 'draining' });
  const agent = await startAgent();
  expect((await agent.send('not through s2')).session).toMatchObject({ route: 'relayed', relay: 's1' });
  agent.close();
  expect(await order('undrain', 's2')).toMatchObject({ code: 0 });
  await everywhere('s2', { state: 'up', override: null });
  expect(await order('weight', 's2', '3')).toMatchObject({ code: 0 });
  await everywhere('s2', { weight: { configured: 1, override: 3 } });
});

test.each([
  ['stopped', () => redis.kill(), () => redis.restart()],
  ['paused', async () => redis.pause(), async () => redis.resume()],
] as const)('Redis is %s under traffic: nobody is refused, orders are, and all is as before when it is back', async (_, begin, end) => {
  const troubles = await underTraffic(async () => {
    await begin();
    try {
      const until = sleep(TROUBLE_MS);
      await newDeviceIsServed();
      await storeIs(false);
      await orderIsRefused();
      await until;
    } finally {
      await end();
    }
    await storeIs(true);
  });
  expect(troubles).toEqual([]);
  await ordersHoldAndWork();
});

test('Redis is flushed under traffic: nobody is refused, and overrides are written back for managers that start later', async () => {
  const troubles = await underTraffic(async () => {
    await redis.flush();
    await newDeviceIsServed();
    await ordersHoldAndWork();
    // It has nothing but what the other one wrote back.
    await site.killRole('s2', 'manager');
    await site.startRole('s2', 'manager');
    await everywhere('s2', { weight: { configured: 1, override: 3 } });
  });
  expect(troubles).toEqual([]);
});
