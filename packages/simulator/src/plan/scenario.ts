import { type AgentTimings, DEFAULT_TIMINGS, MAX_MANAGERS } from '@sekisho/agent';
import type { SchedulerSettings } from '@sekisho/scheduler';
import { MAX_RELAYS } from '@sekisho/wire';
import { PlanError } from './plan-error.ts';

/** A mesh, its day and what befalls it. Times in milliseconds; times of day since midnight. */
export interface PlanScenario {
  readonly title: string;
  readonly seed: number;
  readonly startMs: number;
  readonly durationMs: number;
  readonly agents: AgentsScenario;
  readonly dns: DnsScenario;
  readonly sites: readonly SiteScenario[];
  readonly scheduler: Partial<SchedulerSettings>;
  readonly cost: CostModel;
  readonly limits: PlanLimits;
  /** In the order of their times. */
  readonly faults: readonly Fault[];
  /** Of a ticket, as auth gives it. */
  readonly leaseTtlMs: number;
  readonly timings?: Partial<AgentTimings> | undefined;
  /** False: every agent is simulated in full all the time, which is slow, and only there to be compared with. */
  readonly compact?: boolean | undefined;
}

interface AgentsScenario {
  readonly count: number;
  /** Before the run begins they all start, spread over this time. */
  readonly startSpreadMs: number;
  readonly sessionsPerDay: number;
  /** 24 numbers in proportion, from midnight on. */
  readonly hours: readonly number[];
  /** Of one session, in the direction in which it has most. */
  readonly sessionBytes: number;
  /** How long a session takes on an idle line. */
  readonly sessionMs: number;
  /** The office's own line. */
  readonly lineBitsPerSecond: number;
  readonly failMode: 'open' | 'closed';
}

export interface DnsScenario {
  readonly ttlMs: number;
  /** Resolvers with a cache that agents share; each agent has one of them. */
  readonly caches: number;
  readonly faulty: readonly FaultyCaches[];
  /** An answer takes so long. */
  readonly delayMs: number;
}

interface FaultyCaches {
  /** Of all caches, 0 to 1. */
  readonly share: number;
  /** Keeps an answer this many times its TTL, and says so. */
  readonly keepsTimes: number;
  /** Gives the addresses always in the order in which it got them. */
  readonly fixedOrder: boolean;
}

export interface SiteScenario {
  readonly name: string;
  /** Each has an address in DNS. */
  readonly managers: number;
  /** Agents of one manager. */
  readonly maxAgents: number;
  readonly relays: readonly RelayScenario[];
  readonly lineBitsPerSecond: number;
  /** From an agent to the site and back. */
  readonly roundTripMs: number;
  /** False: it joins later. */
  readonly inZone: boolean;
}

export interface RelayScenario {
  readonly name: string;
  readonly weight: number;
  readonly cores: number;
  readonly maxSessions: number;
  readonly maxDevices: number;
}

/** What a server spends. Measured: docs/performance.md. */
export interface CostModel {
  readonly relaySecondsPer1000Sessions: number;
  readonly relaySecondsPerGB: number;
  /** A device's new connection to a relay: TLS with certificates on both sides, and the ticket. */
  readonly relaySecondsPer1000Connections: number;
  readonly managerConnectionsPerSecond: number;
  readonly managerRenewalsPerSecond: number;
}

/** What must hold at every moment for the answer to be yes. */
export interface PlanLimits {
  readonly clientsPerServer: number;
  /** Of a relay's cores, 0 to 1. */
  readonly cpu: number;
  /** Of a site's line, 0 to 1. */
  readonly line: number;
  readonly refused: number;
}

export type Fault = { readonly atMs: number; readonly site: string } & (
  | { readonly kind: 'siteDown'; readonly how: 'silent' | 'reset' }
  | { readonly kind: 'siteUp' | 'drain' | 'join' }
  | { readonly kind: 'relayDown'; readonly relay: string; readonly how: 'silent' | 'reset' }
  | { readonly kind: 'relayUp'; readonly relay: string }
  | { readonly kind: 'managerSilent' | 'managerBack'; readonly manager: number }
  | { readonly kind: 'line'; readonly factor: number }
);

export const MAX_AGENTS = 1_000_000;
export const MAX_SITES = 500;
export const MAX_FAULTS = 100;
/** Resolvers; each has a look-up of its own after every change of the zone. */
export const MAX_CACHES = 100_000;
export const MAX_DURATION_MS = 7 * 86_400_000;

export const DEFAULT_COST: CostModel = {
  relaySecondsPer1000Sessions: 0.25,
  relaySecondsPerGB: 1.2,
  relaySecondsPer1000Connections: 1.2,
  managerConnectionsPerSecond: 800,
  managerRenewalsPerSecond: 20_000,
};

/** Manager and relay of a lost server are one: the text of the original says 1,000 clients a server with a site down. */
export const DEFAULT_PLAN_LIMITS: PlanLimits = { clientsPerServer: 1000, cpu: 0.8, line: 0.9, refused: 0 };

export function timingsOf(scenario: PlanScenario): AgentTimings {
  return { ...DEFAULT_TIMINGS, ...scenario.timings };
}

/** @throws PlanError for what is too much, or names what there is not */
export function checkScenario(scenario: PlanScenario): void {
  const { agents, dns, sites, faults, durationMs } = scenario;
  atMost('agents', agents.count, MAX_AGENTS);
  atMost('sites', sites.length, MAX_SITES);
  atMost('failures', faults.length, MAX_FAULTS);
  atMost('caches', dns.caches, MAX_CACHES);
  if (durationMs > MAX_DURATION_MS) throw new PlanError(`the longest run is ${MAX_DURATION_MS / 86_400_000} days`);
  if (sites.length === 0 || agents.count === 0) throw new PlanError('a plan needs at least one site and one agent');
  const addresses = sites.reduce((sum, { managers }) => sum + managers, 0);
  if (addresses > MAX_MANAGERS)
    throw new PlanError(`${addresses} managers in DNS, and agents use ${MAX_MANAGERS} addresses: let fewer managers of each site have one`);
  if (dns.faulty.reduce((sum, { share }) => sum + share, 0) > 1) throw new PlanError('the shares of faulty caches are more than all caches');
  for (const site of sites) checkSite(site, sites);
  for (const fault of faults) checkFault(fault, scenario);
}

function checkSite({ name, managers, relays }: SiteScenario, sites: readonly SiteScenario[]): void {
  if (sites.filter((other) => other.name === name).length > 1) throw new PlanError(`two sites have the name ${name}`);
  if (managers === 0 || relays.length === 0) throw new PlanError(`site ${name} needs a manager and a relay`);
  atMost(`relays of site ${name}`, relays.length, MAX_RELAYS);
  if (new Set(relays.map((relay) => relay.name)).size < relays.length) throw new PlanError(`two relays of site ${name} have the same name`);
}

function checkFault(fault: Fault, { sites, startMs, durationMs }: PlanScenario): void {
  const site = sites.find(({ name }) => name === fault.site);
  if (site === undefined) throw new PlanError(`there is no site ${fault.site}`);
  if (fault.atMs < startMs || fault.atMs > startMs + durationMs) throw new PlanError(`the ${fault.kind} of ${fault.site} is outside the time of the run`);
  if ('relay' in fault && !site.relays.some(({ name }) => name === fault.relay)) throw new PlanError(`site ${site.name} has no relay ${fault.relay}`);
  if ('manager' in fault && !(fault.manager >= 1 && fault.manager <= site.managers))
    throw new PlanError(`site ${site.name} has managers 1 to ${site.managers}, and no ${fault.manager}`);
}

function atMost(what: string, count: number, most: number): void {
  if (count > most) throw new PlanError(`${count} ${what}: at most ${most} are possible`);
}
