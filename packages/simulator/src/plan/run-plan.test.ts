import { describe, expect, test } from 'vitest';
import { renderText } from '../report/text.ts';
import type { PlanOutcome } from './outcome.ts';
import { PlanError } from './plan-error.ts';
import { planReport, planSummary } from './plan-report.ts';
import { type PlanProgress, runPlan } from './run-plan.ts';
import type { PlanScenario, SiteScenario } from './scenario.ts';
import { minutes, siteNamed, smallScenario } from './testing/scenarios.ts';

const down = (how: 'silent' | 'reset', atMs = minutes(5)) => ({ kind: 'siteDown', site: 'a', how, atMs }) as const;

/** Everything that can happen, in an hour. */
const eventful = (seed: number, compact: boolean): PlanScenario =>
  smallScenario({
    seed,
    compact,
    agents: { ...smallScenario().agents, count: 400 },
    durationMs: minutes(60),
    dns: { ttlMs: minutes(2), caches: 60, delayMs: 20, faulty: [{ share: 0.1, keepsTimes: 5, fixedOrder: true }] },
    sites: [siteNamed('a'), siteNamed('b'), siteNamed('c'), siteNamed('d', { inZone: false })],
    faults: [
      down(seed % 2 === 0 ? 'silent' : 'reset'),
      { kind: 'siteUp', site: 'a', atMs: minutes(15) },
      { kind: 'join', site: 'd', atMs: minutes(20) },
      { kind: 'relayDown', site: 'b', relay: 's2', how: 'silent', atMs: minutes(35) },
      { kind: 'relayDown', site: 'c', relay: 's3', how: 'reset', atMs: minutes(39) },
      { kind: 'managerSilent', site: 'd', manager: 1, atMs: minutes(43) },
      { kind: 'drain', site: 'c', atMs: minutes(47) },
    ],
  });

/** Sums over several runs: what chance does in one is small in all. */
function together(outcomes: readonly PlanOutcome[]) {
  const sum = (of: (outcome: PlanOutcome) => number): number => outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const [first] = outcomes;
  return {
    moves: (first?.moves ?? []).map(({ fault }, index) => ({
      kind: fault.kind,
      agents: sum(({ moves }) => moves[index]?.agents ?? 0),
      half: sum(({ moves }) => moves[index]?.half ?? 0),
      p90: sum(({ moves }) => moves[index]?.p90 ?? 0),
      unmoved: sum(({ moves }) => (moves[index]?.all === null ? 1 : 0)),
    })),
    clients: (first?.relays ?? []).map((_, index) => sum(({ relays }) => relays[index]?.clientsMean ?? 0)),
    relayed: sum(({ sessions }) => sessions.relayed),
    broken: sum(({ sessions }) => sessions.broken),
    direct: sum(({ sessions }) => Object.values(sessions.direct).reduce((total, count) => total + count, 0)),
  };
}

test('agents that are rows while nothing happens to them do what agents do that are simulated in full all the time', () => {
  const seeds = [1, 2];
  const rows = together(seeds.map((seed) => runPlan(eventful(seed, true))));
  const full = together(seeds.map((seed) => runPlan(eventful(seed, false))));
  const near = (a: number, b: number, share: number, least: number): void => expect(Math.abs(a - b), `${a} and ${b}`).toBeLessThan(Math.max(share * Math.max(a, b), least));
  near(rows.relayed, full.relayed, 0.03, 0);
  near(rows.broken, full.broken, 0.5, 20);
  near(rows.direct, full.direct, 0.6, 15);
  for (const [index, move] of rows.moves.entries()) {
    const other = full.moves[index];
    if (other === undefined) throw new Error('another number of failures');
    // Who comes: of agents in full those, too, who chose anew while others went, and those who came with a later failure.
    if (move.kind === 'siteUp' || move.kind === 'join') continue;
    near(move.agents, other.agents, 0.2, 30);
    expect(move.unmoved, move.kind).toBe(other.unmoved);
    near(move.half, other.half, 0.25, 500);
    near(move.p90, other.p90, 0.25, 500);
  }
  for (const [index, clients] of rows.clients.entries()) near(clients, full.clients[index] ?? 0, 0.15, 25);
});

test('the same seed gives the same outcome to the last byte, another one another', () => {
  const text = (seed: number): string => JSON.stringify(runPlan(smallScenario({ seed, faults: [down('silent')] })));
  expect(text(7)).toBe(text(7));
  expect(text(7)).not.toBe(text(8));
});

describe('what failures do', () => {
  test('a silent site: found out within ten seconds, moved within twelve; those who have clients are elsewhere in a second', () => {
    const { moves: [move], phases, sessions, answer, series } = runPlan(smallScenario({ faults: [down('silent')] }));
    expect(move?.agents).toBeGreaterThan(150);
    expect(move?.half).toBeGreaterThan(8000);
    expect(move?.all).toBeLessThan(14_000);
    expect(phases.map(({ servers }) => servers)).toEqual([9, 6]);
    expect(phases[0]).toMatchObject({ direct: 0, refused: 0, broken: 0, clientsMean: 66.7 });
    expect(phases[1]).toMatchObject({ refused: 0, clientsMean: 100 });
    expect(phases[1]?.broken).toBeGreaterThan(5);
    expect(sessions.direct).toEqual({});
    expect(answer).toEqual({ isEnough: true, exceeded: [] });
    expect(series.direct.reduce((sum, count) => sum + count, 0)).toBe(0);
    expect(series.astray.at(-1)).toBe(0);
  });

  test('a silent relay: its manager pushes its agents away before they find out themselves', () => {
    const { moves: [move], work } = runPlan(smallScenario({ faults: [{ kind: 'relayDown', site: 'a', relay: 's2', how: 'silent', atMs: minutes(5) }] }));
    expect(move?.half).toBeGreaterThan(2000);
    expect(move?.all).toBeLessThan(5000);
    expect(work.pushes).toBe(move?.agents);
  });

  test('managers that take time: agents wait for their turn', () => {
    const cost = { ...smallScenario().cost, managerConnectionsPerSecond: 10 };
    const { moves: [move] } = runPlan(smallScenario({ cost, faults: [down('silent')] }));
    expect(move?.p90).toBeGreaterThan(20_000);
  });

  test('agents that wait for a dead site probe it when it is back', () => {
    const back = { kind: 'siteUp', site: 'a', atMs: minutes(15) } as const;
    const [without, withBack] = [[down('silent')], [down('silent'), back]].map((faults) => runPlan(smallScenario({ faults })));
    const moved = without?.moves[0]?.agents ?? 0;
    expect((withBack?.work.activations ?? 0) - (without?.work.activations ?? 0)).toBeGreaterThan(0.9 * moved);
  });

  test('a server that is too slow for its weight loses agents by their renewals', () => {
    const sites = ['a', 'b', 'c'].map((name) => siteNamed(name, { relays: siteNamed(name, {}, [1, 1, 1]).relays.map((relay, index) => ({ ...relay, cores: index === 0 ? 0.25 : 4 })) }));
    const cost = { ...smallScenario().cost, relaySecondsPer1000Sessions: 200 };
    const { relays, work } = runPlan(smallScenario({ sites, cost }));
    expect(work.rebalanced).toBeGreaterThan(20);
    for (const { name, clientsMean } of relays) expect(clientsMean > 60, name).toBe(name !== 's1');
  });

  test('a site that resets is left within three seconds', () => {
    const { moves: [move] } = runPlan(smallScenario({ faults: [down('reset')] }));
    expect(move?.all).toBeLessThan(3000);
  });

  test('a site that is taken out of DNS is left within the TTL, and by a cache that keeps answers when that lets go', () => {
    const drain = { kind: 'drain', site: 'a', atMs: minutes(4) } as const;
    const honest = runPlan(smallScenario({ faults: [drain] }));
    expect(honest.moves[0]?.all).toBeLessThan(minutes(2) + 5000);
    expect(honest.sessions).toMatchObject({ direct: {}, refused: {}, broken: 0 });
    const faulty = [{ share: 0.1, keepsTimes: 6, fixedOrder: false }];
    const kept = runPlan(smallScenario({ faults: [drain], dns: { ttlMs: minutes(2), caches: 60, delayMs: 20, faulty } }));
    expect(kept.moves[0]?.half).toBeLessThan(minutes(2));
    expect(kept.moves[0]?.all).toBeGreaterThan(minutes(3));
    expect(kept.moves[0]?.all).toBeLessThan(minutes(12) + 5000);
  });

  test('a new site gets its share within the TTL; one that comes back from the dead within the hour', () => {
    const sites = [siteNamed('a'), siteNamed('b'), siteNamed('c', { inZone: false })];
    const joined = runPlan(smallScenario({ sites, faults: [{ kind: 'join', site: 'c', atMs: minutes(2) }] }));
    expect(joined.moves[0]?.agents).toBeGreaterThan(150);
    expect(joined.moves[0]?.agents).toBeLessThan(250);
    const back = (durationMs: number): PlanOutcome => runPlan(smallScenario({ durationMs, faults: [down('silent'), { kind: 'siteUp', site: 'a', atMs: minutes(15) }] }));
    const [quarter, hour] = [back(minutes(30)), back(minutes(75))].map(({ moves }) => moves[1]?.agents ?? 0);
    // 200 agents are its share; chance leaves managers that have a few less alone.
    expect(quarter).toBeGreaterThan(90);
    expect(quarter).toBeLessThan(160);
    expect(hour).toBeGreaterThan(165);
    expect(hour).toBeLessThan(215);
    expect(back(minutes(75)).sessions).toMatchObject({ direct: {}, refused: {} });
  });

  test('a hung manager loses its agents and no relay does', () => {
    const { moves: [move], phases, sessions } = runPlan(smallScenario({ faults: [{ kind: 'managerSilent', site: 'b', manager: 2, atMs: minutes(1) }] }));
    expect(move?.agents).toBeGreaterThan(70);
    expect(move?.all).toBeLessThan(14_000);
    expect(phases[1]?.servers).toBe(9);
    expect(sessions.broken).toBe(0);
  });

  test('all sites dead: sessions go direct with failMode open, and are refused with closed', () => {
    const faults = [down('silent'), ...['b', 'c'].map((site) => ({ ...down('silent'), site }))];
    const agents = { ...smallScenario().agents, count: 200 };
    const open = runPlan(smallScenario({ faults, agents, durationMs: minutes(8) }));
    expect(open.phases[1]?.direct).toBeGreaterThan(600);
    expect(open.phases[1]).toMatchObject({ servers: 0, clientsPeak: expect.any(Number) });
    const closed = runPlan(smallScenario({ faults, agents: { ...agents, failMode: 'closed' }, durationMs: minutes(8) }));
    expect(closed.sessions.direct).toEqual({});
    expect(closed.phases[1]?.refused).toBeGreaterThan(600);
    expect(closed.answer.isEnough).toBe(false);
  });

  test('a third of a line: sessions take longer, and the answer names the line', () => {
    const sites = [siteNamed('a', { lineBitsPerSecond: 1e7 }), siteNamed('b'), siteNamed('c')];
    const { phases, answer, relays } = runPlan(smallScenario({ sites, faults: [{ kind: 'line', site: 'a', factor: 0.35, atMs: minutes(10) }] }));
    expect(phases[0]?.linePeak).toBeLessThan(0.9);
    expect(phases[1]?.linePeak).toBeGreaterThan(1);
    const atOnce = (site: string): number => relays.filter((relay) => relay.site === site).reduce((sum, { sessionsPeak }) => sum + sessionsPeak, 0);
    expect(atOnce('a')).toBeGreaterThan(2 * atOnce('b'));
    expect(answer.exceeded).toEqual([expect.stringMatching(/^line of a site: \d+ %, the limit is 90 %$/u)]);
  });

  test('too few sessions allowed: the others of the site take them, and what is left is refused and counted', () => {
    const sites = ['a', 'b', 'c'].map((name) => siteNamed(name, { relays: siteNamed(name).relays.map((relay) => ({ ...relay, maxSessions: 5 })) }));
    const { sessions, answer } = runPlan(smallScenario({ sites, durationMs: minutes(5) }));
    expect(Object.keys(sessions.refused)).toEqual(['FULL']);
    expect(answer.exceeded.some((text) => text.startsWith('sessions refused'))).toBe(true);
  });
});

describe('a run that is lost', () => {
  const full = (maxDevices: number): SiteScenario[] => ['a', 'b', 'c'].map((name) => siteNamed(name, { relays: siteNamed(name).relays.map((relay) => ({ ...relay, maxDevices })) }));
  const limits = { ...smallScenario().limits, clientsPerServer: 70 };

  test('ends when it has gone on for a while: agents without a place ask without end', () => {
    const scenario = smallScenario({ limits, sites: full(80), faults: [down('silent', minutes(2))] });
    const seen: PlanProgress[] = [];
    const outcome = runPlan(scenario, { eventsAfterNo: 10_000, onProgress: (progress) => seen.push(progress) });
    const { givenUp, phases, answer, series, endMs } = outcome;
    expect(givenUp?.atMs).toBeGreaterThan(minutes(2));
    expect(givenUp?.atMs).toBeLessThan(minutes(15));
    expect(givenUp?.agents).toBe(120);
    expect(phases.map(({ toMs }) => toMs)).toEqual([minutes(2), givenUp?.atMs]);
    expect(series.atMs.at(-1)).toBe(givenUp?.atMs);
    expect(answer).toMatchObject({ isEnough: false, exceeded: ['clients a server: 80, the limit is 70', expect.stringMatching(/^sessions refused/u)] });
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.at(-1)).toMatchObject({ startMs: 0, endMs });
    expect(planSummary(outcome)).toMatch(/the limit is 0; given up at 00:\d\d:\d\d, when 120 clients had no server \(/u);
    expect(renderText(planReport(outcome, scenario))).toContain('given up');
  });

  test('may end while the agents still start', () => {
    const agents = { ...smallScenario().agents, startSpreadMs: minutes(20) };
    const { givenUp, phases, series } = runPlan(smallScenario({ agents, limits: { ...limits, clientsPerServer: 20 }, sites: full(25) }), { eventsAfterNo: 1000 });
    expect(givenUp).toMatchObject({ atMs: 0 });
    expect(phases).toMatchObject([{ fromMs: 0, toMs: 0, clientsPeak: 25 }]);
    expect(series.atMs).toEqual([0]);
  });

  test('is not one in which everybody has a place, whatever limit it exceeds', () => {
    const { givenUp, answer } = runPlan(smallScenario({ limits: { ...limits, clientsPerServer: 10 }, faults: [down('silent')] }), { eventsAfterNo: 0 });
    expect([givenUp, answer.isEnough]).toEqual([null, false]);
  });
});

test('a relay with twice the weight gets twice the agents', () => {
  const { relays, phases } = runPlan(smallScenario());
  const of = (weight: number): number => relays.filter((relay) => relay.weight === weight).reduce((sum, { clientsMean }, _, all) => sum + clientsMean / all.length, 0);
  expect(of(2) / of(1)).toBeGreaterThan(1.9);
  expect(of(2) / of(1)).toBeLessThan(2.1);
  expect(phases[0]?.imbalance).toBeLessThan(1.25);
});

test('1,000,000 agents on 300 sites, in a fiftieth', () => {
  // Names of their own: an agent that could not reach s1 of one site tells the managers of others to leave out s1.
  const [relay] = siteNamed('any').relays;
  const sites = Array.from({ length: 300 }, (_, index) => siteNamed(`site-${index}`, relay === undefined ? {} : { relays: [{ ...relay, name: `r${index}` }] }));
  const agents = { ...smallScenario().agents, count: 20_000, sessionsPerDay: 100 };
  const faults = [
    { ...down('silent', minutes(60)), site: 'site-0' },
    { kind: 'drain', site: 'site-1', atMs: minutes(90) },
  ] as const;
  const { moves, relays, sessions } = runPlan(smallScenario({ sites, agents, faults, durationMs: minutes(180), dns: { ttlMs: minutes(20), caches: 1000, faulty: [], delayMs: 20 } }));
  expect(relays).toHaveLength(300);
  expect(moves[0]?.all).toBeLessThan(14_000);
  expect(moves[1]?.all).toBeLessThan(minutes(21));
  expect(sessions.relayed).toBeGreaterThan(240_000);
});

test.each<[string, Partial<PlanScenario>, string]>([
  ['too many agents', { agents: { ...smallScenario().agents, count: 1_000_001 } }, '1000001 agents: at most 1000000'],
  ['no site', { sites: [] }, 'at least one site'],
  ['more addresses than agents use', { sites: Array.from({ length: 400 }, (_, index) => siteNamed(`s${index}`, { managers: 3 })) }, '1200 managers in DNS'],
  ['too many sites', { sites: Array.from({ length: 501 }, (_, index) => siteNamed(`s${index}`)) }, '501 sites: at most 500'],
  ['a name twice', { sites: [siteNamed('a'), siteNamed('a')] }, 'two sites have the name a'],
  ['a failure of nobody', { faults: [{ ...down('silent'), site: 'z' }] }, 'there is no site z'],
  ['a failure of no relay', { faults: [{ kind: 'relayUp', site: 'a', relay: 's9', atMs: 0 }] }, 'site a has no relay s9'],
  ['a failure of no manager', { faults: [{ kind: 'managerBack', site: 'a', manager: 3, atMs: 0 }] }, 'managers 1 to 2'],
  ['a failure too late', { faults: [down('silent', minutes(31))] }, 'outside the time of the run'],
  ['too many failures', { faults: Array.from({ length: 101 }, () => down('silent')) }, '101 failures: at most 100'],
  ['a run too long', { durationMs: 8 * 86_400_000 }, 'the longest run is 7 days'],
  ['too many faulty caches', { dns: { ttlMs: 60_000, caches: 9, delayMs: 1, faulty: [{ share: 0.6, keepsTimes: 2, fixedOrder: false }, { share: 0.6, keepsTimes: 2, fixedOrder: false }] } }, 'more than all caches'],
])('refuses %s', (_, changes, because) => {
  expect(() => runPlan(smallScenario(changes))).toThrow(PlanError);
  expect(() => runPlan(smallScenario(changes))).toThrow(because);
});
