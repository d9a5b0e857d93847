import { setImmediate as turn } from 'node:timers/promises';
import { type Detection, StoreError } from '@sekisho/store';
import { createLogger, Metrics } from '@sekisho/telemetry';
import type { Message } from '@sekisho/wire';
import { beforeEach, expect, test } from 'vitest';
import { DetectionDesk } from './detection-desk.ts';
import { managerMetrics } from './manager-metrics.ts';

/** A store that answers when the test says so: no real one can be made to be slow in such small steps. */
class SlowStore {
  readonly calls: { readonly list: readonly Detection[]; answer(recorded: number): void; fail(error: Error): void }[] = [];

  recordDetections(list: readonly Detection[]): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.calls.push({ list, answer: resolve, fail: reject });
    return promise;
  }
}

let store: SlowStore;
let noted: number[];
let lines: Record<string, unknown>[];
let metrics: Metrics;
let desk: DetectionDesk;
beforeEach(() => {
  store = new SlowStore();
  noted = [];
  lines = [];
  metrics = new Metrics();
  const log = createLogger({ role: 'manager', destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) } });
  const gauges = {
    agents: () => 0,
    agentsDirect: () => 0,
    pushesPending: () => 0,
    storeUp: () => true,
    authUp: () => true,
    scannersDown: () => 0,
    table: () => ({ policy: 'least-load' as const, panic: false, relays: [] }),
    certificateExpiresAtMs: () => 0,
    configDigest: () => 0,
    servers: () => 0,
  };
  desk = new DetectionDesk({ log, store, metrics: managerMetrics(metrics, gauges, { relays: [], auths: [] }) });
});

function take(id: number, fields: Partial<Message<'detection'>> = {}): void {
  const message: Message<'detection'> = {
    type: 'detection',
    id,
    key: `k${id}`,
    at: 1_800_000_000_000,
    mac: Buffer.from('02005e100001', 'hex'),
    signature: 'Eicar',
    protocol: 2,
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:110',
    session: Buffer.alloc(16),
    ...fields,
  };
  desk.take('s1', message, () => noted.push(id));
}

const outcome = async (name: string): Promise<number> =>
  Number(new RegExp(`detections_total\\{outcome="${name}"\\} (\\d+)`, 'u').exec(await metrics.text())?.[1]);
const ids = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

test('what comes together is recorded together, and noted when the store has it', async () => {
  for (const id of ids(1, 3)) take(id);
  await turn();
  expect(store.calls).toHaveLength(1);
  expect(store.calls[0]?.list[0]).toEqual({
    key: 'k1',
    at: 1_800_000_000_000,
    source: 'relay',
    reporter: 's1',
    mac: '02:00:5e:10:00:01',
    signature: 'Eicar',
    protocol: 'pop3',
    client: '10.1.2.3:50000',
    destination: 'mail.example.com:110',
    contact: null,
  });
  // What comes meanwhile waits for its turn.
  for (const id of ids(4, 5)) take(id, { protocol: 99 });
  await turn();
  expect(store.calls).toHaveLength(1);
  expect(noted).toEqual([]);
  store.calls[0]?.answer(2);
  await turn();
  expect(noted).toEqual([1, 2, 3]);
  expect(store.calls[1]?.list.map(({ key, protocol }) => [key, protocol])).toEqual([['k4', null], ['k5', null]]);
  store.calls[1]?.answer(2);
  await turn();
  expect(noted).toEqual([1, 2, 3, 4, 5]);
  expect([await outcome('recorded'), await outcome('known')]).toEqual([4, 1]);
});

test('what the store does not take is not noted, and told once; the next is tried again', async () => {
  for (const round of [1, 2]) {
    take(round);
    await turn();
    take(round + 10);
    store.calls.at(-1)?.fail(new StoreError('UNAVAILABLE', 'Redis: down'));
    await turn();
    expect(store.calls).toHaveLength(round);
  }
  expect(noted).toEqual([]);
  expect(lines.map(({ event, code }) => [event, code])).toEqual([['detections_not_recorded', 'UNAVAILABLE']]);
  expect(await outcome('failed')).toBe(4);
  take(3);
  await turn();
  store.calls.at(-1)?.answer(1);
  await turn();
  expect(noted).toEqual([3]);
  take(4);
  await turn();
  store.calls.at(-1)?.fail(new StoreError('DENIED', 'Redis: no'));
  await turn();
  expect(lines).toHaveLength(2);
});

test('a store that is slow has a bounded number waiting for it, and gets no more at once than it takes', async () => {
  take(1);
  await turn();
  for (const id of ids(2, 4200)) take(id);
  expect(await outcome('failed')).toBe(4199 - 4096);
  store.calls[0]?.answer(1);
  await turn();
  expect(store.calls[1]?.list).toHaveLength(500);
});

test('what no relay says is neither recorded nor noted', async () => {
  take(1, { key: 'a:b' });
  take(2, { key: '' });
  take(3, { mac: Buffer.from('ffffffffffff', 'hex') });
  take(4, { mac: Buffer.alloc(6) });
  await turn();
  expect(store.calls).toEqual([]);
  expect(await outcome('refused')).toBe(4);
});
