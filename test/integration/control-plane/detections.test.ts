import { fileURLToPath } from 'node:url';
import { startManager } from '@sekisho/manager';
import { type RelaySupervisor, startRelaySupervisor } from '@sekisho/relay';
import { type Detection, openStore, type Store } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Redis, startRedis } from '../../kit/redis.ts';
import { eventually, IDLE_REPORT, MiniSite, values } from './mini-site.ts';

/** Detections from a real relay through real managers into the Redis that they share. */

const WORKER = fileURLToPath(new URL('../../../packages/relay/test/detecting-worker.ts', import.meta.url));
const PATIENCE = { timeout: 15_000 };
const log = createLogger({ role: 'relay', level: 'silent' });

let site: MiniSite;
let redis: Redis;
let relay: RelaySupervisor;
let relayMetrics: Metrics;
const cleanUps: (() => unknown)[] = [];
beforeEach(async () => {
  site = await MiniSite.make();
  redis = await startRedis();
  cleanUps.push(() => redis.stop(), () => site.close());
});
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startRelay(found: number): Promise<void> {
  relayMetrics = new Metrics();
  const settings = {
    site: 'tokyo-1',
    name: 's1',
    listen: { host: '127.0.0.1', port: 0, controlPort: 0 },
    credentials: site.credentials('relay'),
    ticketKeys: [site.keys.ticketKey.publicPem],
    proof: 'certificate',
    workers: 1,
    limits: { maxSessions: 100, maxDevices: 100, maxSessionsPerDevice: 100, maxPerAddress: 100 },
    windowBytes: 256 * 1024,
    destinations: { extraPorts: [], allow: [], ownAddresses: [], proxyProtocol: [] },
    dnsServers: ['127.0.0.1:1'],
    connectTimeoutMs: 2000,
    drainTimeoutMs: 2000,
    bytesPerSecondLimit: 0,
  } as const;
  relay = await startRelaySupervisor({ log, metrics: relayMetrics }, settings, { file: WORKER, args: [String(found)] });
  cleanUps.push(() => relay.close());
}

const findOne = (): void => void process.kill(relay.status().pids[0] ?? 0, 'SIGUSR2');
const waiting = async (): Promise<number> => (await values(relayMetrics))['sekisho_relay_detections_waiting'] ?? 0;

/** A manager with a handle of its own on the store. */
async function manager(name: string) {
  const metrics = new Metrics();
  const store = await sharedStore();
  const one = await startManager(
    { log, metrics, store },
    {
      site: 'tokyo-1',
      name,
      listen: { host: '127.0.0.1', port: 0 },
      credentials: site.credentials('manager'),
      relays: [{ name: 's1', host: '127.0.0.1', port: 7026, controlPort: relay.status().controlPort }],
      table: { entries: ['s1'] },
      auths: [],
      maxAgents: 10,
      maxPerAddress: 10,
      probeIntervalMs: 100,
      probeTimeoutMs: 500,
      closeSpreadMs: 0,
    },
  );
  cleanUps.push(() => one.close());
  return { metrics, close: () => one.close() };
}

async function sharedStore(): Promise<Store> {
  const store = await openStore({}, { url: `redis+unix:${redis.socketPath}`, site: 'tokyo-1' });
  cleanUps.push(() => store.close());
  return store;
}

async function recorded(store: Store): Promise<readonly Detection[]> {
  return (await store.detectionsAfter(null, 1000)).detections;
}

test('no manager: it waits at the relay; two managers: it is counted once', async () => {
  await startRelay(300);
  const store = await sharedStore();
  await expect.poll(waiting, PATIENCE).toBe(300);
  const [one, other] = await Promise.all([manager('m1'), manager('m2')]);
  await expect.poll(waiting, PATIENCE).toBe(0);
  const detections = await recorded(store);
  expect(new Set(detections.map(({ key }) => key)).size).toBe(300);
  expect(detections).toHaveLength(300);
  expect(detections[0]).toMatchObject({ source: 'relay', reporter: 's1', mac: '02:00:5e:10:00:01', protocol: 'smtp', contact: null });

  // Of the two one may go, and come back.
  await one.close();
  findOne();
  await expect.poll(async () => (await recorded(store)).length, PATIENCE).toBe(301);
  await other.close();
  findOne();
  await expect.poll(waiting, PATIENCE).toBe(1);
  await manager('m1');
  await expect.poll(async () => (await recorded(store)).length, PATIENCE).toBe(302);
  const all = await Promise.all([one, other].map(({ metrics }) => values(metrics)));
  const sum = (outcome: string): number =>
    all.reduce((total, each) => total + (each[`sekisho_manager_detections_total{outcome="${outcome}"}`] ?? 0), 0);
  expect(sum('recorded')).toBe(301);
  expect(sum('failed')).toBe(0);
});

test('the store is down: nothing is noted, and it is delivered when the store is back', async () => {
  await startRelay(0);
  const { metrics } = await manager('m1');
  await redis.kill();
  findOne();
  // Two signals at once would be one.
  await expect.poll(waiting, PATIENCE).toBe(1);
  findOne();
  await expect.poll(waiting, PATIENCE).toBe(2);
  const failed = 'sekisho_manager_detections_total{outcome="failed"}';
  await expect.poll(async () => (await values(metrics))[failed], PATIENCE).toBeGreaterThanOrEqual(2);
  expect(await waiting()).toBe(2);
  await redis.restart();
  const store = await sharedStore();
  await expect.poll(waiting, PATIENCE).toBe(0);
  expect(await recorded(store)).toHaveLength(2);
});

test('a relay that is killed loses what no manager had noted, and nothing else', async () => {
  await startRelay(1);
  const store = await sharedStore();
  const first = await manager('m1');
  await expect.poll(async () => (await recorded(store)).length, PATIENCE).toBe(1);
  await first.close();
  findOne();
  await expect.poll(waiting, PATIENCE).toBe(1);
  await relay.close();
  await startRelay(1);
  await manager('m1');
  await expect.poll(async () => (await recorded(store)).length, PATIENCE).toBe(2);
  await expect.poll(waiting, PATIENCE).toBe(0);
});

test('the manager shows what relays inspect, and tells when one loses a scanner', async () => {
  await site.startRelays(2);
  const inspection = { clean: 5, infected: 1, unscannable: 2, uninspected: 3, scanners: 2, scannersUp: 2 };
  const [inspecting] = site.relays;
  if (inspecting === undefined) throw new Error('there is no relay');
  inspecting.report = { ...IDLE_REPORT, inspection };
  await site.startManager();
  const relays = () => site.manager?.status().table.relays ?? [];
  expect(relays().map((row) => row.inspection)).toEqual([{ ...inspection, why: '' }, null]);
  inspecting.report = { ...IDLE_REPORT, inspection: { ...inspection, clean: 6, scannersUp: 1, why: 'tcp:192.0.2.9:3310: refused' } };
  const event = await eventually('it is told', () => site.manager?.status().events.find((one) => one.event === 'scanners_down'));
  expect(event.text).toBe('s1: 1 of 2 scanners; tcp:192.0.2.9:3310: refused');
  expect(relays()[0]?.inspection).toMatchObject({ clean: 6, scannersUp: 1 });
  expect(await values(site.managerMetrics)).toMatchObject({ 'sekisho_manager_relay_scanners_down{relay="s1"}': 1 });
  inspecting.report = { ...IDLE_REPORT, inspection };
  await eventually('it is back', () => site.manager?.status().events.some((one) => one.event === 'scanners_up'));
  expect(await values(site.managerMetrics)).not.toHaveProperty(['sekisho_manager_relay_scanners_down{relay="s1"}']);
  expect(site.logged.filter(({ event: name }) => name === 'scanners_down')).toHaveLength(1);
});
