import { fileURLToPath } from 'node:url';
import { connectEndpoint, ControlConnection, secureContext } from '@sekisho/channel';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { CONTROL_ALPN, type Message } from '@sekisho/wire';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { TestSite } from '../../test/site.ts';
import { type RelaySupervisor, startRelaySupervisor } from './supervisor.ts';

/** The way of a detection from a worker to managers, over real processes and sockets. */

const FILE = fileURLToPath(new URL('../../test/detecting-worker.ts', import.meta.url));
const PATIENCE = { timeout: 15_000 };
const log = createLogger({ role: 'relay', level: 'silent' });

let site: TestSite;
beforeAll(async () => {
  site = await TestSite.make();
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(found: number) {
  const metrics = new Metrics();
  const relay = await startRelaySupervisor({ log, metrics }, site.settings(), { file: FILE, args: [String(found)] });
  cleanUps.push(() => relay.close());
  return { relay, metrics };
}

/** A manager that says hello, and notes detections unless it is told not to. */
async function managerAt(relay: RelaySupervisor, init: { readonly takes?: boolean; readonly notes?: boolean; readonly role?: 'manager' | 'relay' } = {}) {
  const { takes = true, notes = true, role = 'manager' } = init;
  const socket = await connectEndpoint({
    host: '127.0.0.1',
    port: relay.status().controlPort,
    context: secureContext(await site.server(role)),
    alpn: CONTROL_ALPN,
    expect: { role: 'relay' },
    timeoutMs: 5000,
  });
  const got: Message<'detection'>[] = [];
  const connection: ControlConnection<'welcome' | 'pong' | 'refuse' | 'detection'> = new ControlConnection(
    socket,
    { accepts: ['welcome', 'pong', 'refuse', 'detection'], maxPending: 10, maxBufferedBytes: 1 << 20 },
    {
      onMessage: (message) => {
        if (message.type !== 'detection') return;
        got.push(message);
        if (notes) connection.send({ type: 'noted', id: message.id });
      },
      onClose: () => {},
    },
  );
  cleanUps.push(() => connection.close());
  const hello = { type: 'hello', versions: Buffer.from([1]), software: 'test', avoid: [], ...(takes ? { detections: 1 } : {}) } as const;
  expect(await connection.ask<'hello'>(hello, 5000)).toMatchObject({ type: 'welcome' });
  return { connection, got, keys: () => new Set(got.map(({ key }) => key)) };
}

test('a burst goes to all managers that take it, and what no manager notes is kept for the next', async () => {
  const { relay, metrics } = await start(2000);
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_detections_waiting 2000');
  const before = await managerAt(relay, { takes: false });
  const nosy = await managerAt(relay, { role: 'relay' });
  const mute = await managerAt(relay, { notes: false });
  await expect.poll(() => mute.got.length, PATIENCE).toBe(64);
  mute.connection.close();
  const [one, other] = await Promise.all([managerAt(relay), managerAt(relay)]);
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_detections_total{fate="noted"} 2000');
  expect(await metrics.text()).toContain('sekisho_relay_detections_waiting 0');
  await expect.poll(() => new Set([...one.keys(), ...other.keys()]).size, PATIENCE).toBe(2000);
  // One of them was faster; it was sent the first that the mute one had, too.
  expect(one.keys().has(mute.got[0]?.key ?? '') || other.keys().has(mute.got[0]?.key ?? '')).toBe(true);

  process.kill(relay.status().pids[0] ?? 0, 'SIGUSR2');
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_detections_total{fate="noted"} 2001');
  expect([...before.got, ...nosy.got]).toEqual([]);
  // To who does not know detections the relay is as it was.
  expect(await before.connection.ask<'ping'>({ type: 'ping' }, 5000)).toMatchObject({ type: 'pong' });
});

test('a relay that drains does not wait for managers that are gone', async () => {
  const { relay, metrics } = await start(1);
  const manager = await managerAt(relay, { notes: false });
  await expect.poll(() => manager.got.length, PATIENCE).toBe(1);
  manager.connection.close();
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_detections_waiting 1');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const drained = relay.drain();
  await expect.poll(() => relay.status().pids, PATIENCE).toEqual([]);
  const sinceMs = performance.now();
  await drained;
  // It would wait for two seconds.
  expect(performance.now() - sinceMs).toBeLessThan(1500);
});

test('a relay that drains tells what it found last before it ends', async () => {
  const { relay } = await start(0);
  const manager = await managerAt(relay, { notes: false });
  process.kill(relay.status().pids[0] ?? 0, 'SIGUSR2');
  await expect.poll(() => manager.got.length, PATIENCE).toBe(1);
  let isOver = false;
  const drained = relay.drain().then(() => (isOver = true));
  await expect.poll(() => relay.status().pids, PATIENCE).toEqual([]);
  expect(isOver).toBe(false);
  manager.connection.send({ type: 'noted', id: manager.got[0]?.id ?? 0 });
  await drained;
});
