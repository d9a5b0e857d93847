import { expect, test } from 'vitest';
import { type Behaviour, good, meshOf, silent } from './testing/virtual-mesh.ts';

/** What an agent makes of the managers that DNS names, and no longer names. */

test('empty from the start: direct, and out of it as soon as DNS knows a manager', () => {
  const virtual = meshOf({});
  virtual.run(10);
  expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'dns_empty' });
  virtual.zone = ['a'];
  virtual.managers.set('a', good);
  expect(virtual.runUntilLease(31_000)).toBeLessThan(31_000);
});

test('failing or empty later: the last addresses go on', () => {
  const virtual = meshOf({ a: good, b: good });
  virtual.run(1000);
  virtual.zone = undefined;
  virtual.run(3_600_000);
  expect(virtual.decide().kind).toBe('relayed');
  virtual.zone = [];
  virtual.breakCurrent();
  virtual.run(1_200_000);
  expect(virtual.decide().kind).toBe('relayed');
});

test('a manager that leaves the zone loses its agents within a TTL; the lease lives until there is another', () => {
  const virtual = meshOf({ a: good, b: good });
  virtual.run(1000);
  const left = virtual.steering.current!;
  const stays = left === 'a' ? 'b' : 'a';
  virtual.zone = [stays];
  virtual.onStep = () => expect(virtual.decide().kind).toBe('relayed');
  virtual.run(virtual.ttlMs + 2100);
  expect(virtual.steering.current).toBe(stays);
  expect(virtual.connections).toEqual([stays]);
});

test.each<Behaviour>([silent, { kind: 'unreachable', delayMs: 20 }, { kind: 'refuse', code: 'NO_RELAY', delayMs: 20 }])(
  'it is kept while nobody of the zone gives a lease (%o), for who poisons DNS must not bring clients to go directly; and left when one does',
  (poisoned) => {
    const virtual = meshOf({ a: good, b: poisoned });
    virtual.zone = ['a'];
    virtual.run(1000);
    virtual.zone = ['b'];
    virtual.onStep = () => expect(virtual.decide().kind).toBe('relayed');
    virtual.run(3_600_000);
    expect(virtual.steering.current).toBe('a');
    // Not more often than others that are dead.
    expect(virtual.attempts.filter(({ address }) => address === 'b').length).toBeLessThan(150);
    virtual.managers.set('b', good);
    virtual.run(300_000);
    expect(virtual.steering.current).toBe('b');
    expect(virtual.connections).toEqual(['b']);
  },
);

test('the one that is kept dies: then there is nobody', () => {
  const virtual = meshOf({ a: good });
  virtual.run(1000);
  virtual.zone = ['b'];
  virtual.run(virtual.ttlMs + 7100);
  expect(virtual.steering.current).toBe('a');
  virtual.managers.set('a', silent);
  virtual.breakCurrent();
  virtual.run(600_000);
  expect(virtual.steering.current).toBeUndefined();
  expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'managers_silent' });
});

test('a search follows the zone: what is gone is neither asked nor listened to, what is new is asked', () => {
  const virtual = meshOf({ a: { kind: 'lease', delayMs: 2000 } }, 1, { zone: { ttlMinMs: 1000, ttlMaxMs: 1000, retryFirstMs: 1000 } });
  virtual.zone = ['a', 'x', 'y'];
  virtual.run(50);
  virtual.zone = ['b', 'y'];
  virtual.managers.set('b', { kind: 'lease', delayMs: 2000 });
  virtual.run(1100);
  const from = virtual.attempts.length;
  expect(virtual.attempts.at(-1)?.address).toBe('b');
  virtual.run(1800);
  expect(virtual.steering.current).toBeUndefined();
  virtual.run(400);
  expect(virtual.steering.current).toBe('b');
  for (const { address } of virtual.attempts.slice(from)) expect(['b', 'y']).toContain(address);
});

test('a new manager gets its share of the agents within a TTL', () => {
  let moved = 0;
  for (let seed = 1; seed <= 300; seed += 1) {
    const virtual = meshOf({ a: good, b: good }, seed);
    virtual.run(1000);
    virtual.zone = ['a', 'b', 'c'];
    virtual.managers.set('c', good);
    virtual.run(virtual.ttlMs + 2100);
    if (virtual.steering.current === 'c') moved += 1;
  }
  expect(moved).toBeGreaterThan(70);
  expect(moved).toBeLessThan(130);
});

test('a new manager that is broken or says no costs nobody a lease', () => {
  for (const behaviour of [silent, { kind: 'refuse', code: 'DEVICE_REFUSED', delayMs: 5 }] as const) {
    for (let seed = 1; seed <= 20; seed += 1) {
      const virtual = meshOf({ a: good }, seed);
      virtual.run(1000);
      virtual.zone = ['a', 'b'];
      virtual.managers.set('b', behaviour);
      virtual.onStep = () => expect(virtual.decide().kind).toBe('relayed');
      virtual.run(200_000);
      expect(virtual.steering.current).toBe('a');
    }
  }
});

test('nobody answers: the zone is looked up at the least TTL, since it may be about to change', () => {
  const virtual = meshOf({ a: silent });
  virtual.ttlMs = 1_200_000;
  virtual.run(300_000);
  expect(virtual.lookUps.length).toBeGreaterThan(5);
  expect(virtual.lookUps.length).toBeLessThan(12);
});
