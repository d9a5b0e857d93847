import fc from 'fast-check';
import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { describe, expect, test } from 'vitest';
import { type Behaviour, good, meshOf, seeded, silent, VirtualMesh } from './testing/virtual-mesh.ts';

describe('silent managers', () => {
  test('one silent of three: a lease 300 ms later; from then on it costs nothing', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const virtual = meshOf({ a: silent, b: good, c: good }, seed);
      expect(virtual.runUntilLease(1000)).toBeLessThanOrEqual(5 + 300 + 20 + 1);
      const tookFirst = virtual.attempts[0]?.address === 'a';
      virtual.run(200);
      virtual.breakCurrent();
      const from = virtual.now;
      virtual.run(3000);
      const next = virtual.attempts.find(({ atMs, type }) => type === 'ask' && atMs >= from);
      if (tookFirst) expect(next?.address).not.toBe('a');
    }
  });

  test('all silent: direct when the budget is over, and the next client at once', () => {
    const virtual = meshOf({ a: silent, b: silent, c: silent });
    virtual.run(100);
    expect(virtual.decide()).toEqual({ kind: 'wait' });
    expect(virtual.decideFinally()).toEqual({ kind: 'direct', reason: 'managers_silent' });
    virtual.run(4910);
    expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'managers_silent' });
    virtual.onStep = () => expect(virtual.decide().kind).toBe('direct');
    virtual.run(600_000);
  });

  test('one comes back: relayed again in the background, within the longest pause', () => {
    const virtual = meshOf({ a: silent, b: silent });
    virtual.run(1_000_000);
    expect(virtual.decide().kind).toBe('direct');
    virtual.managers.set('b', good);
    expect(virtual.runUntilLease(70_000)).toBeLessThan(70_000);
    expect(virtual.decide().kind).toBe('relayed');
  });

  test('a dead one is probed with growing pauses and asked again only after two good answers', () => {
    const virtual = meshOf({ a: silent, b: good }, 7);
    virtual.run(1000);
    virtual.run(600_000);
    const probes = virtual.attempts.filter(({ address, type }) => address === 'a' && type === 'probe');
    if (virtual.attempts[0]?.address !== 'a') throw new Error('choose a seed that begins with a');
    expect(probes.length).toBeGreaterThan(8);
    expect(probes.length).toBeLessThan(40);
    virtual.managers.set('a', good);
    virtual.run(70_000);
    expect(virtual.steering.isAlive('a')).toBe(true);
    expect(virtual.steering.current).toBe('b');
  });

  test('identity failures count as silence', () => {
    const virtual = meshOf({ a: { kind: 'unreachable', delayMs: 1 } });
    virtual.run(10);
    expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'managers_silent' });
  });
});

describe('refusals', () => {
  test('a permanent one: nobody is asked to overrule it, the lease ends, never direct', () => {
    const virtual = meshOf({ a: { kind: 'refuse', code: 'DEVICE_REVOKED', delayMs: 5 }, b: { kind: 'refuse', code: 'DEVICE_REVOKED', delayMs: 5 } });
    virtual.run(2000);
    expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'DEVICE_REVOKED' });
    expect(virtual.attempts.length).toBe(1);
    virtual.run(3_600_000);
    expect(virtual.attempts.length).toBeLessThan(70);
    expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'DEVICE_REVOKED' });
  });

  test('a refused device that is then cut off from all managers is not connected directly', () => {
    const virtual = meshOf({ a: { kind: 'refuse', code: 'DEVICE_REVOKED', delayMs: 5 } });
    virtual.run(1000);
    virtual.managers.set('a', silent);
    virtual.run(3_600_000);
    expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'DEVICE_REVOKED' });
    virtual.managers.set('a', good);
    virtual.run(300_000);
    expect(virtual.decide().kind).toBe('relayed');
  });

  test('on renewal, a permanent one ends the lease and a temporary one does not', () => {
    for (const [code, kind] of [['DEVICE_DISABLED', 'refuse'], ['RATE_LIMITED', 'relayed']] as const) {
      const virtual = meshOf({ a: good });
      virtual.run(1000);
      virtual.managers.set('a', { kind: 'refuse', code, delayMs: 5 });
      virtual.run(320_000);
      expect(virtual.decide().kind).toBe(kind);
    }
  });

  test('NO_RELAY everywhere is absence; one that can is found at once', () => {
    const absent: Behaviour = { kind: 'refuse', code: 'NO_RELAY', delayMs: 5 };
    const virtual = meshOf({ a: absent, b: absent });
    virtual.run(30);
    expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'managers_absent' });
    const better = meshOf({ a: absent, b: absent, c: good });
    expect(better.runUntilLease(1000)).toBeLessThan(60);
  });

  test('one that another manager may overrule: the others are asked, and if none gives a lease it holds', () => {
    const limited: Behaviour = { kind: 'refuse', code: 'RATE_LIMITED', delayMs: 5 };
    expect(meshOf({ a: limited, b: good }).runUntilLease(1000)).toBeLessThan(60);
    const virtual = meshOf({ a: limited, b: silent });
    virtual.run(6000);
    expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'RATE_LIMITED' });
  });

  test('failMode closed is never direct', () => {
    const virtual = meshOf({ a: silent }, 1, { failMode: 'closed' });
    virtual.onStep = () => expect(virtual.decide().kind).not.toBe('direct');
    virtual.run(100_000);
    expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'NO_RELAY' });
  });
});

describe('leases', () => {
  test('are renewed before they end, on the same manager', () => {
    const virtual = meshOf({ a: good, b: good });
    virtual.run(1000);
    const { current } = virtual.steering;
    virtual.onStep = () => expect(virtual.decide().kind).toBe('relayed');
    virtual.run(3_600_000);
    expect(virtual.steering.current).toBe(current);
    expect(virtual.attempts.filter(({ type }) => type === 'ask').length).toBeLessThan(20);
  });

  test('outlive their manager: relayed until the end, then direct at once', () => {
    const virtual = meshOf({ a: good });
    virtual.run(1000);
    virtual.managers.set('a', silent);
    virtual.breakCurrent();
    virtual.run(590_000);
    expect(virtual.decide().kind).toBe('relayed');
    virtual.run(20_000);
    expect(virtual.decide()).toEqual({ kind: 'direct', reason: 'managers_silent' });
  });

  test('a lease that ends while its renewal is open is waited for, also after a time without the mesh', () => {
    const virtual = meshOf({ a: silent });
    virtual.lease = { ttlMs: 2000, renewAfterMs: 2000 };
    virtual.run(6000);
    expect(virtual.decide().kind).toBe('direct');
    virtual.managers.set('a', good);
    virtual.runUntilLease(60_000);
    virtual.managers.set('a', silent);
    virtual.run(2050);
    expect(virtual.decide()).toEqual({ kind: 'wait' });
    virtual.run(5000);
    expect(virtual.decide().kind).toBe('direct');
  });

  test('however short a lease a manager gives, clients have a way in between, and it is asked no more than once a second', () => {
    const virtual = meshOf({ a: good });
    virtual.lease = { ttlMs: 1, renewAfterMs: 0 };
    virtual.run(1000);
    virtual.onStep = () => expect(virtual.decide().kind).toBe('relayed');
    virtual.run(60_000);
    expect(virtual.attempts.length).toBeLessThanOrEqual(61);
  });

  test('a renewal that is not answered: the manager is left for another', () => {
    const virtual = meshOf({ a: good, b: good });
    virtual.run(1000);
    const left = virtual.steering.current!;
    virtual.managers.set(left, silent);
    virtual.run(320_000);
    expect(virtual.steering.current).toBe(left === 'a' ? 'b' : 'a');
  });

  /** When each of a thousand agents asks its manager after it has lost a relay, and whether another was left to it. */
  const asksAfterLoss = (isUrgent: boolean): number[] =>
    Array.from({ length: 1000 }, (_, seed) => {
      const virtual = meshOf({ a: good }, seed);
      virtual.run(10_000);
      const from = virtual.attempts.length;
      virtual.steering.renewSoon(virtual.now, isUrgent);
      virtual.run(5000);
      expect(virtual.attempts.length).toBe(from + 1);
      return virtual.attempts[from]!.atMs - 10_000;
    });

  test('all agents of a relay lose it at once: those that have another one left do not ask at once', () => {
    const asked = asksAfterLoss(false);
    expect(Math.max(...asked)).toBeLessThanOrEqual(2000);
    for (let fromMs = 0; fromMs < 2000; fromMs += 200) {
      const count = asked.filter((atMs) => atMs >= fromMs && atMs < fromMs + 200).length;
      expect(count, `from ${fromMs} ms`).toBeLessThan(150);
    }
  });

  test('those that have none left do', () => {
    expect(new Set(asksAfterLoss(true))).toEqual(new Set([0]));
  });

  test('the last one is lost while there seemed to be time: the manager is asked at once, and once', () => {
    const virtual = meshOf({ a: good });
    virtual.run(10_000);
    const from = virtual.attempts.length;
    virtual.steering.renewSoon(virtual.now, false);
    virtual.steering.renewSoon(virtual.now, false);
    expect(virtual.attempts.length).toBe(from);
    virtual.steering.renewSoon(virtual.now, true);
    virtual.run(5000);
    expect(virtual.attempts.slice(from).map(({ atMs }) => atMs)).toEqual([10_000]);
  });

  test('however urgent, not more often than the pauses allow', () => {
    for (let seed = 0; seed < 100; seed += 1) {
      const virtual = meshOf({ a: good }, seed);
      virtual.run(10_000);
      virtual.steering.renewSoon(virtual.now, true);
      virtual.run(100);
      virtual.steering.renewSoon(virtual.now, false);
      virtual.steering.renewSoon(virtual.now, true);
      virtual.run(5000);
      const [first = 0, second = 0] = virtual.attempts.slice(-2).map(({ atMs }) => atMs);
      expect(first).toBe(10_000);
      expect(second - first).toBeGreaterThanOrEqual(1000);
      expect(second - first).toBeLessThanOrEqual(2000);
    }
  });

  test('a relay in trouble: the manager is asked at once, then with growing pauses', () => {
    const virtual = meshOf({ a: good });
    virtual.run(10_000);
    const from = virtual.attempts.length;
    for (let i = 0; i < 6000; i += 1) {
      virtual.steering.renewSoon(virtual.now, true);
      virtual.run(10);
    }
    const asked = virtual.attempts.slice(from).map(({ atMs }) => atMs - 10_000);
    expect(asked[0]).toBe(0);
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.length).toBeLessThan(25);
  });

  test('trouble after a quiet time is new trouble: the pauses are short again', () => {
    const virtual = meshOf({ a: good });
    virtual.run(10_000);
    for (let i = 0; i < 1000; i += 1) {
      virtual.steering.renewSoon(virtual.now, true);
      virtual.run(10);
    }
    virtual.run(20_000);
    const from = virtual.attempts.length;
    for (let i = 0; i < 2; i += 1) {
      virtual.steering.renewSoon(virtual.now, true);
      virtual.run(1100);
    }
    expect(virtual.attempts.length).toBe(from + 2);
  });
});

const codes = Object.keys(REFUSALS) as RefusalCode[];
const delayMs = fc.nat(8000);
const behaviour: fc.Arbitrary<Behaviour> = fc.oneof(
  fc.record({ kind: fc.constant('lease' as const), delayMs }),
  fc.record({ kind: fc.constant('refuse' as const), code: fc.constantFrom(...codes), delayMs }),
  fc.record({ kind: fc.constant('unreachable' as const), delayMs }),
  fc.constant({ kind: 'silent' as const }),
);
const addresses = ['a', 'b', 'c', 'd', 'e'];
const zone = fc.option(fc.subarray(addresses), { nil: undefined });
const phase = fc.record({
  behaviours: fc.array(behaviour, { minLength: addresses.length, maxLength: addresses.length }),
  zone,
  breaks: fc.boolean(),
  lastsMs: fc.nat(120_000),
});

describe('whatever managers and DNS do', () => {
  test('a client is decided within 5 s, and never directly after a no that is no absence', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(phase, { minLength: 1, maxLength: 6 }), (seed, phases) => {
        const virtual = new VirtualMesh(seed);
        let waitingSinceMs: number | undefined;
        let permanent = false;
        virtual.onStep = () => {
          const route = virtual.decide();
          waitingSinceMs = route.kind === 'wait' ? (waitingSinceMs ?? virtual.now) : undefined;
          // DNS and the search: what is still open after that is decided by the client's own deadline.
          if (waitingSinceMs !== undefined) expect(virtual.now - waitingSinceMs).toBeLessThanOrEqual(5010);
          const { refused, lease } = virtual.steering.status(virtual.now);
          permanent = refused !== undefined && !REFUSALS[refused.code].temporary;
          if (refused !== undefined && lease === undefined) expect(route.kind).toBe('refuse');
          if (permanent) expect([route.kind, virtual.decideFinally().kind]).toEqual(['refuse', 'refuse']);
        };
        for (const { behaviours, zone, breaks, lastsMs } of phases) {
          virtual.zone = zone;
          for (const [i, address] of addresses.entries()) virtual.managers.set(address, behaviours[i]!);
          if (breaks) virtual.breakCurrent();
          virtual.run(lastsMs);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('no manager is asked a TTL after it left the zone, if somebody there gives leases', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.subarray(addresses, { minLength: 1 }), { minLength: 2, maxLength: 5 }), (seed, zones) => {
        const virtual = new VirtualMesh(seed);
        const kinds: Behaviour[] = [good, silent, { kind: 'refuse', code: 'NO_RELAY', delayMs: 10 }];
        const random = seeded(seed);
        for (const address of addresses) virtual.managers.set(address, kinds[Math.floor(random() * kinds.length)]!);
        for (const zone of zones) {
          virtual.zone = zone;
          virtual.run(virtual.ttlMs + 20);
          if (!zone.some((address) => virtual.managers.get(address) === good)) continue;
          const from = virtual.attempts.length;
          virtual.run(300_000);
          for (const { address } of virtual.attempts.slice(from)) expect(zone).toContain(address);
          const { current } = virtual.steering;
          if (current !== undefined) expect(zone).toContain(current);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('with one good manager among dead ones, a lease takes at most a stagger for each, and the second time none', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 4 }), (seed, dead) => {
        const virtual = meshOf(Object.fromEntries(addresses.slice(0, dead + 1).map((address, i) => [address, i === dead ? good : silent])), seed);
        expect(virtual.runUntilLease(5000)).toBeLessThanOrEqual(5 + dead * 300 + 20 + 1);
        virtual.run(100);
        const firstTry = virtual.attempts.filter(({ type }) => type === 'ask').map(({ address }) => address);
        virtual.breakCurrent();
        virtual.run(4000);
        // Those that have shown to be dead are not asked for a lease before the others.
        const again = virtual.attempts.filter(({ type }) => type === 'ask').slice(firstTry.length);
        const untried = addresses.slice(0, dead).filter((address) => !firstTry.includes(address));
        for (const { address } of again.slice(0, untried.length)) expect(firstTry.slice(0, -1)).not.toContain(address);
      }),
      { numRuns: 100 },
    );
  });
});

describe('settled', () => {
  test('with a manager and a lease, between look-ups and renewals', () => {
    const virtual = meshOf({ a: good, b: good });
    expect(virtual.steering.isSettled(virtual.now)).toBe(false);
    virtual.run(1000);
    expect(virtual.steering.isSettled(virtual.now)).toBe(true);
    // The first look-up after a minute and the renewal after five are short interruptions.
    let unsettledMs = 0;
    for (let i = 0; i < 600_000; i += 1) {
      virtual.run(1);
      if (!virtual.steering.isSettled(virtual.now)) unsettledMs += 1;
    }
    expect(unsettledMs).toBeGreaterThan(10 * 5);
    expect(unsettledMs).toBeLessThan(10 * 7 + 2 * 25);
  });

  test('also while a dead manager is only waited for, which it names', () => {
    const virtual = meshOf({ a: silent, b: good }, 7);
    virtual.run(10_000);
    expect(virtual.steering.dead).toEqual(['a']);
    let probing = 0;
    for (let i = 0; i < 60_000; i += 1) {
      virtual.run(1);
      if (!virtual.steering.isSettled(virtual.now)) probing += 1;
    }
    expect(probing).toBeGreaterThan(5000);
    expect(probing).toBeLessThan(25_000);
    virtual.managers.set('a', good);
    virtual.run(120_000);
    expect(virtual.steering.dead).toEqual([]);
  });

  test('not while trouble is remembered, with a refusal, or on the way to another manager', () => {
    const trouble = meshOf({ a: good });
    trouble.run(1000);
    trouble.steering.renewSoon(trouble.now, false);
    trouble.run(5000);
    expect(trouble.steering.isSettled(trouble.now)).toBe(false);
    trouble.run(12_000);
    expect(trouble.steering.isSettled(trouble.now)).toBe(true);

    const refused = meshOf({ a: good });
    refused.run(1000);
    refused.managers.set('a', { kind: 'refuse', code: 'DEVICE_REFUSED', delayMs: 5 });
    refused.run(400_000);
    expect(refused.steering.isSettled(refused.now)).toBe(false);

    const left = meshOf({ a: good, b: good });
    left.run(1000);
    left.zone = [left.steering.current === 'a' ? 'b' : 'a'];
    left.run(60_000 - 1000 + 10);
    expect(left.steering.isSettled(left.now)).toBe(false);
  });
});
