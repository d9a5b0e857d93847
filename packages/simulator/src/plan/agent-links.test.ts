import { DEFAULT_TIMINGS, type Lease } from '@sekisho/agent';
import { expect, test } from 'vitest';
import { seeded } from '../load/random.ts';
import { AgentLinks } from './agent-links.ts';
import { EventQueue } from './event-queue.ts';
import { DEFAULT_COST } from './scenario.ts';
import { VirtualRelay } from './virtual-relay.ts';

const relayNamed = (name: string, index: number): VirtualRelay =>
  new VirtualRelay({
    index,
    site: 0,
    name,
    weight: 1,
    cores: 1,
    maxSessions: 1,
    maxDevices: 1,
    address: { name, host: `relay-${index}`, port: 7026 },
    session: { bytes: 1, ms: 1000 },
    cost: DEFAULT_COST,
  });

function setUp() {
  const queue = new EventQueue({ startMs: 0 });
  const relays = [relayNamed('s1', 0), relayNamed('s2', 1)] as const;
  const [s1, s2] = relays;
  const troubles: string[] = [];
  const links = new AgentLinks({
    queue,
    random: seeded(1),
    timings: DEFAULT_TIMINGS,
    relayAt: ({ host }) => (host === 'relay-0' ? s1 : s2),
    roundTripMs: () => 20,
    onTrouble: (isUrgent) => troubles.push(isUrgent ? 'urgent' : 'not urgent'),
    onChange: () => {},
  });
  const lease = { site: 'a', manager: 'm1', relays: [s1.address, s2.address], ticket: Buffer.alloc(0), reason: '', expiresAtMs: 1e9, renewAtMs: 1e9 } satisfies Lease;
  const state = (relay: VirtualRelay): unknown => links.state(lease, relay.address);
  return { queue, s1, s2, links, lease, state, troubles };
}

test('the first relay of a lease is connected in three round trips, the second when a session needs it', () => {
  const { queue, s1, s2, links, lease, state } = setUp();
  links.follow(lease);
  expect([state(s1), state(s2)]).toEqual(['opening', 'idle']);
  queue.runUntil(59);
  expect(links.isQuiet).toBe(false);
  queue.runUntil(61);
  expect([state(s1), links.isQuiet, links.carries(s1.address), s1.devices]).toEqual(['ready', true, s1, 1]);
  const told: string[] = [];
  links.open(s2.address, (outcome) => told.push(outcome));
  queue.runUntil(200);
  expect([told, s2.devices, s2.sessions]).toEqual([['acked', 'connected'], 1, 1]);
  links.open(s2.address, (outcome) => told.push(outcome));
  queue.runUntil(300);
  expect(told).toEqual(['acked', 'connected', 'acked', 'FULL']);
});

test('a relay that resets: tried again after a moment, then remembered, told to managers, and tried with growing pauses', () => {
  const { queue, s1, links, lease, state, troubles } = setUp();
  links.follow(lease);
  queue.runUntil(10_000);
  s1.become('reset', queue.now);
  links.relayGone(s1);
  expect(links.carries(s1.address)).toBeUndefined();
  queue.runUntil(10_015);
  expect([state(s1), links.avoid, troubles]).toEqual(['suspect', [], []]);
  queue.runUntil(11_000);
  expect([state(s1), links.avoid]).toEqual(['unreachable', ['s1']]);
  expect(troubles[0]).toBe('not urgent');
  s1.become('up', queue.now);
  queue.runUntil(30_000);
  expect([state(s1), links.avoid, links.isQuiet, s1.devices]).toEqual(['ready', [], true, 1]);
});

test('a silent relay looks ready until the connection is found dead', () => {
  const { queue, s1, links, lease, state } = setUp();
  links.follow(lease);
  queue.runUntil(10_000);
  s1.become('silent', queue.now);
  links.relayGone(s1);
  const told: string[] = [];
  links.open(s1.address, (outcome) => told.push(outcome));
  queue.runUntil(17_400);
  expect([state(s1), told, links.isQuiet]).toEqual(['ready', [], false]);
  queue.runUntil(20_600);
  expect(told).toEqual(['lost']);
  expect(state(s1)).not.toBe('ready');
  queue.runUntil(26_000);
  expect([state(s1), links.avoid]).toEqual(['unreachable', ['s1']]);
});

test('a relay that is full of devices says so; another lease leaves both', () => {
  const { queue, s1, s2, links, lease, state, troubles } = setUp();
  s1.connect();
  links.follow(lease);
  queue.runUntil(70);
  expect([state(s1), links.avoid, troubles]).toEqual([{ refused: 'FULL' }, ['s1'], ['not urgent']]);
  links.open(s2.address, () => {});
  queue.runUntil(200);
  expect(s2.devices).toBe(1);
  links.follow({ ...lease, relays: [s1.address] });
  expect(s2.devices).toBe(0);
});
