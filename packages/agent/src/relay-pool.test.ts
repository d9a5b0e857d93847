import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { secureContext } from '@sekisho/channel';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { beforeAll, expect, test, vi } from 'vitest';
import { credentials } from '../../channel/src/testing/mesh.ts';
import { agentMetrics } from './agent-metrics.ts';
import type { Lease } from './lease-state.ts';
import { RelayPool } from './relay-pool.ts';
import { DEFAULT_LIMITS, DEFAULT_TIMINGS } from './settings.ts';
import type { FakeRelay } from './testing/fake-relay.ts';
import { atEnd, makeMesh, type Mesh, until, World } from './testing/world.ts';

/** What is done with the relays of a lease when one of them is lost. */

let mesh: Mesh;
let world: World;
beforeAll(async () => {
  mesh = await makeMesh();
});

const RETRY_MS = 400;
/** So long that a busy machine does what is done at once in far less. */
const LONG_RETRY_MS = 8000;
/** Older than this, a connection that ends was a good one. */
const LONG_LIFE_MS = 5001;

class Scene {
  readonly relays: readonly FakeRelay[];
  readonly lease: Lease;
  readonly pool: RelayPool;
  /** Whether it was urgent, each time that another relay was wanted. */
  readonly troubles: boolean[] = [];
  readonly roundTripsMs: number[] = [];
  random = 0.5;
  #aheadMs = 0;

  constructor(relays: readonly FakeRelay[], retryMs: number) {
    this.relays = relays;
    this.lease = {
      site: 'tokyo-1',
      manager: 'm1',
      relays: relays.map(({ address }) => address),
      ticket: Buffer.alloc(100),
      reason: 'test',
      expiresAtMs: Number.POSITIVE_INFINITY,
      renewAtMs: Number.POSITIVE_INFINITY,
    };
    const read = { sessions: () => 0, managers: () => 0, leaseIsValid: () => true, isDirect: () => false, certificateExpiresAtMs: () => 0 };
    this.pool = new RelayPool(
      {
        clock: { now: () => performance.now() + this.#aheadMs },
        random: () => this.random,
        log: createLogger({ role: 'agent', destination: new Writable({ write: (_line, _encoding, done) => done() }) }),
        context: secureContext(credentials(mesh, mesh.device)),
        metrics: agentMetrics(new Metrics(), read),
        onTrouble: (isUrgent) => this.troubles.push(isUrgent),
        onChange: () => {},
        onRoundTrip: (_site, roundTripMs) => this.roundTripsMs.push(roundTripMs),
      },
      { ...DEFAULT_TIMINGS, ...DEFAULT_LIMITS, relayRetryFirstMs: retryMs, relayRetryMaxMs: retryMs },
    );
    atEnd(() => this.pool.close());
  }

  /** Time passes, as far as the pool can tell. */
  age(ms: number): void {
    this.#aheadMs += ms;
  }

  get states(): string[] {
    return this.pool.status().map(({ state }) => state);
  }

  /** Connects to a relay of the lease as a session would. */
  async use(index: number): Promise<void> {
    this.pool.link(this.lease, this.lease.relays[index]!);
    await until(() => this.states[index] === 'ready' && this.relays[index]!.tickets > 0);
    // The answer to the ticket has come, too.
    await sleep(20);
  }
}

async function scene(relays: number, retryMs = RETRY_MS): Promise<Scene> {
  world = await World.create(mesh);
  const made = new Scene(await Promise.all(Array.from({ length: relays }, (_, index) => world.relay(`s${index + 1}`, `127.0.2.${index + 1}`))), retryMs);
  made.pool.follow(made.lease);
  await made.use(0);
  made.age(LONG_LIFE_MS);
  return made;
}

test.each<[string, (scene: Scene) => Promise<void>, string]>([
  ['ready', (made) => made.use(1), 'ready'],
  ['not known to be out', () => Promise.resolve(), 'idle'],
])('the first relay is lost and the second is %s: that one goes first for a moment, and only then the first is tried', async (_name, prepare, second) => {
  const made = await scene(2);
  await prepare(made);
  const [one] = made.relays;
  const lostAtMs = performance.now();
  one!.disconnect();
  await until(() => made.states[0] !== 'ready');
  expect(made.states).toEqual(['suspect', second]);
  await until(() => one!.connections === 2);
  expect(performance.now() - lostAtMs).toBeGreaterThan(0.5 * RETRY_MS - 5);
  await until(() => made.states[0] === 'ready');
  expect(made.troubles).toEqual([]);
});

test('a relay that does not acknowledge a session is one slow round trip, however often the session says so', async () => {
  const made = await scene(2);
  made.age(LONG_LIFE_MS);
  const link = made.pool.link(made.lease, made.lease.relays[0]!)!;
  made.roundTripsMs.length = 0;
  for (let said = 0; said < 5; said += 1) made.pool.suspect(link);
  expect(made.roundTripsMs).toEqual([300]);
  made.pool.trust(link, undefined);
  made.pool.suspect(link);
  expect(made.roundTripsMs).toEqual([300, 300]);
});

test('how long is chance, up to the first pause', async () => {
  const pausesMs: number[] = [];
  for (const random of [0.05, 0.9]) {
    const made = await scene(2);
    made.random = random;
    const lostAtMs = performance.now();
    made.relays[0]!.disconnect();
    await until(() => made.relays[0]!.connections === 2);
    pausesMs.push(performance.now() - lostAtMs);
  }
  expect(pausesMs[0]).toBeLessThan(0.5 * RETRY_MS);
  expect(pausesMs[1]).toBeGreaterThan(0.9 * RETRY_MS - 5);
});

test('a session that needs the lost one does not wait for that', async () => {
  const made = await scene(2);
  made.random = 0.99;
  const lostAtMs = performance.now();
  made.relays[0]!.disconnect();
  await until(() => made.states[0] === 'suspect');
  made.pool.link(made.lease, made.lease.relays[0]!);
  await until(() => made.relays[0]!.connections === 2);
  expect(performance.now() - lostAtMs).toBeLessThan(0.9 * RETRY_MS);
  await sleep(RETRY_MS);
  expect(made.relays[0]!.connections).toBe(2);
});

test.each<[string, number, (scene: Scene) => void]>([
  ['there is no second', 1, () => {}],
  ['the second is out', 2, (made) => {
    made.relays[1]!.kill();
    made.pool.link(made.lease, made.lease.relays[1]!);
  }],
])('the first relay is lost and %s: it is tried at once', async (_name, count, prepare) => {
  const made = await scene(count, LONG_RETRY_MS);
  made.random = 0.99;
  prepare(made);
  await until(() => count === 1 || made.states[1] === 'unreachable');
  made.relays[0]!.disconnect();
  const lostAtMs = performance.now();
  await until(() => made.relays[0]!.connections === 2);
  // Else it would wait for 0.99 of that.
  expect(performance.now() - lostAtMs).toBeLessThan(0.5 * LONG_RETRY_MS);
});

test('another relay is wanted urgently when none is left', async () => {
  const made = await scene(2);
  await made.use(1);
  const [one, two] = made.relays;
  two!.kill();
  await until(() => made.troubles.length === 1);
  expect([made.states, made.troubles]).toEqual([['ready', 'unreachable'], [false]]);
  one!.kill();
  await until(() => made.troubles.length > 1);
  expect(made.troubles.slice(0, 2)).toEqual([false, true]);
});

test('the same with relays that take no new sessions', async () => {
  const made = await scene(2);
  made.relays[0]!.goAway();
  await until(() => made.troubles.length === 1);
  await made.use(1);
  made.relays[1]!.goAway();
  await until(() => made.troubles.length === 2);
  expect([made.states, made.troubles]).toEqual([['draining', 'draining'], [false, true]]);
});

test('a relay that took no new sessions is tried again, and is not avoided for ever', async () => {
  const made = await scene(1);
  made.relays[0]!.goAway();
  await until(() => made.troubles.length === 1);
  expect([made.states, made.pool.avoid]).toEqual([['draining'], [made.relays[0]!.name]]);
  await until(() => made.states[0] === 'ready' && made.relays[0]!.tickets === 2);
  expect(made.pool.avoid).toEqual([]);
});

test('a relay that finds the ticket too old is not avoided: the next lease may well name it', async () => {
  const made = await scene(1);
  made.relays[0]!.ticketScript = 'TICKET_EXPIRED';
  made.relays[0]!.disconnect();
  await until(() => made.troubles.length > 0);
  expect(made.pool.avoid).toEqual([]);
  made.relays[0]!.kill();
  await until(() => made.states[0] === 'unreachable');
  expect(made.pool.avoid).toEqual([made.relays[0]!.name]);
});

test('unless it finds that of every new one: then its clock is wrong, and another is wanted', async () => {
  const made = await scene(1);
  made.relays[0]!.ticketScript = 'TICKET_EXPIRED';
  made.relays[0]!.disconnect();
  await until(() => typeof made.states[0] === 'string' && made.states[0].startsWith('refused'));
  const tickets = made.relays[0]!.tickets;
  made.pool.follow({ ...made.lease });
  await until(() => made.relays[0]!.tickets > tickets && made.pool.avoid.length === 1);
  expect(made.troubles.at(-1)).toBe(true);
});

test('a third relay that is out is not looked at all the time', async () => {
  const made = await scene(3);
  made.relays[2]!.kill();
  made.pool.link(made.lease, made.lease.relays[2]!);
  await until(() => made.states[2] === 'unreachable');
  await sleep(RETRY_MS + 50);
  const timers = vi.spyOn(globalThis, 'setTimeout');
  atEnd(() => timers.mockRestore());
  await sleep(200);
  expect(timers.mock.calls.length).toBeLessThan(5);
});
