import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually, timed } from '../test/fault-kit.ts';
import { aDevice, macNumber } from '../test/records.ts';
import { RedisServer } from '../test/redis-server.ts';
import { openStore } from './open-store.ts';
import type { Override } from './override.ts';
import { OverridesView } from './overrides-view.ts';
import type { Store } from './store.ts';

const DRAIN = { drain: true, weight: null, by: 'ann' };
const TABLE = 'sekisho:{tokyo-1}:table';
let server: RedisServer;
let raw: Redis;
let store: Store;
let nowMs: number;
let lines: string[];

beforeAll(async () => {
  server = await RedisServer.start();
});
afterAll(() => server.stop());
beforeEach(async () => {
  raw = new Redis(server.socketPath);
  raw.on('error', () => {});
  await raw.flushall();
  store = await openStore({}, { url: server.url, site: 'tokyo-1', operationTimeoutMs: 5000 });
  nowMs = 1_000_000;
  lines = [];
});
afterEach(async () => {
  await store.close();
  raw.disconnect();
});

const clock = {
  now: () => {
    nowMs += 1;
    return nowMs;
  },
};

/** One manager's view, which polls only when told to. */
function manager(onChange?: (overrides: ReadonlyMap<string, Override>) => void, skewMs = 0): OverridesView {
  const log = {
    info: (_: object, message: string) => void lines.push(message),
    warn: (_: object, message: string) => void lines.push(message),
  };
  return new OverridesView({ store, clock: { now: () => clock.now() + skewMs }, log, onChange });
}

async function managers(): Promise<[OverridesView, OverridesView]> {
  const both: [OverridesView, OverridesView] = [manager(), manager()];
  for (const view of both) await view.poll();
  return both;
}

const relays = (view: OverridesView): string[] => [...view.current().keys()].toSorted();

describe('a view', () => {
  it('sees its own orders at once and those of others at the next poll', async () => {
    const [a, b] = await managers();
    await a.set('relay-1', DRAIN);
    expect(a.current().get('relay-1')).toEqual({ ...DRAIN, at: expect.any(Number) });
    expect(relays(b)).toEqual([]);
    await b.poll();
    expect(b.current()).toEqual(a.current());
    await b.clear('relay-1', 'bob');
    await a.poll();
    expect([relays(a), relays(b)]).toEqual([[], []]);
  });

  it('polls by itself until it is closed', async () => {
    const view = new OverridesView(
      { store, clock, log: { info: () => {}, warn: () => {} } },
      { pollIntervalMs: 10 },
    );
    await view.start();
    await store.setOverride('relay-1', { ...DRAIN, at: 1 });
    await eventually('the view has the override', () => view.current().has('relay-1'));
    await view.close();
    const { confirmedAt } = view.status();
    await store.setOverride('relay-2', { ...DRAIN, at: 1 });
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    expect(view.status().confirmedAt).toBe(confirmedAt);
    expect(relays(view)).toEqual(['relay-1']);
  });

  it('tells changes of overrides, and nothing else', async () => {
    const told: string[][] = [];
    const view = manager((overrides) => told.push([...overrides.keys()]));
    await view.poll();
    await store.putDevice(aDevice(macNumber(1)));
    await view.poll();
    await store.setOverride('relay-1', { ...DRAIN, at: 1 });
    await view.poll();
    await view.poll();
    await view.set('relay-1', { ...DRAIN, drain: false });
    await view.clear('relay-1', 'ann');
    expect(told).toEqual([['relay-1'], ['relay-1'], []]);
  });

  it('orders after what it has seen, even if its clock is behind', async () => {
    const ahead = manager(undefined, 1_000_000);
    const behind = manager();
    await ahead.set('relay-1', DRAIN);
    await behind.poll();
    await raw.flushall();
    await behind.clear('relay-1', 'bob');
    await ahead.poll();
    expect(relays(ahead)).toEqual([]);
  });
});

describe('while the store is down', () => {
  it('keeps what it knows, refuses orders, and says so once', async () => {
    const [a] = await managers();
    await a.set('relay-1', DRAIN);
    const { confirmedAt } = a.status();
    await server.kill();
    await eventually('the store is down', async () => (await timed(store.ping())).error !== undefined);
    try {
      for (let n = 0; n < 5; n += 1) await a.poll();
      expect(relays(a)).toEqual(['relay-1']);
      expect(a.status()).toMatchObject({ confirmedAt, failure: { code: 'UNAVAILABLE' } });
      await expect(a.set('relay-2', DRAIN)).rejects.toMatchObject({ code: 'UNAVAILABLE', temporary: true });
      await expect(a.clear('relay-1', 'ann')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(relays(a)).toEqual(['relay-1']);
      expect(lines).toEqual(['the store does not answer: the last known overrides stay in force']);
    } finally {
      await server.launch();
    }
    await eventually('the store answers', async () => (await timed(store.ping())).error === undefined);
    await a.poll();
    // It has come back empty: what was refused is not there, what was in force is.
    expect(a.status().failure).toBeNull();
    expect([...(await store.overrides()).keys()]).toEqual(['relay-1']);
    expect(lines).toHaveLength(3);
  });

  it('keeps what it knows when the store is damaged', async () => {
    const [a] = await managers();
    await a.set('relay-1', DRAIN);
    await raw.hset(TABLE, 'relay-2', 'damaged', '@changes', '100');
    await a.poll();
    expect(relays(a)).toEqual(['relay-1']);
    expect(a.status().failure).toMatchObject({ code: 'CORRUPT' });
    await store.clearOverride('relay-2', { by: 'ann', at: 1 });
    await a.poll();
    expect(a.status().failure).toBeNull();
  });
});

describe('when the store has lost its data', () => {
  it('writes the overrides back, once, and managers do not fight over them', async () => {
    const told: string[][] = [];
    const a = manager((overrides) => told.push([...overrides.keys()]));
    const b = manager();
    await a.set('relay-1', DRAIN);
    await a.set('relay-2', { ...DRAIN, weight: 3 });
    await b.poll();
    const before = a.current();
    await raw.flushall();
    await a.poll();
    const { revision } = await store.overridesSnapshot();
    for (let n = 0; n < 5; n += 1) {
      await b.poll();
      await a.poll();
    }
    expect(await store.revision()).toBe(revision);
    expect(await store.overrides()).toEqual(before);
    expect([a.current(), b.current()]).toEqual([before, before]);
    // The overrides were in force all the time.
    expect(told).toEqual([['relay-1'], ['relay-1', 'relay-2']]);
  });

  it('does so when both notice at the same moment', async () => {
    const [a, b] = await managers();
    await a.set('relay-1', DRAIN);
    await b.poll();
    await b.set('relay-2', DRAIN);
    await raw.flushall();
    await Promise.all([a.poll(), b.poll()]);
    await Promise.all([a.poll(), b.poll()]);
    expect([relays(a), relays(b)]).toEqual([
      ['relay-1', 'relay-2'],
      ['relay-1', 'relay-2'],
    ]);
    const { changes } = await store.overridesSnapshot();
    expect(changes).toBeLessThanOrEqual(2);
  });

  it('does not bring back what was cleared before', async () => {
    const [a, b] = await managers();
    await a.set('relay-1', DRAIN);
    await b.poll();
    await a.clear('relay-1', 'ann');
    await raw.flushall();
    // b has not heard of the clearing and writes back first.
    await b.poll();
    expect(relays(b)).toEqual(['relay-1']);
    await a.poll();
    await b.poll();
    expect([relays(a), relays(b)]).toEqual([[], []]);
    expect(await store.overrides()).toEqual(new Map());
  });

  it('respects orders given between the loss and its discovery', async () => {
    const [a, b] = await managers();
    for (const relay of ['relay-1', 'relay-2', 'relay-3']) await a.set(relay, DRAIN);
    await b.poll();
    await raw.flushall();
    await store.clearOverride('relay-1', { by: 'cli', at: clock.now() });
    await store.setOverride('relay-2', { drain: false, weight: 9, by: 'cli', at: clock.now() });
    for (const view of [a, b, a, b]) await view.poll();
    for (const view of [a, b]) {
      expect(relays(view)).toEqual(['relay-2', 'relay-3']);
      expect(view.current().get('relay-2')).toMatchObject({ weight: 9, by: 'cli' });
    }
  });

  it('notices the loss even after many new changes', async () => {
    const [a] = await managers();
    await a.set('relay-1', DRAIN);
    await raw.flushall();
    for (let n = 0; n < 10; n += 1) await store.setOverride('relay-2', { ...DRAIN, at: n });
    await a.poll();
    expect(relays(a)).toEqual(['relay-1', 'relay-2']);
  });

  it('notices the loss of the table alone, and the return of an older copy', async () => {
    const [a] = await managers();
    await a.set('relay-1', DRAIN);
    await raw.del(TABLE);
    await a.poll();
    expect([...(await store.overrides()).keys()]).toEqual(['relay-1']);

    const older = await raw.dumpBuffer(TABLE);
    await a.clear('relay-1', 'ann');
    await a.set('relay-2', DRAIN);
    await raw.restore(TABLE, 0, older, 'REPLACE');
    expect([...(await store.overrides()).keys()]).toEqual(['relay-1']);
    await a.poll();
    expect([...(await store.overrides()).keys()]).toEqual(['relay-2']);
    expect(relays(a)).toEqual(['relay-2']);
  });

  it('has nothing to write back in a manager that knew of nothing', async () => {
    const [a] = await managers();
    await raw.flushall();
    await a.poll();
    expect(await raw.keys('*')).toEqual([]);
    await store.setOverride('relay-1', { ...DRAIN, at: 1 });
    await a.poll();
    expect(relays(a)).toEqual(['relay-1']);
  });

  it('comes to the last orders after any sequence of orders, polls and losses', async () => {
    const step = fc.record({
      kind: fc.constantFrom('set' as const, 'clear' as const, 'poll' as const, 'flush' as const),
      first: fc.boolean(),
      relay: fc.constantFrom('relay-1', 'relay-2'),
      weight: fc.nat(3),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        await raw.flushall();
        const [a, b] = await managers();
        const model = new Map<string, number>();
        for (const { kind, first, relay, weight } of steps) {
          const view = first ? a : b;
          if (kind === 'flush') await raw.flushall();
          if (kind === 'poll') await view.poll();
          if (kind === 'set') {
            await view.set(relay, { drain: false, weight, by: 'ann' });
            model.set(relay, weight);
          }
          if (kind === 'clear') {
            await view.clear(relay, 'ann');
            model.delete(relay);
          }
        }
        for (const view of [a, b, a]) await view.poll();
        for (const overrides of [a.current(), b.current(), await store.overrides()])
          expect(new Map([...overrides].map(([relay, { weight }]) => [relay, weight]))).toEqual(model);
      }),
      { numRuns: 60 },
    );
  });
});
