import { DEFAULT_COST, DEFAULT_PLAN_LIMITS, FLAT_HOURS, MAX_AGENTS, MAX_CACHES, MAX_FAULTS, MAX_SITES, OFFICE_HOURS } from '@sekisho/simulator';
import { MAX_RELAYS } from '@sekisho/wire';
import { z } from 'zod';
import { duration, size } from './quantities.ts';

/** The scenario of `sekisho plan`: a mesh, its day, and what befalls it. docs/plan.md has every key. */

const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/u;
const TIME = /^(?<hours>\d{1,3}):(?<minutes>[0-5]\d)(?::(?<seconds>[0-5]\d))?$/u;
const RATE = /^(?<number>\d+(?:\.\d+)?)(?<unit>[KMG])bps$/u;
const RATE_UNITS: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, G: 1e9 };
const MAX_PER_DAY = 100_000;
/** A site whose managers serve more at once is several sites. */
const MAX_SITE_AGENTS = 1_000_000;

const count = (max: number) => z.int().min(1).max(max);
const share = () => z.number().min(0).max(1);
const positive = () => z.number().positive().max(1e6);
const name = () => z.string().regex(NAME, 'a name is 1 to 63 of a-z, 0-9, "." and "-"');

/** `10:00`, `10:00:30`, or `34:00` for ten o'clock of the second day; milliseconds since midnight once parsed. */
export const timeOfDay = () =>
  z.string().regex(TIME, 'a time is HH:MM in quotes, such as "10:00", or "34:00" for the next day').transform((text) => {
    const { hours, minutes, seconds = '0' } = TIME.exec(text)?.groups ?? {};
    return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
  });

/** `100Mbps`; bits a second once parsed. */
export const bitRate = () =>
  z
    .string()
    .regex(RATE, 'a rate is a number with a unit: 512Kbps, 100Mbps or 1Gbps')
    .transform((text) => {
      const { number, unit = '' } = RATE.exec(text)?.groups ?? {};
      return Number(number) * (RATE_UNITS[unit] ?? Number.NaN);
    })
    .refine((rate) => rate > 0, 'a line carries more than nothing');

const relay = z.strictObject({
  name: name(),
  weight: z.number().positive().max(1000).default(1),
  cores: z.number().positive().max(1024).default(2),
  maxSessions: count(1e6).default(4000),
  maxDevices: count(1e6).default(2000),
});

const site = z.strictObject({
  name: name(),
  copies: count(MAX_SITES).default(1),
  managers: count(32).default(2),
  maxAgents: count(MAX_SITE_AGENTS).default(10_000),
  relays: z.union([count(MAX_RELAYS), z.array(relay).min(1).max(MAX_RELAYS)]).default(5),
  line: bitRate().prefault('100Mbps'),
  roundTrip: duration('20ms', { min: '1ms', max: '5s' }),
  inDns: z.boolean().default(true),
});

const FAILURE_FORMS = 'say what is to happen: `is: down|up|drained|joined` of a site, `relay` with `is: down|up`, `manager` with `is: silent|back`, or `line` alone';

const failure = z
  .strictObject({
    at: timeOfDay(),
    site: name(),
    relay: name().optional(),
    manager: count(32).optional(),
    line: z.number().min(0.001).max(1000).optional(),
    is: z.enum(['down', 'up', 'drained', 'joined', 'silent', 'back']).optional(),
    how: z.enum(['silent', 'reset']).default('silent'),
  })
  .superRefine(({ relay: one, manager, line, is }, context) => {
    const named = [one, manager, line].filter((value) => value !== undefined).length;
    const allowed: readonly (string | undefined)[] = one !== undefined ? ['down', 'up'] : manager !== undefined ? ['silent', 'back'] : line !== undefined ? [undefined] : ['down', 'up', 'drained', 'joined'];
    if (named > 1 || !allowed.includes(is)) context.addIssue({ code: 'custom', path: ['is'], message: FAILURE_FORMS });
  });

export type PlanFailure = z.output<typeof failure>;

export const planSchema = z.strictObject({
  title: z.string().min(1).max(200).default('Plan'),
  seed: z.int().min(0).max(2 ** 32 - 1).default(1),
  start: timeOfDay().prefault('00:00'),
  duration: duration('24h', { min: '1m', max: '7d' }),
  leaseTtl: duration('10m', { min: '10s', max: '1d' }),
  agents: z
    .strictObject({
      count: count(MAX_AGENTS).default(8000),
      startSpread: duration('5m', { min: '1s', max: '12h' }),
      sessionsPerDay: z.number().min(0).max(MAX_PER_DAY).default(100),
      load: z
        .union([z.enum(['office', 'flat']), z.array(z.number().min(0).max(1e6)).length(24, '24 numbers are needed, one for each hour from midnight on')])
        .default('office')
        .transform((load) => (load === 'office' ? OFFICE_HOURS : load === 'flat' ? FLAT_HOURS : load)),
      sessionSize: size('100KB', { min: '0B', max: '10GB' }),
      sessionTime: duration('5s', { min: '10ms', max: '1d' }),
      line: bitRate().prefault('10Mbps'),
      failMode: z.enum(['open', 'closed']).default('open'),
    })
    .prefault({}),
  dns: z
    .strictObject({
      ttl: duration('20m', { min: '1s', max: '1d' }),
      caches: count(MAX_CACHES).default(1000),
      delay: duration('20ms', { min: '1ms', max: '2s' }),
      faulty: z
        .array(z.strictObject({ share: share(), keeps: z.number().min(1).max(1000).default(1), fixedOrder: z.boolean().default(false) }))
        .max(16)
        .default([]),
    })
    .prefault({}),
  sites: z.array(site).min(1).max(MAX_SITES).prefault([{ name: 'site', copies: 3 }]),
  scheduler: z
    .strictObject({
      policy: z.enum(['least-load', 'weighted']).default('least-load'),
      maxLoadPerCore: positive().default(4),
      maxHottestCore: positive().default(0.95),
    })
    .prefault({}),
  cost: z
    .strictObject({
      relayPer1000Sessions: z.number().min(0).max(1000).default(DEFAULT_COST.relaySecondsPer1000Sessions),
      relayPerGB: z.number().min(0).max(1000).default(DEFAULT_COST.relaySecondsPerGB),
      relayPer1000Connections: z.number().min(0).max(1000).default(DEFAULT_COST.relaySecondsPer1000Connections),
      managerConnectionsPerSecond: positive().default(DEFAULT_COST.managerConnectionsPerSecond),
      managerRenewalsPerSecond: positive().default(DEFAULT_COST.managerRenewalsPerSecond),
    })
    .prefault({}),
  limits: z
    .strictObject({
      clientsPerServer: count(1e6).default(DEFAULT_PLAN_LIMITS.clientsPerServer),
      cpu: z.number().positive().max(100).default(DEFAULT_PLAN_LIMITS.cpu),
      line: z.number().positive().max(100).default(DEFAULT_PLAN_LIMITS.line),
      refused: z.int().min(0).default(DEFAULT_PLAN_LIMITS.refused),
    })
    .prefault({}),
  failures: z.array(failure).max(MAX_FAULTS).default([]),
});

export type PlanConfig = z.output<typeof planSchema>;
