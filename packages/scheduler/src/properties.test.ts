import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeSite, ORIGIN_TABLE, report, seededRandom } from '../test/fake-site.ts';
import type { Pick } from './relay-table.ts';
import type { Policy } from './settings.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];
const policies: readonly Policy[] = ['least-load', 'weighted'];

const someReport = fc.record({
  loadPerCore: fc.constantFrom(0, 0.5, 1.5, 2.5, Number.NaN),
  hottestCore: fc.constantFrom(0, 0.5, 1),
  loopDelayMs: fc.constantFrom(0, 20, 500),
  sessions: fc.constantFrom(0, 10, 96, 100),
  maxSessions: fc.constantFrom(0, 100),
  draining: fc.boolean(),
  unable: fc.constantFrom(null, null, null, 'no workers'),
});
const name = fc.constantFrom(...NAMES);
const step = fc.oneof(
  fc.record({ do: fc.constant('report' as const), name, report: someReport }),
  fc.record({ do: fc.constant('report' as const), name, report: fc.constant({}) }),
  fc.record({ do: fc.constant('fail' as const), name }),
  fc.record({ do: fc.constant('override' as const), name, drain: fc.boolean(), weight: fc.constantFrom(undefined, 0, 1, 7) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(100, 1_000, 3_500, 12_000) }),
  fc.record({
    do: fc.constant('pick' as const),
    count: fc.integer({ min: 1, max: 6 }),
    prefer: fc.option(name, { nil: undefined }),
    exclude: fc.uniqueArray(name, { maxLength: 3 }),
  }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Does one step; what was picked, if it was a pick. */
function take(s: FakeSite, action: Step): Pick | null {
  if (action.do === 'pick') {
    return s.table.pick({
      count: action.count,
      exclude: action.exclude,
      ...(action.prefer === undefined ? {} : { prefer: action.prefer }),
    });
  }
  if (action.do === 'report') s.table.report(action.name, report(action.report));
  else if (action.do === 'fail') s.table.probeFailed(action.name, 'refused');
  else if (action.do === 'override') {
    s.table.setOverride(action.name, {
      drain: action.drain,
      ...(action.weight === undefined ? {} : { weight: action.weight }),
    });
  } else {
    s.nowMs += action.ms;
    s.table.tick();
  }
  return null;
}

describe.each(policies)('%s, whatever happens', (policy) => {
  test('never a relay that is not up while one is, never one that drains, is full or down', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const s = new FakeSite(NAMES, { policy });
        s.secondOfAll();
        for (const action of steps) {
          const picked = take(s, action);
          if (picked === null || action.do !== 'pick') continue;
          const states = new Map(NAMES.map((relay) => [relay, s.state(relay)]));
          const upOnes = NAMES.filter((relay) => states.get(relay) === 'up' && !action.exclude.includes(relay));
          const { relays } = picked;
          expect(relays.length).toBeLessThanOrEqual(action.count);
          expect(new Set(relays).size).toBe(relays.length);
          for (const relay of relays) {
            expect(['up', 'overloaded', 'stale']).toContain(states.get(relay));
            expect(action.exclude).not.toContain(relay);
          }
          if (upOnes.length > 0) {
            expect(upOnes).toContain(relays[0]);
            const upPicked = relays.filter((relay) => upOnes.includes(relay));
            expect(relays.slice(0, upPicked.length)).toEqual(upPicked);
            expect(upPicked).toHaveLength(Math.min(upOnes.length, action.count));
          }
          if (picked.reason === 'kept') expect(relays[0]).toBe(action.prefer);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('the same seed and the same events give the same picks', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 1e9 }), (steps, seed) => {
        const run = () => {
          const s = new FakeSite(NAMES, { policy }, seed);
          s.secondOfAll();
          return [steps.map((action) => take(s, action)), s.transitions, s.table.snapshot()];
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: 50 },
    );
  });

  test('sessions that live and end: each relay carries its weight', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 1e9 }), (chosen, seed) => {
        const s = new FakeSite(chosen.map((weight, index) => ({ name: `r${index}`, weight })), { policy }, seed);
        const counts = liveSessions(s, { seconds: 300, perSecond: 100, endingPerSecond: 0.05 }, seededRandom(seed));
        const sum = chosen.reduce((a, b) => a + b, 0);
        for (const [index, weight] of chosen.entries()) {
          expect(Math.abs(counts[index]! / 30_000 / (weight / sum) - 1)).toBeLessThan(0.1);
        }
      }),
      { numRuns: 20 },
    );
  });
});

/** Agents come, their sessions count in the reports (which come in one after the other), and end by chance. */
function liveSessions(
  s: FakeSite,
  load: { seconds: number; perSecond: number; endingPerSecond: number },
  random: () => number,
): number[] {
  const names = s.names;
  const sessions = names.map(() => 0);
  const counts = names.map(() => 0);
  for (const relay of names) s.table.report(relay, report());
  for (let second = 0; second < load.seconds; second += 1) {
    for (const [index, relay] of names.entries()) {
      s.nowMs += 1_000 / names.length;
      for (let i = 0; i < sessions[index]!; i += 1) if (random() < load.endingPerSecond) sessions[index]! -= 1;
      s.table.report(relay, report({ sessions: sessions[index]!, maxSessions: 4_000 }));
      const from = Math.floor((index * load.perSecond) / names.length);
      const to = Math.floor(((index + 1) * load.perSecond) / names.length);
      for (let i = from; i < to; i += 1) {
        const at = names.indexOf(s.table.pick({ count: 2 }).relays[0]!);
        counts[at]! += 1;
        sessions[at]! += 1;
      }
    }
    s.table.tick();
  }
  return counts;
}

describe('no herding', () => {
  const entries = fc.array(
    fc.record({ weight: fc.integer({ min: 1, max: 4 }), loadPerCore: fc.double({ min: 0, max: 1.99, noNaN: true }) }),
    { minLength: 2, maxLength: 12 },
  );

  test('1,000 requests between two reports spread within 10 % of weight, however the loads stand', () => {
    fc.assert(
      fc.property(entries, (relays) => {
        const s = new FakeSite(relays.map(({ weight }, index) => ({ name: `r${index}`, weight })));
        s.second(Object.fromEntries(relays.map(({ loadPerCore }, index) => [`r${index}`, { loadPerCore }])));
        const sum = relays.reduce((total, { weight }) => total + weight, 0);
        const counts = s.firsts(1_000);
        for (const [index, { weight }] of relays.entries()) {
          const expected = (1_000 * weight) / sum;
          // One request more or less is what whole numbers cost.
          expect(Math.abs(counts.get(`r${index}`)! - expected)).toBeLessThanOrEqual(0.1 * expected + 1);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('the same again in the next interval, when all loads have turned over and reports come one by one', () => {
    fc.assert(
      fc.property(entries, (relays) => {
        const s = new FakeSite(relays.map(({ weight }, index) => ({ name: `r${index}`, weight })));
        s.second(Object.fromEntries(relays.map(({ loadPerCore }, index) => [`r${index}`, { loadPerCore }])));
        s.firsts(777);
        for (const [index, { loadPerCore }] of relays.entries()) {
          s.nowMs += 50;
          s.table.report(`r${index}`, report({ loadPerCore: 1.99 - loadPerCore }));
          s.firsts(13);
        }
        const sum = relays.reduce((total, { weight }) => total + weight, 0);
        const counts = s.firsts(1_000);
        for (const [index, { weight }] of relays.entries()) {
          const expected = (1_000 * weight) / sum;
          expect(Math.abs(counts.get(`r${index}`)! - expected)).toBeLessThanOrEqual(0.1 * expected + 1);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("origin.md's table: a thousand at once, all idle, 1 : 3", () => {
    const s = new FakeSite(ORIGIN_TABLE);
    s.secondOfAll();
    const counts = s.firsts(1_000);
    expect([...counts.values()]).toEqual([125, 125, 250, 250, 250]);
  });
});

test('no starvation: under constant loads every relay that is up is chosen, in bounded time', () => {
  const relays = fc.array(
    fc.record({ weight: fc.integer({ min: 1, max: 5 }), sessions: fc.integer({ min: 0, max: 999 }) }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(relays, fc.integer({ min: 1, max: 20 }), fc.constantFrom(...policies), (table, perReport, policy) => {
      const s = new FakeSite(table.map(({ weight }, index) => ({ name: `r${index}`, weight })), { policy });
      const reports = Object.fromEntries(table.map(({ sessions }, index) => [`r${index}`, { sessions }]));
      const sum = table.reduce((total, { weight }) => total + weight, 0);
      const within = 20 * sum + table.length;
      const seen = new Set<string>();
      for (let requests = 0; requests < within + perReport; requests += perReport) {
        s.second(reports);
        for (const [relay, count] of s.firsts(perReport)) if (count > 0) seen.add(relay);
      }
      expect(seen.size).toBe(table.length);
    }),
    { numRuns: 60 },
  );
});
