import type { Plot, Report, Section, Series, Table } from '../report/report.ts';
import type { LoadResult } from './figures/load-result.ts';
import type { Phase } from './figures/tally.ts';
import type { Second } from './figures/timeline.ts';
import { LOAD_ERRORS } from './load-error.ts';

const PHASE_LABELS: Readonly<Record<Phase, string>> = {
  timeToRelay: 'time to relay: connect to greeting',
  connect: 'connect',
  greeting: 'connected to greeting',
  relay: 'at the agent: client to relay connected',
  session: 'whole session',
};

/** What a run has come to, for people. */
export function loadReport(result: LoadResult): Report {
  return {
    title: 'Load',
    summary: summary(result),
    conditions: [
      { label: 'started', value: result.startedAt },
      ...Object.entries(result.conditions).map(([label, value]) => ({ label, value })),
      { label: 'measured', value: `${seconds(result.measuredSeconds)} after ${seconds(result.warmUpSeconds)} of warm-up${result.interrupted ? ', ended before its time' : ''}` },
    ],
    sections: [sessions(result), throughput(result), ...machine(result), ...errors(result), ledger(result)],
  };
}

function summary(result: LoadResult): string {
  const { sessions: { perSecond }, phases: { timeToRelay }, throughput: { upBytesPerSecond, downBytesPerSecond }, ledger: { up, down }, inAll } = result;
  const mails = result.ok
    ? 'no mail lost, altered or there twice'
    : `${up.lost} MAILS LOST, ${up.altered + down.altered} ALTERED, ${up.duplicate} THERE TWICE`;
  const relay = timeToRelay === null ? '' : `, time to relay ${ms(timeToRelay.p50)} (p99 ${ms(timeToRelay.p99)}, max ${ms(timeToRelay.max)})`;
  // In bulk a session lasts until the end.
  const pace = perSecond === 0 ? '' : `${decimal(perSecond)} sessions/s${relay}, `;
  return `${pace}${rate(upBytesPerSecond)} up and ${rate(downBytesPerSecond)} down, ${count(inAll.failed)} sessions failed, ${mails}.`;
}

function sessions({ sessions: { completed, failed, perSecond }, mails, phases, perSecond: curve }: LoadResult): Section {
  const rows = Object.entries(phases).flatMap(([phase, figures]) =>
    figures === null ? [] : [[PHASE_LABELS[phase as Phase], count(figures.count), ms(figures.p50), ms(figures.p99), ms(figures.max)]],
  );
  return {
    heading: 'Sessions',
    text: `${count(completed)} completed (${decimal(perSecond)}/s), ${count(failed)} failed; ${count(mails.sent)} mails sent, ${count(mails.fetched)} fetched.`,
    tables: rows.length === 0 ? [] : [{ columns: [{ label: 'phase' }, right('count'), right('p50'), right('p99'), right('max')], rows }],
    plots: [
      plot('Sessions', 'sessions/s', curve, [
        { label: 'completed', values: curve.map((one) => one.sessions) },
        { label: 'failed', values: curve.map((one) => one.failed) },
      ]),
      plot('Time to relay', 'ms', curve, [
        { label: 'p50', values: curve.map((one) => one.timeToRelayMs?.p50 ?? null) },
        { label: 'p99', values: curve.map((one) => one.timeToRelayMs?.p99 ?? null) },
        { label: 'max', values: curve.map((one) => one.timeToRelayMs?.max ?? null) },
      ]),
      plot('Running at once', 'sessions', curve, [{ label: 'sessions', values: curve.map(({ active }) => active) }]),
    ],
  };
}

function throughput({ throughput: { upBytesPerSecond, downBytesPerSecond, perClientBytesPerSecond: client }, perSecond }: LoadResult): Section {
  const rows = [
    ['up, in all', rate(upBytesPerSecond)],
    ['down, in all', rate(downBytesPerSecond)],
    ...(client === null ? [] : [['a client: least', rate(client.min)], ['a client: p50', rate(client.p50)], ['a client: most', rate(client.max)]]),
  ];
  return {
    heading: 'Throughput',
    tables: [{ columns: [{ label: '' }, right('rate')], rows }],
    plots: [
      plot('Throughput', 'Mbit/s', perSecond, [
        { label: 'up', values: perSecond.map(({ bytesUp }) => megabits(bytesUp)) },
        { label: 'down', values: perSecond.map(({ bytesDown }) => megabits(bytesDown)) },
      ]),
    ],
  };
}

function machine({ processes, perSecond }: LoadResult): Section[] {
  const rows = processes.map(({ name, cpuSeconds, cpuSecondsPerThousandSessions: per1000, cpuSecondsPerGB: perGB, residentBytes, processes: n }) => [
    name,
    cpuSeconds.toFixed(2),
    per1000 === null ? '-' : per1000.toFixed(3),
    perGB === null ? '-' : perGB.toFixed(2),
    mebibytes(residentBytes.start),
    mebibytes(residentBytes.max),
    mebibytes(residentBytes.end),
    n === 0 ? 'ended' : String(n),
  ]);
  const columns = [{ label: 'role' }, right('CPU s'), right('per 1,000 sessions'), right('per GB'), right('MiB at first'), right('most'), right('at last'), right('processes')];
  return [
    {
      heading: 'Processes',
      text: 'CPU of all threads of each process and its descendants, in the time that was measured; resident memory counts shared pages once for each process.',
      tables: [{ columns, rows }],
      plots: [plot('CPU', 'cores', perSecond, processes.map(({ name }) => ({ label: name, values: perSecond.map(({ cpu }) => cpu[name] ?? null) })))],
    },
  ];
}

function errors({ errors: list, refusals, direct }: LoadResult): Section[] {
  const tables: Table[] = [];
  if (list.length > 0)
    tables.push({ columns: [{ label: 'error' }, { label: 'stage' }, right('sessions'), { label: 'meaning' }], rows: list.map(({ code, stage, count: n }) => [code, stage, count(n), LOAD_ERRORS[code]]) });
  if (refusals.length > 0) tables.push({ columns: [{ label: 'refused with' }, right('sessions')], rows: refusals.map(({ code, count: n }) => [code, count(n)]) });
  if (direct.length > 0) tables.push({ columns: [{ label: 'direct because' }, right('sessions')], rows: direct.map(({ reason, count: n }) => [reason, count(n)]) });
  if (tables.length === 0) return [{ heading: 'Errors', text: 'None.' }];
  return [{ heading: 'Errors', text: 'In the whole run, warm-up and end included.', tables }];
}

function ledger({ ledger: { up, down } }: LoadResult): Section {
  const rows = [
    ['sent by clients', count(up.sent)],
    ['accepted (250)', count(up.accepted)],
    ['stored by servers', count(up.stored)],
    ['lost', count(up.lost)],
    ['duplicate', count(up.duplicate)],
    ['altered', count(up.altered)],
    ['stored, 250 not received', count(up.unconfirmed)],
    ['of another run', count(up.foreign)],
    ['asked for by POP3', count(down.asked)],
    ['handed out', count(down.served)],
    ['fetched', count(down.fetched)],
    ['fetched, altered', count(down.altered)],
  ];
  return {
    heading: 'Ledger',
    text: 'Every mail of the whole run; every byte of each was compared with what it must be.',
    tables: [{ columns: [{ label: 'mails' }, right('count')], rows }],
  };
}

function plot(title: string, yLabel: string, curve: readonly Second[], series: readonly Series[]): Plot {
  return { title, xKind: 'elapsed', xLabel: 'since the start', yLabel, xs: curve.map(({ second }) => second + 1), series };
}

function right(label: string): { label: string; align: 'right' } {
  return { label, align: 'right' };
}

const count = (number: number): string => number.toLocaleString('en');
const decimal = (number: number): string => number.toLocaleString('en', { maximumFractionDigits: 1 });
const seconds = (number: number): string => `${decimal(number)} s`;
const ms = (number: number): string => `${number < 10 ? number.toFixed(2) : number.toFixed(1)} ms`;
const megabits = (bytesPerSecond: number): number => (bytesPerSecond * 8) / 1e6;
const rate = (bytesPerSecond: number): string => `${megabits(bytesPerSecond).toFixed(2)} Mbit/s`;
const mebibytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
