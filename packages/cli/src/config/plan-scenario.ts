import type { Fault, PlanScenario, SiteScenario } from '@sekisho/simulator';
import type { PlanConfig, PlanFailure } from './plan-schema.ts';

/** The scenario that a file of `sekisho plan` describes. */
export function planScenario(config: PlanConfig): PlanScenario {
  const { agents, dns, scheduler, cost, limits } = config;
  return {
    title: config.title,
    seed: config.seed,
    startMs: config.start,
    durationMs: config.duration,
    leaseTtlMs: config.leaseTtl,
    agents: {
      count: agents.count,
      startSpreadMs: agents.startSpread,
      sessionsPerDay: agents.sessionsPerDay,
      hours: agents.load,
      sessionBytes: agents.sessionSize,
      sessionMs: agents.sessionTime,
      lineBitsPerSecond: agents.line,
      failMode: agents.failMode,
    },
    dns: {
      ttlMs: dns.ttl,
      caches: Math.min(dns.caches, agents.count),
      delayMs: dns.delay,
      faulty: dns.faulty.map(({ share, keeps, fixedOrder }) => ({ share, keepsTimes: keeps, fixedOrder })),
    },
    sites: config.sites.flatMap(sitesOf),
    scheduler: { policy: scheduler.policy, loadPerCoreLimit: scheduler.maxLoadPerCore, hottestCoreLimit: scheduler.maxHottestCore },
    cost: {
      relaySecondsPer1000Sessions: cost.relayPer1000Sessions,
      relaySecondsPerGB: cost.relayPerGB,
      relaySecondsPer1000Connections: cost.relayPer1000Connections,
      managerConnectionsPerSecond: cost.managerConnectionsPerSecond,
      managerRenewalsPerSecond: cost.managerRenewalsPerSecond,
    },
    limits,
    faults: config.failures.map(faultOf).toSorted((a, b) => a.atMs - b.atMs),
  };
}

/** Copies are the site's name with a number. */
function sitesOf({ name, copies, managers, maxAgents, relays, line, roundTrip, inDns }: PlanConfig['sites'][number]): SiteScenario[] {
  const usual = { weight: 1, cores: 2, maxSessions: 4000, maxDevices: 2000 };
  const servers = typeof relays === 'number' ? Array.from({ length: relays }, (_, index) => ({ name: `s${index + 1}`, ...usual })) : relays;
  return Array.from({ length: copies }, (_, index) => ({
    name: copies === 1 ? name : `${name}-${index + 1}`,
    managers,
    maxAgents,
    relays: servers,
    lineBitsPerSecond: line,
    roundTripMs: roundTrip,
    inZone: inDns,
  }));
}

function faultOf({ at: atMs, site, relay, manager, line, is, how }: PlanFailure): Fault {
  if (line !== undefined) return { atMs, site, kind: 'line', factor: line };
  if (manager !== undefined) return { atMs, site, kind: is === 'back' ? 'managerBack' : 'managerSilent', manager };
  if (relay !== undefined) return is === 'up' ? { atMs, site, kind: 'relayUp', relay } : { atMs, site, kind: 'relayDown', relay, how };
  if (is === 'drained' || is === 'joined') return { atMs, site, kind: is === 'drained' ? 'drain' : 'join' };
  return is === 'up' ? { atMs, site, kind: 'siteUp' } : { atMs, site, kind: 'siteDown', how };
}
