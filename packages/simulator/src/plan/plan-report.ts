import type { Plot, Report, Section, Table } from '../report/report.ts';
import type { Curve, GivenUp, Phase, PlanOutcome, RelayOutcome } from './outcome.ts';
import type { Fault, PlanScenario } from './scenario.ts';
import type { Moves } from './watch.ts';

/** More relays than this are shown by those with most and those with least clients. */
const MAX_RELAY_ROWS = 40;

/** The outcome of a plan for people. */
export function planReport(outcome: PlanOutcome, scenario: PlanScenario): Report {
  return {
    title: outcome.title,
    summary: planSummary(outcome),
    conditions: conditionsOf(outcome, scenario),
    sections: [phasesSection(outcome), ...movesSection(outcome), sessionsSection(outcome), loadSection(outcome), relaysSection(outcome)],
  };
}

/** The answer in one sentence. */
export function planSummary({ relays, sites, agents, answer, givenUp, phases }: PlanOutcome): string {
  const mesh = `${count(relays.length)} ${relays.length === 1 ? 'server' : 'servers'} at ${count(sites.length)} ${sites.length === 1 ? 'site' : 'sites'}`;
  const [normal, ...later] = phases;
  const worst = later.reduce((most: Phase | undefined, phase) => (phase.clientsPeak > (most?.clientsPeak ?? -1) ? phase : most), undefined);
  const peaks = `at most ${count(normal?.clientsPeak ?? 0)} clients a server${worst === undefined ? '' : ` before the first failure, ${count(worst.clientsPeak)} after (${worst.faults.map(describeFault).join(', ')})`}`;
  if (answer.isEnough) return `${mesh} are enough for ${count(agents)} clients: ${peaks}.`;
  return `${mesh} are NOT enough for ${count(agents)} clients: ${whyNot({ ...answer, givenUp })} (${peaks}).`;
}

/** Which limits are exceeded, and by how much; of a run that was given up, by how much until then. */
export function whyNot({ exceeded, givenUp }: { readonly exceeded: readonly string[]; readonly givenUp: GivenUp | null }): string {
  const until = givenUp === null ? [] : [`given up at ${time(givenUp.atMs)}, when ${count(givenUp.agents)} clients had no server`];
  return [...exceeded, ...until].join('; ');
}

export function describeFault(fault: Fault): string {
  const { site } = fault;
  switch (fault.kind) {
    case 'siteDown':
      return `${site} down, ${fault.how}`;
    case 'siteUp':
      return `${site} back`;
    case 'drain':
      return `${site} out of DNS`;
    case 'join':
      return `${site} into DNS`;
    case 'relayDown':
      return `${site}/${fault.relay} down, ${fault.how}`;
    case 'relayUp':
      return `${site}/${fault.relay} back`;
    case 'managerSilent':
      return `manager ${fault.manager} of ${site} silent`;
    case 'managerBack':
      return `manager ${fault.manager} of ${site} back`;
    default:
      return `line of ${site} x ${fault.factor}`;
  }
}

function conditionsOf(outcome: PlanOutcome, { agents, dns, sites, leaseTtlMs, scheduler, limits, cost }: PlanScenario): Report['conditions'] {
  const faulty = dns.faulty.map(({ share, keepsTimes, fixedOrder }) => `, ${percent(share)} keep answers ${keepsTimes} x${fixedOrder ? ' in a fixed order' : ''}`).join('');
  const [site] = sites;
  return [
    { label: 'agents', value: `${count(agents.count)}, ${agents.sessionsPerDay} sessions a day each, of ${count(agents.sessionBytes / 1000)} kB and ${agents.sessionMs / 1000} s, line ${bits(agents.lineBitsPerSecond)}` },
    { label: 'sites', value: `${count(sites.length)} with ${count(outcome.relays.length)} servers in all${site === undefined ? '' : `; the first: ${site.relays.map(({ name, weight }) => `${name} weight ${weight}`).join(', ')}; ${site.managers} managers, line ${bits(site.lineBitsPerSecond)}`}` },
    { label: 'time', value: `${time(outcome.startMs)} to ${time(outcome.endMs)}` },
    { label: 'DNS', value: `TTL ${duration(dns.ttlMs)}, ${count(dns.caches)} caches${faulty}` },
    { label: 'lease', value: `${duration(leaseTtlMs)}, policy ${scheduler.policy ?? 'least-load'}` },
    { label: 'cost', value: `relay ${cost.relaySecondsPer1000Sessions} s per 1,000 sessions, ${cost.relaySecondsPerGB} s/GB, ${cost.relaySecondsPer1000Connections} s per 1,000 connections` },
    { label: 'limits', value: `${count(limits.clientsPerServer)} clients a server, CPU ${percent(limits.cpu)}, line ${percent(limits.line)}, ${count(limits.refused)} sessions refused` },
    { label: 'seed', value: String(outcome.seed) },
  ];
}

function phasesSection({ phases }: PlanOutcome): Section {
  return {
    heading: 'How many clients a server has',
    text: 'A phase ends with the next failure. Mean, least and most are those at its end, peak and the rest those of the whole phase. Imbalance is the most of any server by its weight, divided by the mean: 1 is even.',
    tables: [
      table(
        ['from', 'what', 'servers', 'mean', 'least', 'most', 'peak', 'imbalance', 'CPU', 'line', 'relayed', 'direct', 'refused', 'broken'],
        phases.map((phase) => [
          time(phase.fromMs),
          phase.faults.length === 0 ? 'as planned' : phase.faults.map(describeFault).join(', '),
          count(phase.servers),
          count(phase.clientsMean),
          count(phase.clientsMin),
          count(phase.clientsMax),
          count(phase.clientsPeak),
          phase.imbalance.toFixed(2),
          percent(phase.cpuPeak),
          percent(phase.linePeak),
          count(phase.relayed),
          count(phase.direct),
          count(phase.refused),
          count(phase.broken),
        ]),
        2,
      ),
    ],
  };
}

function movesSection({ moves }: PlanOutcome): Section[] {
  if (moves.length === 0) return [];
  const plots = moves.flatMap((move) => movePlot(move));
  return [
    {
      heading: 'Until traffic has moved',
      text: 'After a failure: the agents that it met, until each has a relay that works elsewhere (or another manager). After something came: the agents that went there. "-": not within the run.',
      tables: [
        table(
          ['at', 'what', 'agents', '50 %', '90 %', '99 %', 'all'],
          moves.map(({ fault, agents, half, p90, p99, all }) => [
            time(fault.atMs),
            describeFault(fault),
            count(agents),
            ...[half, p90, p99, all].map((ms) => (ms === null ? '-' : duration(ms))),
          ]),
          2,
        ),
      ],
      ...(plots.length === 0 ? {} : { plots }),
    },
  ];
}

function movePlot({ fault, agents, curve }: Moves): Plot[] {
  const points = curve.map((ms, index) => ({ x: ms / 1000, share: ((index + 1) / curve.length) * 100 }));
  const rising = points.filter(({ x }, index) => x > 0 && x < (points[index + 1]?.x ?? Number.POSITIVE_INFINITY));
  if (agents === 0 || rising.length < 2) return [];
  return [
    {
      title: `Moved after: ${describeFault(fault)} at ${time(fault.atMs)}`,
      xKind: 'elapsed',
      xLabel: 'since then',
      yLabel: '% of those that moved',
      xs: [0, ...rising.map(({ x }) => x)],
      series: [{ label: 'moved', values: [0, ...rising.map(({ share }) => share)] }],
    },
  ];
}

function sessionsSection(outcome: PlanOutcome): Section {
  const { sessions, series } = outcome;
  const rows = [
    ['relayed', '', count(sessions.relayed)],
    ...Object.entries(sessions.direct).map(([reason, sum]) => ['direct', reason, count(sum)]),
    ...Object.entries(sessions.refused).map(([code, sum]) => ['refused', code, count(sum)]),
    ['broken by the death of their relay', 'clients send again', count(sessions.broken)],
  ];
  const curve = (label: string, values: readonly number[]): Curve => ({ label, values });
  return {
    heading: 'Sessions',
    tables: [{ columns: [{ label: 'how' }, { label: 'why' }, { label: 'sessions', align: 'right' }], rows }],
    plots: [
      plotOf(outcome, 'Sessions that were not relayed', 'since the point before', [curve('direct', series.direct), curve('refused', series.refused)]),
      plotOf(outcome, 'Agents without a relay that works', 'agents', [curve('agents', series.astray)]),
    ],
  };
}

function loadSection(outcome: PlanOutcome): Section {
  const { series } = outcome;
  const inPercent = (curves: readonly Curve[]): Curve[] => curves.map(({ label, values }) => ({ label, values: values.map((value) => value * 100) }));
  return {
    heading: 'Load over time',
    plots: [
      plotOf(outcome, 'Clients of each server', 'clients', series.clients),
      plotOf(outcome, 'Line of each site', '% of what it can; over 100 sessions take longer', inPercent(series.line)),
      plotOf(outcome, 'CPU of each server', '% of its cores', inPercent(series.cpu)),
      plotOf(outcome, 'Imbalance', 'most by weight / mean', [{ label: 'imbalance', values: series.imbalance }]),
    ],
  };
}

function plotOf({ series, phases }: PlanOutcome, title: string, yLabel: string, curves: readonly Curve[]): Plot {
  return {
    title,
    xKind: 'timeOfDay',
    xLabel: 'time',
    yLabel,
    xs: series.atMs.map((ms) => ms / 1000),
    series: curves,
    marks: phases.filter(({ faults }) => faults.length > 0).map(({ fromMs, faults }) => ({ x: fromMs / 1000, label: faults.map(describeFault).join(', ') })),
  };
}

function relaysSection({ relays }: PlanOutcome): Section {
  const sorted = relays.toSorted((a, b) => b.clientsPeak - a.clientsPeak);
  const shown = relays.length <= MAX_RELAY_ROWS ? relays : [...sorted.slice(0, MAX_RELAY_ROWS / 2), ...sorted.slice(-MAX_RELAY_ROWS / 2)];
  const row = (relay: RelayOutcome): string[] => [
    `${relay.site}/${relay.name}`,
    count(relay.weight),
    count(relay.clientsMean),
    count(relay.clientsPeak),
    count(relay.sessionsMean),
    count(relay.sessionsPeak),
    percent(relay.cpuMean),
    percent(relay.cpuPeak),
  ];
  return {
    heading: 'Servers',
    ...(shown === relays ? {} : { text: `Of ${count(relays.length)} servers the ${MAX_RELAY_ROWS / 2} with most clients and the ${MAX_RELAY_ROWS / 2} with least.` }),
    tables: [table(['server', 'weight', 'clients mean', 'peak', 'sessions at once, mean', 'peak', 'CPU mean', 'peak'], shown.map(row), 1)],
  };
}

/** @param left so many columns of text come before those of numbers */
function table(labels: readonly string[], rows: readonly (readonly string[])[], left: number): Table {
  return { columns: labels.map((label, index) => (index < left ? { label } : { label, align: 'right' })), rows };
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function percent(value: number): string {
  return value > 0 && value < 0.01 ? '< 1 %' : `${Math.round(value * 100)} %`;
}

function bits(bitsPerSecond: number): string {
  return bitsPerSecond >= 1e9 ? `${bitsPerSecond / 1e9} Gbps` : `${bitsPerSecond / 1e6} Mbps`;
}

function duration(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

function time(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}`;
  return seconds % 60 === 0 ? text : `${text}:${two(seconds % 60)}`;
}
