import { FLAT_HOURS } from '../load-curve.ts';
import { DEFAULT_COST, DEFAULT_PLAN_LIMITS, type PlanScenario, type SiteScenario } from '../scenario.ts';

/** In milliseconds. */
export const minutes = (count: number): number => count * 60_000;

/** A site like all others. */
export function siteNamed(name: string, changes: Partial<SiteScenario> = {}, weights: readonly number[] = [1, 2, 2]): SiteScenario {
  return {
    name,
    managers: 2,
    maxAgents: 10_000,
    roundTripMs: 20,
    lineBitsPerSecond: 1e8,
    inZone: true,
    relays: weights.map((weight, index) => ({ name: `s${index + 1}`, weight, cores: 2, maxSessions: 4000, maxDevices: 2000 })),
    ...changes,
  };
}

/** Three small sites for half an hour, without failures. */
export function smallScenario(changes: Partial<PlanScenario> = {}): PlanScenario {
  return {
    title: 'test',
    seed: 1,
    startMs: 0,
    durationMs: minutes(30),
    leaseTtlMs: minutes(10),
    scheduler: {},
    cost: DEFAULT_COST,
    limits: DEFAULT_PLAN_LIMITS,
    agents: {
      count: 600,
      startSpreadMs: minutes(1),
      sessionsPerDay: 2000,
      hours: FLAT_HOURS,
      sessionBytes: 100_000,
      sessionMs: 5000,
      lineBitsPerSecond: 1e7,
      failMode: 'open',
    },
    dns: { ttlMs: minutes(2), caches: 60, faulty: [], delayMs: 20 },
    sites: [siteNamed('a'), siteNamed('b'), siteNamed('c')],
    faults: [],
    ...changes,
  };
}
