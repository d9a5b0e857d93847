import type { Sample } from './recorder.ts';
import type { Mesh } from './mesh.ts';
import type { Fault, PlanScenario } from './scenario.ts';
import type { Moves } from './watch.ts';

/** What came of a plan: plain data, the same for the same scenario. Times of day in milliseconds since midnight. */
export interface PlanOutcome {
  readonly title: string;
  readonly seed: number;
  readonly agents: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly answer: PlanAnswer;
  /** Set when the run ended before its time: the answer was no, and agents without a relay made work without end. */
  readonly givenUp: GivenUp | null;
  readonly phases: readonly Phase[];
  readonly moves: readonly Moves[];
  readonly sessions: SessionCounts;
  readonly relays: readonly RelayOutcome[];
  readonly sites: readonly SiteOutcome[];
  readonly work: WorkCounts;
  readonly series: PlanSeries;
}

interface PlanAnswer {
  readonly isEnough: boolean;
  readonly exceeded: readonly string[];
}

export interface GivenUp {
  readonly atMs: number;
  /** Without a relay at that moment. */
  readonly agents: number;
}

/** From one failure (or the beginning) to the next. */
export interface Phase {
  readonly fromMs: number;
  readonly toMs: number;
  readonly faults: readonly Fault[];
  /** Relays that work, at sites that are in DNS, at the end. */
  readonly servers: number;
  /** Clients a server at the end: those of a server with weight 1 are `meanPerWeight`. */
  readonly clientsMean: number;
  readonly clientsMin: number;
  readonly clientsMax: number;
  /** The most clients that any server had in this phase. */
  readonly clientsPeak: number;
  readonly peakRelay: string;
  /** The most clients of a server by its weight, and their mean: 1 is an even load. At the end. */
  readonly imbalance: number;
  readonly cpuPeak: number;
  readonly linePeak: number;
  readonly relayed: number;
  readonly direct: number;
  readonly refused: number;
  readonly broken: number;
}

interface SessionCounts {
  readonly relayed: number;
  readonly direct: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly broken: number;
}

export interface RelayOutcome {
  readonly site: string;
  readonly name: string;
  readonly weight: number;
  readonly clientsMean: number;
  readonly clientsPeak: number;
  readonly sessionsMean: number;
  readonly sessionsPeak: number;
  readonly cpuMean: number;
  readonly cpuPeak: number;
}

interface SiteOutcome {
  readonly name: string;
  readonly clientsMean: number;
  readonly lineMean: number;
  readonly linePeak: number;
}

/** What was done to find out; the same for the same scenario, unlike the time it took. */
interface WorkCounts {
  readonly events: number;
  readonly hellos: number;
  readonly lookUps: number;
  readonly pushes: number;
  readonly rebalanced: number;
  readonly activations: number;
}

/** A value for each of `atMs`. Curves are of each relay, or of the least, the mean and the most loaded one of many. */
interface PlanSeries {
  readonly atMs: readonly number[];
  readonly clients: readonly Curve[];
  readonly cpu: readonly Curve[];
  readonly line: readonly Curve[];
  readonly imbalance: readonly number[];
  readonly astray: readonly number[];
  readonly direct: readonly number[];
  readonly refused: readonly number[];
}

export interface Curve {
  readonly label: string;
  readonly values: readonly number[];
}

/** More relays or sites than this are shown by the least, the mean and the most loaded one. */
const MAX_CURVES = 20;

/** Counts that a phase is the difference of. */
export interface Counts {
  readonly relayed: number;
  readonly direct: number;
  readonly refused: number;
  readonly broken: number;
}

export function countsOf({ tally }: Mesh): Counts {
  return { relayed: tally.relayed, direct: tally.directSum, refused: tally.refusedSum, broken: tally.broken };
}

/** What a phase was, from the samples within it and the peaks of the mesh since it began. */
export function phaseOf(
  mesh: Mesh,
  init: { readonly fromMs: number; readonly toMs: number; readonly faults: readonly Fault[]; readonly samples: readonly Sample[]; readonly before: Counts },
): Phase {
  const { relays, sites } = mesh;
  const inUse = relays.filter(({ health, site }) => health === 'up' && sites[site]?.inZone === true);
  const clients = inUse.map((relay) => relay.clients);
  const clientsPeak = Math.max(...relays.map(({ peakClients }) => peakClients));
  const peakRelay = relays.find(({ peakClients }) => peakClients === clientsPeak);
  const now = countsOf(mesh);
  return {
    fromMs: init.fromMs,
    toMs: init.toMs,
    faults: init.faults,
    servers: inUse.length,
    clientsMean: rounded(mean(clients), 1),
    clientsMin: clients.length === 0 ? 0 : Math.min(...clients),
    clientsMax: Math.max(0, ...clients),
    clientsPeak,
    peakRelay: peakRelay === undefined ? '' : `${sites[peakRelay.site]?.name}/${peakRelay.name}`,
    imbalance: rounded(imbalanceOf(clients, inUse.map(({ weight }) => weight)), 3),
    cpuPeak: rounded(Math.max(0, ...init.samples.map(({ cpu }) => Math.max(...cpu))), 4),
    linePeak: rounded(Math.max(0, ...init.samples.map(({ line }) => Math.max(...line))), 4),
    relayed: now.relayed - init.before.relayed,
    direct: now.direct - init.before.direct,
    refused: now.refused - init.before.refused,
    broken: now.broken - init.before.broken,
  };
}

export function outcomeOf(
  mesh: Mesh,
  scenario: PlanScenario,
  { samples, phases, givenUp }: { readonly samples: readonly Sample[]; readonly phases: readonly Phase[]; readonly givenUp: GivenUp | null },
): PlanOutcome {
  const { tally } = mesh;
  return {
    title: scenario.title,
    seed: scenario.seed,
    agents: scenario.agents.count,
    startMs: scenario.startMs,
    endMs: scenario.startMs + scenario.durationMs,
    answer: answerOf(scenario, phases),
    givenUp,
    phases,
    moves: mesh.watches.map((watch) => watch.result()),
    sessions: { relayed: tally.relayed, direct: sortedRecord(tally.direct), refused: sortedRecord(tally.refused), broken: tally.broken },
    relays: mesh.relays.map((relay) => ({
      site: mesh.sites[relay.site]?.name ?? '',
      name: relay.name,
      weight: relay.weight,
      ...figures('clients', samples, ({ clients }) => clients[relay.index] ?? 0, 1),
      ...figures('sessions', samples, ({ sessions }) => sessions[relay.index] ?? 0, 1),
      ...figures('cpu', samples, ({ cpu }) => cpu[relay.index] ?? 0, 4),
    })),
    sites: mesh.sites.map((site) => ({
      name: site.name,
      clientsMean: rounded(site.relays.reduce((sum, { index }) => sum + timeMean(samples, ({ clients }) => clients[index] ?? 0), 0), 1),
      ...figures('line', samples, ({ line }) => line[site.index] ?? 0, 4),
    })),
    work: {
      events: mesh.queue.done,
      hellos: tally.hellos,
      lookUps: tally.lookUps,
      pushes: tally.pushes,
      rebalanced: tally.rebalanced,
      activations: tally.activations,
    },
    series: seriesOf(mesh, samples),
  };
}

function answerOf({ limits }: PlanScenario, phases: readonly Phase[]): PlanAnswer {
  const worst = (of: (phase: Phase) => number): number => Math.max(0, ...phases.map(of));
  const exceeded: string[] = [];
  const check = (what: string, value: number, limit: number, unit: (value: number) => string): void => {
    if (value > limit) exceeded.push(`${what}: ${unit(value)}, the limit is ${unit(limit)}`);
  };
  const percent = (value: number): string => `${Math.round(value * 100)} %`;
  const whole = (value: number): string => value.toLocaleString('en-US');
  check('clients a server', worst(({ clientsPeak }) => clientsPeak), limits.clientsPerServer, whole);
  check('CPU of a server', worst(({ cpuPeak }) => cpuPeak), limits.cpu, percent);
  check('line of a site', worst(({ linePeak }) => linePeak), limits.line, percent);
  check('sessions refused', phases.reduce((sum, { refused }) => sum + refused, 0), limits.refused, whole);
  return { isEnough: exceeded.length === 0, exceeded };
}

function seriesOf(mesh: Mesh, samples: readonly Sample[]): PlanSeries {
  const relayNames = mesh.relays.map(({ site, name }) => `${mesh.sites[site]?.name}/${name}`);
  const siteNames = mesh.sites.map(({ name }) => name);
  const weights = mesh.relays.map(({ weight }) => weight);
  return {
    atMs: samples.map(({ atMs }) => atMs),
    clients: curvesOf(samples, relayNames, ({ clients }) => clients, 0),
    cpu: curvesOf(samples, relayNames, ({ cpu }) => cpu, 4),
    line: curvesOf(samples, siteNames, ({ line }) => line, 4),
    imbalance: samples.map(({ clients, inUse }) => {
      const used = [...clients.keys()].filter((index) => inUse[index] === 1);
      return rounded(imbalanceOf(used.map((index) => clients[index] ?? 0), used.map((index) => weights[index] ?? 1)), 3);
    }),
    astray: samples.map(({ astray }) => astray),
    direct: samples.map(({ direct }) => direct),
    refused: samples.map(({ refused }) => refused),
  };
}

function curvesOf(samples: readonly Sample[], names: readonly string[], of: (sample: Sample) => ArrayLike<number>, digits: number): Curve[] {
  if (names.length <= MAX_CURVES)
    return names.map((label, index) => ({ label, values: samples.map((sample) => rounded(of(sample)[index] ?? 0, digits)) }));
  const curve = (label: string, summary: (values: readonly number[]) => number): Curve => ({
    label,
    values: samples.map((sample) => rounded(summary(Array.from(of(sample))), digits)),
  });
  return [curve('least', (values) => Math.min(...values)), curve('mean', mean), curve('most', (values) => Math.max(...values))];
}

/** The most of any by its weight, and what it would be if all had what their weight says. */
function imbalanceOf(values: readonly number[], weights: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const weightSum = weights.reduce((total, weight) => total + weight, 0);
  if (sum === 0) return 1;
  return Math.max(...values.map((value, index) => value / (weights[index] ?? 1))) / (sum / weightSum);
}

function figures<Name extends string>(
  name: Name,
  samples: readonly Sample[],
  of: (sample: Sample) => number,
  digits: number,
): Record<`${Name}Mean` | `${Name}Peak`, number> {
  const peak = samples.reduce((most, sample) => Math.max(most, of(sample)), 0);
  return { [`${name}Mean`]: rounded(timeMean(samples, of), digits), [`${name}Peak`]: rounded(peak, digits) } as Record<`${Name}Mean` | `${Name}Peak`, number>;
}

/** Samples are denser after failures: each counts for the time until the next. */
function timeMean(samples: readonly Sample[], of: (sample: Sample) => number): number {
  let sum = 0;
  let time = 0;
  for (const [index, sample] of samples.entries()) {
    const forMs = (samples[index + 1]?.atMs ?? sample.atMs) - sample.atMs;
    sum += of(sample) * forMs;
    time += forMs;
  }
  return time === 0 ? 0 : sum / time;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

function sortedRecord(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}
