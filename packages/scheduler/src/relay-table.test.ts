import { describe, expect, test } from 'vitest';
import { FakeSite, ORIGIN_TABLE, report } from '../test/fake-site.ts';

const HOT = { loadPerCore: 5 };

/** Both reports of an overload for these relays, none of trouble for the others. */
function overload(s: FakeSite, names: readonly string[]): void {
  for (let i = 0; i < 2; i += 1) {
    s.second(Object.fromEntries(s.names.map((name) => [name, names.includes(name) ? HOT : {}])));
  }
}

describe('weighted', () => {
  test("origin.md's table gives exactly 1 : 3, in every cycle of eight", () => {
    const s = new FakeSite(ORIGIN_TABLE, { policy: 'weighted' });
    s.secondOfAll();
    for (let cycle = 0; cycle < 100; cycle += 1) {
      expect(Object.fromEntries(s.firsts(8))).toEqual({
        '10.0.0.1': 1,
        '10.0.0.2': 1,
        '10.0.0.3': 2,
        '10.0.0.4': 2,
        '10.0.0.5': 2,
      });
    }
  });

  test('load does not matter, and no relay of weight 2 in 8 comes twice running', () => {
    const s = new FakeSite(ORIGIN_TABLE, { policy: 'weighted' });
    s.second({ '10.0.0.1': {}, '10.0.0.2': {}, '10.0.0.3': { loadPerCore: 1.9 }, '10.0.0.4': {}, '10.0.0.5': {} });
    const order = Array.from({ length: 80 }, () => s.table.pick({ count: 1 }).relays[0]);
    expect(order.filter((name) => name === '10.0.0.3')).toHaveLength(20);
    expect(order.some((name, index) => index > 0 && name === order[index - 1])).toBe(false);
  });

  test('the reason is the policy; the current relay is kept, whatever its load', () => {
    const s = new FakeSite('a, b', { policy: 'weighted' });
    s.second({ a: {}, b: { sessions: 900 } });
    expect(s.table.pick({ count: 1 }).reason).toBe('weighted');
    for (let i = 0; i < 5; i += 1) {
      expect(s.table.pick({ count: 1, prefer: 'b' })).toEqual({ relays: ['b'], reason: 'kept' });
    }
  });
});

describe('least-load', () => {
  test('takes the lowest load', () => {
    const s = new FakeSite('a, b, c');
    s.second({ a: { loadPerCore: 1 }, b: { loadPerCore: 0.4 }, c: { sessions: 600 } });
    expect(s.table.pick({ count: 1 })).toEqual({ relays: ['b'], reason: 'least-load' });
  });

  test('load counts per weight', () => {
    const s = new FakeSite('a, b, b, b');
    s.second({ a: { loadPerCore: 0.6 }, b: { loadPerCore: 1.2 } });
    expect(s.table.pick({ count: 1 }).relays).toEqual(['b']);
    s.second({ a: { loadPerCore: 0.3 }, b: { loadPerCore: 1.2 } });
    expect(s.table.pick({ count: 1 }).relays).toEqual(['a']);
  });

  test('an older report is believed less', () => {
    const s = new FakeSite('a, b');
    s.second({ a: { loadPerCore: 0.2 }, b: { loadPerCore: 0.4 } });
    s.second({ b: { loadPerCore: 0.4 } });
    s.second({ b: { loadPerCore: 0.4 } });
    expect(s.state('a')).toBe('up');
    expect(s.table.pick({ count: 1 }).relays).toEqual(['b']);
  });

  test('hand-outs since the report count, and a report takes them back', () => {
    const s = new FakeSite('a, b');
    s.second({ a: {}, b: { loadPerCore: 0.4 } });
    const first = s.firsts(100);
    expect(first.get('a')).toBeGreaterThan(50);
    expect(first.get('b')).toBeGreaterThan(40);
    expect(s.row('a')).toMatchObject({ handedOut: first.get('a'), handedOutSinceReport: first.get('a') });
    s.second({ a: {}, b: { loadPerCore: 0.4 } });
    expect(s.row('a')).toMatchObject({ handedOut: first.get('a'), handedOutSinceReport: 0 });
    expect(s.firsts(3).get('a')).toBe(3);
  });

  test('a relay that reports more often than the others does not get more', () => {
    const s = new FakeSite('a, b, c, d');
    s.secondOfAll();
    const total = new Map<string, number>();
    for (let i = 0; i < 200; i += 1) {
      s.nowMs += 100;
      for (const name of i % 10 === 0 ? s.names : ['a']) s.table.report(name, report());
      for (const [name, count] of s.firsts(25)) total.set(name, (total.get(name) ?? 0) + count);
    }
    for (const count of total.values()) expect(Math.abs(count - 1_250)).toBeLessThan(60);
  });

  test('with a report before every pick and no load at all, weight still decides', () => {
    const s = new FakeSite(ORIGIN_TABLE);
    const counts = new Map<string, number>();
    for (let i = 0; i < 800; i += 1) {
      s.secondOfAll();
      const first = s.table.pick({ count: 1 }).relays[0]!;
      counts.set(first, (counts.get(first) ?? 0) + 1);
    }
    for (const name of ['10.0.0.1', '10.0.0.2']) expect(Math.abs(counts.get(name)! - 100)).toBeLessThan(5);
    for (const name of ['10.0.0.3', '10.0.0.5']) expect(Math.abs(counts.get(name)! - 200)).toBeLessThan(10);
  });

  test('a relay that is up but busy gets its least share and not much more', () => {
    const s = new FakeSite('a, b, c, d', { minShareFraction: 0.05 });
    let busy = 0;
    for (let i = 0; i < 1_000; i += 1) {
      s.second({ a: { loadPerCore: 1.9 }, b: {}, c: {}, d: {} });
      busy += s.firsts(2).get('a')!;
    }
    // 2,000 requests, a quarter by weight, a twentieth of that: 25.
    expect(busy).toBeGreaterThanOrEqual(24);
    expect(busy).toBeLessThanOrEqual(27);
  });

  test('a small weight makes a load no worse than being at the limit', () => {
    const s = new FakeSite([{ name: 'small', weight: 1 }, { name: 'large', weight: 9 }]);
    s.second({ small: { loadPerCore: 1.8 }, large: {} });
    expect(s.firsts(1_000).get('small')).toBeGreaterThanOrEqual(90);
  });

  test('time out of the rotation is no credit', () => {
    const s = new FakeSite('a, b, c', { slowStartMs: 0 });
    s.secondOfAll();
    s.table.setOverride('a', { drain: true });
    s.firsts(1_000);
    s.table.setOverride('a', {});
    expect(s.firsts(30).get('a')).toBeLessThan(15);
  });
});

describe('the current relay', () => {
  test('is kept while it is not worse by more than the margin', () => {
    const s = new FakeSite('a, b', { keepMargin: 0.2 });
    s.second({ a: { sessions: 400 }, b: { sessions: 300 } });
    for (let i = 0; i < 50; i += 1) expect(s.table.pick({ count: 1, prefer: 'a' }).reason).toBe('kept');
    expect(s.row('a')).toMatchObject({ kept: 50, handedOut: 0 });
  });

  test('is not compared with relays the agent excludes', () => {
    const s = new FakeSite('a, b, c', { keepMargin: 0.2 });
    s.second({ a: { sessions: 700 }, b: { sessions: 100 }, c: { sessions: 650 } });
    expect(s.table.pick({ count: 1, prefer: 'a', exclude: ['b'] })).toEqual({ relays: ['a'], reason: 'kept' });
  });

  test('is left for a much better one, by some of its agents and not by all at once', () => {
    const s = new FakeSite('a, b', { keepMargin: 0.2 });
    s.second({ a: { sessions: 800 }, b: { sessions: 100 } });
    let moved = 0;
    for (let i = 0; i < 1_000; i += 1) {
      if (s.table.pick({ count: 1, prefer: 'a' }).relays[0] === 'b') moved += 1;
    }
    expect(moved).toBeGreaterThan(5);
    expect(moved).toBeLessThan(50);
  });

  test('renewals between equals do not move anybody, new agents in between or not', () => {
    const names = Array.from({ length: 32 }, (_, index) => `r${index}`);
    const s = new FakeSite(names);
    s.secondOfAll({ sessions: 300 });
    for (let i = 0; i < 320; i += 1) {
      if (i % 3 === 0) s.firsts(1);
      const prefer = names[i % 32]!;
      expect(s.table.pick({ count: 2, prefer }).relays[0]).toBe(prefer);
    }
  });

  test.each<[string, (s: FakeSite) => void]>([
    ['draining', (s) => s.table.setOverride('a', { drain: true })],
    ['overloaded', (s) => overload(s, ['a'])],
    ['full', (s) => s.second({ a: { sessions: 1_000 }, b: {}, c: {} })],
    ['down', (s) => [1, 2, 3].forEach(() => s.table.probeFailed('a', 'refused'))],
    ['stale', (s) => [1, 2, 3, 4].forEach(() => s.second({ b: {}, c: {} }))],
  ])('is left when it is %s', (state, leave) => {
    for (const policy of ['least-load', 'weighted'] as const) {
      const s = new FakeSite('a, b, c', { policy });
      s.secondOfAll();
      leave(s);
      expect(s.state('a')).toBe(state);
      const { relays, reason } = s.table.pick({ count: 3, prefer: 'a' });
      expect(reason).toBe(policy);
      expect([...relays].sort()).toEqual(['b', 'c']);
    }
  });

  test('is left when the agent excludes it, and may be unknown', () => {
    const s = new FakeSite('a, b');
    s.secondOfAll();
    expect(s.table.pick({ count: 2, prefer: 'a', exclude: ['a', 'nobody'] }).relays).toEqual(['b']);
    expect(s.table.pick({ count: 2, prefer: 'of another site' }).relays).toHaveLength(2);
  });
});

describe('fallbacks', () => {
  test('follow the first, each relay once, as many as are asked for', () => {
    const s = new FakeSite('a, b, c');
    s.secondOfAll();
    for (let i = 0; i < 30; i += 1) {
      expect(new Set(s.table.pick({ count: 2 }).relays).size).toBe(2);
      expect([...s.table.pick({ count: 9 }).relays].sort()).toEqual(['a', 'b', 'c']);
    }
  });

  test('spread over all others, so that a death does not fall on one', () => {
    const s = new FakeSite('a, b, c, d');
    s.secondOfAll();
    const second = new Map<string, number>();
    for (let i = 0; i < 4_000; i += 1) {
      const [first, fallback] = s.table.pick({ count: 2 }).relays;
      if (first === 'a') second.set(fallback!, (second.get(fallback!) ?? 0) + 1);
    }
    expect([...second.keys()].sort()).toEqual(['b', 'c', 'd']);
    for (const count of second.values()) expect(Math.abs(count - 333)).toBeLessThan(80);
  });

  test('are rather the ones with room', () => {
    const s = new FakeSite('a, b, c', { policy: 'weighted' });
    s.second({ a: {}, b: { sessions: 800 }, c: {} });
    let busy = 0;
    for (let i = 0; i < 1_000; i += 1) {
      if (s.table.pick({ count: 2, prefer: 'a' }).relays[1] === 'b') busy += 1;
    }
    // A fifth of its weight is left, against the whole of c's: one in six.
    expect(Math.abs(busy - 167)).toBeLessThan(60);
  });

  test('are not overloaded ones while enough relays are up', () => {
    const s = new FakeSite('a, b, c');
    s.secondOfAll();
    overload(s, ['c']);
    for (let i = 0; i < 30; i += 1) expect(s.table.pick({ count: 3 }).relays).not.toContain('c');
  });
});

describe('panic', () => {
  test('with nobody up the overloaded and the stale ones carry on', () => {
    const s = new FakeSite('a, b, c, d');
    s.secondOfAll();
    overload(s, ['a', 'b', 'c', 'd']);
    expect(s.table.snapshot().panic).toBe(true);
    expect(s.table.pick({ count: 1 }).reason).toBe('panic');
    expect([...s.firsts(100).values()]).toEqual([25, 25, 25, 25]);
  });

  test('a manager that was asleep does not refuse everybody', () => {
    const s = new FakeSite('a, b');
    s.secondOfAll();
    s.nowMs += 8_000;
    s.table.tick();
    expect([s.state('a'), s.state('b')]).toEqual(['stale', 'stale']);
    expect(s.table.pick({ count: 2 })).toMatchObject({ reason: 'panic' });
  });

  test('draining, full and down ones are not used even then', () => {
    const s = new FakeSite('a, b, c, d');
    s.secondOfAll();
    overload(s, ['a']);
    for (let i = 0; i < 3; i += 1) s.table.probeFailed('b', 'refused');
    s.table.setOverride('c', { drain: true });
    s.second({ a: HOT, d: { sessions: 1_000 } });
    expect(s.table.pick({ count: 4 })).toEqual({ relays: ['a'], reason: 'panic' });
    s.table.setOverride('a', { drain: true });
    expect(s.table.pick({ count: 4 })).toEqual({
      relays: [],
      reason: 'none',
      detail: [
        { relay: 'a', state: 'draining', reason: 'drained by the operator', excluded: false },
        { relay: 'b', state: 'down', reason: 'refused', excluded: false },
        { relay: 'c', state: 'draining', reason: 'drained by the operator', excluded: false },
        { relay: 'd', state: 'full', reason: '1000 of 1000 sessions', excluded: false },
      ],
    });
  });

  test('the one that is up comes first, the distrusted ones behind it', () => {
    const s = new FakeSite('a, b, c, d, e');
    s.secondOfAll();
    overload(s, ['a', 'b', 'c', 'd']);
    for (let i = 0; i < 50; i += 1) {
      const { relays, reason } = s.table.pick({ count: 3, prefer: 'a' });
      expect(reason).toBe('least-load');
      expect(relays[0]).toBe('e');
      expect(new Set(relays).size).toBe(3);
    }
  });

  test('an agent that cannot reach the relays that are up gets a marked one rather than none', () => {
    const s = new FakeSite('a, b, c');
    s.secondOfAll();
    overload(s, ['b']);
    s.table.setOverride('c', { drain: true });
    expect(s.table.snapshot().panic).toBe(false);
    expect(s.table.pick({ count: 2 }).relays).toEqual(['a']);
    expect(s.table.pick({ count: 2, exclude: ['a'] })).toEqual({ relays: ['b'], reason: 'panic' });
    expect(s.table.pick({ count: 2, exclude: ['a', 'b'] })).toMatchObject({ relays: [], reason: 'none' });
  });

  test('can be switched off', () => {
    const s = new FakeSite('a, b', { panicFraction: 0 });
    s.secondOfAll();
    overload(s, ['a', 'b']);
    expect(s.table.pick({ count: 2 }).reason).toBe('none');
  });

  test('relays drained on purpose do not bring it about', () => {
    const s = new FakeSite('a, b, c, d, e');
    s.secondOfAll();
    for (const name of ['a', 'b', 'c']) s.table.setOverride(name, { drain: true });
    overload(s, ['d']);
    expect(s.table.snapshot().panic).toBe(false);
    expect(s.table.pick({ count: 5 }).relays).toEqual(['e']);
  });
});
