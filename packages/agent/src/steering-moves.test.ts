import { describe, expect, test } from 'vitest';
import { MOVE_REASONS } from './moves.ts';
import { type Behaviour, good, seeded, silent, VirtualMesh } from './testing/virtual-mesh.ts';

/** How an agent goes from one site to another. Managers are named by their site and a number: a1, a2, b1. */

const MINUTE_MS = 60_000;
const REHOME_MS = 15 * MINUTE_MS;

type Init = ConstructorParameters<typeof VirtualMesh>[1];

function mesh(addresses: readonly string[], seed = 1, init: Init = {}): VirtualMesh {
  const virtual = new VirtualMesh(seed, init);
  virtual.zone = addresses;
  virtual.ttlMs = 1_200_000;
  virtual.siteOf = (address) => address.slice(0, 1);
  for (const address of addresses) virtual.managers.set(address, good);
  return virtual;
}

/** It has been with a manager of this site for a while. */
function settledAt(site: string, addresses: readonly string[], init: Init = {}, fromSeed = 1): VirtualMesh {
  for (let seed = fromSeed; ; seed += 1) {
    const virtual = mesh(addresses, seed, init);
    virtual.run(10_000);
    if (siteOf(virtual) === site) return virtual;
  }
}

function siteOf(virtual: VirtualMesh): string | undefined {
  return virtual.steering.lease(virtual.now)?.site;
}

function setSite(virtual: VirtualMesh, site: string, behaviour: Behaviour): void {
  for (const address of virtual.managers.keys()) if (address.startsWith(site)) virtual.managers.set(address, behaviour);
}

const asksSince = (virtual: VirtualMesh, fromMs: number): string[] =>
  virtual.attempts.filter(({ atMs, type }) => type === 'ask' && atMs >= fromMs).map(({ address }) => address);

describe('a site falls silent, and a client needs a relay', () => {
  /** The site in use is cut, and a client has found its relays silent. */
  function cut(addresses: readonly string[], seed = 1): VirtualMesh {
    const virtual = settledAt('a', addresses, {}, seed);
    setSite(virtual, 'a', silent);
    virtual.setRelays('a', 'unreachable');
    virtual.onStep = () => expect(virtual.decide().kind).not.toBe('direct');
    virtual.renewSoon(true);
    return virtual;
  }

  test('its manager has 300 ms, then the others are asked, and whoever waits is never sent directly', () => {
    for (let seed = 1; seed < 40; seed += 1) {
      const virtual = cut(['a1', 'b1', 'c1'], seed);
      virtual.run(299);
      expect(asksSince(virtual, 10_000)).toEqual(['a1']);
      expect(virtual.decide()).toEqual({ kind: 'wait' });
      virtual.run(22);
      expect(siteOf(virtual)).not.toBe('a');
      expect(virtual.decide()).toMatchObject({ kind: 'relayed' });
      expect(virtual.steering.dead).toEqual(['a1']);
      expect(virtual.steering.lastMove).toMatchObject({ reason: 'silent', from: 'a' });
    }
  });

  test('the other manager of the same site, if it is known to be one, is asked last', () => {
    for (let seed = 1; seed < 40; seed += 1) {
      const virtual = settledAt('a', ['a1', 'a2', 'b1'], {}, seed);
      // It has been with both.
      virtual.steering.rehome(virtual.now, virtual.steering.current === 'a1' ? 'a2' : 'a1');
      virtual.run(1000);
      setSite(virtual, 'a', silent);
      virtual.renewSoon(true);
      const fromMs = virtual.now;
      virtual.run(2000);
      expect(asksSince(virtual, fromMs).slice(1)).toEqual(['b1']);
    }
  });

  test('nobody else answers either: the client waits no longer than its time, and the next ones for no more than who is tried again', () => {
    const virtual = settledAt('a', ['a1', 'b1']);
    for (const site of ['a', 'b']) setSite(virtual, site, silent);
    virtual.setRelays('a', 'unreachable');
    virtual.renewSoon(true);
    virtual.run(4900);
    expect(virtual.decide()).toEqual({ kind: 'wait' });
    expect(virtual.decideFinally()).toMatchObject({ kind: 'direct' });
    virtual.run(500);
    let waitsSinceMs: number | undefined;
    virtual.onStep = () => {
      waitsSinceMs = virtual.decide().kind === 'wait' ? (waitsSinceMs ?? virtual.now) : undefined;
      expect(virtual.now - (waitsSinceMs ?? virtual.now)).toBeLessThanOrEqual(300);
    };
    for (let client = 0; client < 100; client += 1) {
      virtual.renewSoon(true);
      virtual.run(3000);
    }
  });

  test('nothing is urgent: its manager has its 5 s, and nobody else is asked', () => {
    const virtual = settledAt('a', ['a1', 'b1']);
    setSite(virtual, 'a', silent);
    virtual.renewSoon(false);
    virtual.run(4900);
    expect(new Set(asksSince(virtual, 10_000))).toEqual(new Set(['a1']));
  });

  test('one that answers late after all is kept, when nobody was quicker', () => {
    const virtual = settledAt('a', ['a1', 'b1']);
    setSite(virtual, 'a', { kind: 'lease', delayMs: 400 });
    setSite(virtual, 'b', { kind: 'lease', delayMs: 2000 });
    virtual.renewSoon(true);
    virtual.run(10_000);
    expect([siteOf(virtual), virtual.connections]).toEqual(['a', ['a1']]);
    expect(virtual.steering.dead).toEqual([]);
  });

  test('another one says no: that is the answer, and never direct', () => {
    for (const [code, isPermanent] of [['DEVICE_DISABLED', true], ['RATE_LIMITED', false]] as const) {
      const virtual = settledAt('a', ['a1', 'b1']);
      setSite(virtual, 'a', silent);
      setSite(virtual, 'b', { kind: 'refuse', code, delayMs: 5 });
      virtual.setRelays('a', 'unreachable');
      virtual.renewSoon(true);
      virtual.run(310);
      virtual.onStep = () => expect(virtual.decide().kind).not.toBe('direct');
      virtual.run(4000);
      expect(virtual.decide()).toEqual({ kind: 'refuse', code });
      expect(siteOf(virtual)).toBe(isPermanent ? undefined : 'a');
    }
  });

  test('its connection breaks while clients have no relay: nobody waits for a turn', () => {
    for (const isBrokenFirst of [false, true]) {
      const virtual = settledAt('a', ['a1', 'b1']);
      setSite(virtual, 'a', { kind: 'unreachable', delayMs: 1 });
      virtual.setRelays('a', 'unreachable');
      if (isBrokenFirst) virtual.breakCurrent();
      virtual.renewSoon(true);
      if (!isBrokenFirst) virtual.breakCurrent();
      virtual.onStep = () => expect(virtual.decide().kind).not.toBe('direct');
      virtual.run(30);
      expect(siteOf(virtual)).toBe('b');
    }
  });
});

describe('a site says that it has no relay', () => {
  test('another one is asked; when all say so: directly, or not at all, as failMode says', () => {
    const absent: Behaviour = { kind: 'refuse', code: 'NO_RELAY', delayMs: 5 };
    const one = settledAt('a', ['a1', 'b1']);
    setSite(one, 'a', absent);
    one.setRelays('a', 'unreachable');
    one.onStep = () => expect(one.decide().kind).not.toBe('direct');
    one.renewSoon(true);
    one.run(40);
    expect([siteOf(one), one.steering.lastMove?.reason]).toEqual(['b', 'refused']);
    for (const failMode of ['open', 'closed'] as const) {
      const both = settledAt('a', ['a1', 'b1'], { failMode });
      for (const site of ['a', 'b']) setSite(both, site, absent);
      both.setRelays('a', 'unreachable');
      both.renewSoon(true);
      both.run(400);
      expect(both.decide()).toMatchObject({ kind: failMode === 'open' ? 'direct' : 'refuse' });
    }
  });
});

describe('a manager that answers with relays of no use', () => {
  test('is asked once, and then its site is left, for 5 to 10 minutes at least', () => {
    for (let seed = 1; seed < 20; seed += 1) {
      const virtual = settledAt('a', ['a1', 'a2', 'b1'], { rehomeMs: MINUTE_MS }, seed);
      virtual.setRelays('a', { refused: 'TICKET_EXPIRED' });
      virtual.renewSoon(true);
      virtual.run(30);
      expect(siteOf(virtual)).toBe('a');
      virtual.renewSoon(true);
      virtual.onStep = () => expect(virtual.decide().kind).not.toBe('refuse');
      // It may be that the other manager of the site is asked first.
      virtual.run(100);
      expect(siteOf(virtual)).toBe('b');
      expect(virtual.steering.lastMove?.reason).toBe('relays');
      const leftAtMs = virtual.now;
      virtual.onStep = () => virtual.now < leftAtMs + 5 * MINUTE_MS && expect(siteOf(virtual)).toBe('b');
      virtual.run(40 * MINUTE_MS);
      expect(virtual.steering.status(virtual.now).moves.rehomed).toBeGreaterThan(0);
    }
  });

  test('is kept when its relays are only late: each session finds them silent, and then goes through all the same', () => {
    const virtual = settledAt('a', ['a1', 'b1', 'c1']);
    virtual.setRelays('a', 'suspect');
    const fromMs = virtual.now;
    for (let client = 0; client < 600; client += 1) {
      virtual.renewSoon(true);
      virtual.run(400);
      virtual.steering.relayed('a');
      virtual.run(1600);
    }
    expect(siteOf(virtual)).toBe('a');
    expect(new Set(asksSince(virtual, fromMs))).toEqual(new Set(['a1']));
    // What goes through another site says nothing of this one.
    for (let client = 0; client < 3; client += 1) {
      virtual.renewSoon(true);
      virtual.steering.relayed('b');
      virtual.run(6000);
    }
    expect(siteOf(virtual)).not.toBe('a');
  });

  test('of two such sites each is tried once in a while, not in turns', () => {
    const virtual = settledAt('a', ['a1', 'b1']);
    for (const site of ['a', 'b']) virtual.setRelays(site, 'unreachable');
    for (let client = 0; client < 600; client += 1) {
      virtual.renewSoon(true);
      virtual.run(1000);
    }
    const moves = virtual.steering.status(virtual.now).moves.relays;
    expect(moves).toBeGreaterThan(2);
    expect(moves).toBeLessThanOrEqual(8);
  });

  test('is not held to by who was left before: whoever disturbs one site and then the other sends nobody directly for long', () => {
    for (let seed = 1; seed < 20; seed += 1) {
      const virtual = settledAt('a', ['a1', 'b1'], {}, seed);
      const clientsUntil = (site: string, withinMs: number): number => {
        const fromMs = virtual.now;
        while (siteOf(virtual) !== site && virtual.now - fromMs < withinMs) {
          virtual.renewSoon(true);
          virtual.run(500);
        }
        return virtual.now - fromMs;
      };
      virtual.setRelays('a', 'unreachable');
      expect(clientsUntil('b', 5000)).toBeLessThan(5000);
      virtual.setRelays('a', 'ready');
      virtual.run(2000);
      virtual.setRelays('b', 'unreachable');
      const backMs = clientsUntil('a', 3 * MINUTE_MS);
      expect(virtual.decide().kind).toBe('relayed');
      expect(backMs).toBeGreaterThan(20_000);
      expect(backMs).toBeLessThan(MINUTE_MS + 5000);
    }
  });
});

describe('when no site has a relay, DNS is asked no more often than is of use', () => {
  const AGENTS = 30;

  /** When they look up, from then on, with a client every second. */
  function lookUps(happens: (virtual: VirtualMesh) => void): number[] {
    return Array.from({ length: AGENTS }, (_, seed) => {
      const virtual = mesh(['a1', 'a2', 'b1', 'b2'], seed);
      virtual.run(10 * MINUTE_MS);
      const fromMs = virtual.now;
      const before = virtual.lookUps.length;
      for (const site of ['a', 'b']) virtual.setRelays(site, 'unreachable');
      happens(virtual);
      for (let client = 0; client < 1800; client += 1) {
        virtual.renewSoon(true);
        virtual.run(1000);
      }
      return virtual.lookUps.slice(before).map((atMs) => atMs - fromMs);
    }).flat();
  }
  const refuse = (virtual: VirtualMesh): void => {
    for (const site of ['a', 'b']) setSite(virtual, site, { kind: 'refuse', code: 'NO_RELAY', delayMs: 20 });
    virtual.breakCurrent();
  };

  test.each([['managers give leases that are of no use', () => {}], ['managers refuse', refuse]])('%s', (_name, happens) => {
    const made = lookUps(happens);
    expect(made.length).toBeGreaterThan(10 * AGENTS);
    expect(made.length).toBeLessThan(25 * AGENTS);
    // They do not come together either, though all see it at once.
    for (let second = 0; second < 60; second += 1)
      expect(made.filter((atMs) => Math.floor(atMs / 1000) === second).length).toBeLessThan(AGENTS / 2);
  });

  test('nor when DNS itself has failed', () => {
    const made = lookUps((virtual) => {
      refuse(virtual);
      virtual.zone = undefined;
    });
    expect(made.length).toBeLessThan(100 * AGENTS);
  });
});

test('of hundreds of managers that all say no, no more than some are asked in a second; a few say so at once', () => {
  const addresses = Array.from({ length: 600 }, (_, index) => `${'abc'[index % 3]}${String(index).padStart(3, '0')}`).sort();
  const virtual = mesh(addresses);
  for (const address of addresses) virtual.managers.set(address, { kind: 'refuse', code: 'NO_RELAY', delayMs: 20 });
  virtual.run(1000);
  expect(virtual.attempts.length).toBeGreaterThan(16);
  expect(virtual.attempts.length).toBeLessThan(22);
  virtual.run(5 * MINUTE_MS);
  expect(virtual.attempts.length).toBeLessThan(5 * 60 * 7);
  expect(virtual.decide()).toMatchObject({ kind: 'direct', reason: 'managers_absent' });
});

describe('choosing anew', () => {
  /** How many of these agents are at each site. */
  const shares = (agents: readonly VirtualMesh[]): number[] => ['a', 'b', 'c'].map((site) => agents.filter((agent) => siteOf(agent) === site).length);

  test('a site that was dead for 10 minutes has half of its share 11 minutes later and 90 % within 40; nobody notices', () => {
    const addresses = ['a1', 'a2', 'b1', 'b2', 'c1', 'c2'];
    const agents = Array.from({ length: 300 }, (_, seed) => mesh(addresses, seed, { rehomeMs: REHOME_MS }));
    const run = (forMs: number): number[] => {
      for (const agent of agents) agent.run(forMs);
      return shares(agents);
    };
    for (const share of run(MINUTE_MS)) expect(share).toBeGreaterThan(70);
    for (const agent of agents) {
      setSite(agent, 'a', silent);
      if (siteOf(agent) === 'a') agent.breakCurrent();
      agent.onStep = () => expect(agent.decide().kind).toBe('relayed');
    }
    expect(run(10 * MINUTE_MS)[0]).toBe(0);
    for (const agent of agents) setSite(agent, 'a', good);
    const after11 = run(11 * MINUTE_MS)[0] ?? 0;
    expect(after11).toBeGreaterThan(35);
    expect(after11).toBeLessThan(80);
    for (const share of run(29 * MINUTE_MS)) {
      expect(share).toBeGreaterThan(75);
      expect(share).toBeLessThan(130);
    }
    // What it costs: a hello to a manager that is new to it in 15 minutes.
    const moves = agents.reduce((sum, agent) => sum + agent.steering.status(agent.now).moves.rehomed, 0);
    expect(moves).toBeLessThan((300 * 51) / 15);
  });

  test.each<[string, Behaviour]>([
    ['silent', silent],
    ['gone', { kind: 'unreachable', delayMs: 1 }],
    ['without a relay', { kind: 'refuse', code: 'NO_RELAY', delayMs: 5 }],
    ['of another opinion about us', { kind: 'refuse', code: 'DEVICE_DISABLED', delayMs: 5 }],
  ])('a manager that is %s costs nobody the lease that it has', (_name, behaviour) => {
    for (let seed = 1; seed < 10; seed += 1) {
      const virtual = settledAt('a', ['a1', 'b1'], { rehomeMs: 5 * MINUTE_MS }, seed);
      setSite(virtual, 'b', behaviour);
      virtual.onStep = () => expect([virtual.decide().kind, virtual.steering.current]).toEqual(['relayed', 'a1']);
      virtual.run(60 * MINUTE_MS);
    }
  });

  test('a no of a manager that was only tried is asked for again when the site in use dies, and nobody goes directly past it', () => {
    for (let seed = 1; seed < 10; seed += 1) {
      const virtual = settledAt('a', ['a1', 'b1'], {}, seed);
      setSite(virtual, 'b', { kind: 'refuse', code: 'DEVICE_REVOKED', delayMs: 5 });
      virtual.steering.rehome(virtual.now, 'b1');
      virtual.run(100);
      expect([asksSince(virtual, 10_000), siteOf(virtual)]).toEqual([['b1'], 'a']);
      setSite(virtual, 'a', silent);
      virtual.setRelays('a', 'unreachable');
      virtual.renewSoon(true);
      virtual.onStep = () => expect(virtual.decide().kind).not.toBe('direct');
      virtual.run(MINUTE_MS);
      expect(virtual.decide()).toEqual({ kind: 'refuse', code: 'DEVICE_REVOKED' });
    }
  });

  test('a link that dies and heals every four seconds for five minutes: fewer moves than agents, and none goes direct', () => {
    const AGENTS = 1000;
    let moves = 0;
    for (let seed = 0; seed < AGENTS; seed += 1) {
      const virtual = mesh(['a1', 'b1', 'c1'], seed, { rehomeMs: REHOME_MS });
      const random = seeded(seed + AGENTS);
      virtual.run(10_000);
      const isDown = (): boolean => Math.floor(virtual.now / 4000) % 2 === 1;
      virtual.onStep = () => {
        virtual.managers.set('a1', isDown() ? silent : good);
        virtual.setRelays('a', isDown() ? 'suspect' : 'ready');
        expect(virtual.decide().kind).not.toBe('direct');
      };
      // A client every ten seconds or so; one that comes while the link is dead finds its relays silent.
      for (let atMs = 0; atMs < 5 * MINUTE_MS; ) {
        const pauseMs = 20_000 * random();
        virtual.run(pauseMs);
        atMs += pauseMs;
        if (isDown() && siteOf(virtual) === 'a') virtual.renewSoon(true);
      }
      const { moves: own } = virtual.steering.status(virtual.now);
      moves += MOVE_REASONS.reduce((sum, reason) => sum + own[reason], 0);
    }
    // A third of them leave it once; what is more are those that chose anew.
    expect(moves).toBeGreaterThan(AGENTS / 4);
    expect(moves).toBeLessThan(AGENTS);
  });
});

describe('a site that is slow', () => {
  const slowMs = 400;

  test('is left when another one answers in half of that, and not entered again by choice', () => {
    for (let seed = 1; seed < 10; seed += 1) {
      const virtual = settledAt('a', ['a1', 'a2', 'b1', 'b2'], { rehomeMs: MINUTE_MS }, seed);
      virtual.siteSlow(slowMs);
      virtual.run(3000);
      expect([siteOf(virtual), virtual.steering.lastMove?.reason]).toEqual(['b', 'slow']);
      const { shunned } = virtual.steering.status(virtual.now);
      expect(shunned).toEqual([{ site: 'a', untilMs: expect.any(Number) }]);
      virtual.onStep = () => virtual.now < (shunned[0]?.untilMs ?? 0) && expect(siteOf(virtual)).toBe('b');
      virtual.run(30 * MINUTE_MS);
      // Each time it leaves it stays away for longer.
      if (siteOf(virtual) !== 'a') continue;
      virtual.onStep = () => {};
      virtual.siteSlow(slowMs);
      virtual.run(3000);
      if (siteOf(virtual) !== 'b') continue;
      expect((virtual.steering.status(virtual.now).shunned[0]?.untilMs ?? 0) - virtual.now).toBeGreaterThan(9 * MINUTE_MS);
    }
  });

  test('is kept when the others are as slow, as when it is our own line; they are asked with growing pauses', () => {
    const virtual = settledAt('a', ['a1', 'b1', 'c1', 'd1']);
    for (const site of ['b', 'c', 'd']) setSite(virtual, site, { kind: 'lease', delayMs: 3 * slowMs });
    virtual.onStep = () => expect([siteOf(virtual), virtual.decide().kind]).toEqual(['a', 'relayed']);
    for (let look = 0; look < 360; look += 1) {
      virtual.siteSlow(slowMs);
      virtual.run(10_000);
    }
    const asks = asksSince(virtual, 10_000).filter((address) => address !== 'a1').length;
    expect(asks).toBeGreaterThan(4);
    expect(asks).toBeLessThan(20);
    // Slow is not dead.
    expect(virtual.steering.dead).toEqual([]);
  });

  test('is kept when there is no other, or when the others are silent', () => {
    const alone = settledAt('a', ['a1', 'a2']);
    const among = settledAt('a', ['a1', 'b1']);
    setSite(among, 'b', silent);
    for (const virtual of [alone, among]) {
      virtual.onStep = () => expect([siteOf(virtual), virtual.decide().kind]).toEqual(['a', 'relayed']);
      virtual.siteSlow(slowMs);
      virtual.run(10_000);
    }
  });

  test('is used all the same when it is the only one that answers', () => {
    const virtual = settledAt('a', ['a1', 'b1']);
    virtual.siteSlow(slowMs);
    virtual.run(3000);
    expect(siteOf(virtual)).toBe('b');
    setSite(virtual, 'b', silent);
    virtual.renewSoon(true);
    virtual.run(400);
    expect(siteOf(virtual)).toBe('a');
  });
});
