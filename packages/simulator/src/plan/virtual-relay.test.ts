import { expect, test } from 'vitest';
import { seeded } from '../load/random.ts';
import { DEFAULT_COST } from './scenario.ts';
import { VirtualRelay } from './virtual-relay.ts';

const make = (maxSessions = 100_000): VirtualRelay =>
  new VirtualRelay({
    index: 0,
    site: 0,
    name: 's1',
    weight: 1,
    cores: 2,
    maxSessions,
    maxDevices: 3,
    address: { name: 's1', host: 'relay-0', port: 7026 },
    session: { bytes: 1e6, ms: 10_000 },
    cost: DEFAULT_COST,
  });

test.each([1000, 7000, 120_000])('sessions at once are rate x time, whatever the step (%i ms)', (stepMs) => {
  const relay = make();
  const random = seeded(2);
  relay.clients = 1000;
  let sum = 0;
  let begun = 0;
  const steps = 4000;
  for (let step = 0; step < steps; step += 1) {
    begun += relay.advance(stepMs, 1e-5, random);
    if (step > 100) sum += relay.sessions;
  }
  expect(begun / (steps * stepMs * 1e-2)).toBeCloseTo(1, 1);
  expect(sum / (steps - 101)).toBeGreaterThan(97);
  expect(sum / (steps - 101)).toBeLessThan(103);
});

test('a session costs what the model says, and so does a byte', () => {
  const relay = make();
  const random = seeded(3);
  relay.clients = 10_000;
  for (let step = 0; step < 100; step += 1) relay.advance(60_000, 1e-5, random);
  // 100 sessions a second: 100 x 0.25 ms + 100 MB x 1.2 s/GB = 145 ms of a second, on two cores.
  expect(relay.cpu).toBeCloseTo(0.0725, 2);
  expect(relay.bytesPerMs).toBeGreaterThan(0.97e5);
  expect(relay.bytesPerMs).toBeLessThan(1.03e5);
  const { sessions, bytesPerSecond, hottestCore } = relay.report(12_500);
  expect([sessions, hottestCore]).toEqual([relay.sessions, relay.cpu]);
  expect(bytesPerSecond).toBe(relay.bytesPerMs * 1000);
});

test('full is full: for sessions by the step, for single ones, for devices', () => {
  const relay = make(50);
  relay.clients = 1000;
  relay.advance(10_000, 1e-5, seeded(4));
  expect(relay.sessions).toBe(50);
  expect(relay.overflow).toBeGreaterThan(0);
  expect([relay.isFull, relay.admit()]).toEqual([true, false]);
  expect([relay.connect(), relay.connect(), relay.connect(), relay.connect()]).toEqual([true, true, true, false]);
});

test('death breaks what was there and forgets it', () => {
  const relay = make();
  relay.connect();
  relay.admit();
  relay.admit();
  expect(relay.become('silent', 7)).toBe(2);
  expect([relay.sessions, relay.devices, relay.changedAtMs]).toEqual([0, 0, 7]);
});

test('on a line that is too small sessions take longer, and as many more are there at once', () => {
  const relay = make();
  const random = seeded(5);
  relay.clients = 1000;
  relay.slowdown = 3;
  for (let step = 0; step < 200; step += 1) relay.advance(10_000, 1e-5, random);
  expect(relay.sessions).toBeGreaterThan(240);
  expect(relay.sessions).toBeLessThan(360);
});
