import { CLOCK_DIFFERS_MS } from '@sekisho/channel';
import type { ManagerStatus, RedundancyStatus } from '@sekisho/manager';
import { printable } from '@sekisho/telemetry';
import { type Cell, paint, table } from '../output.ts';
import { ago } from './ago.ts';
import { wrapped } from './wrapped.ts';

const EVENTS_SHOWN = 8;
const EVENT_WIDTH = 16;
const TIME_CHARS = 19;
const SECOND_MS = 1000;

/** What one manager sees of its site, for people. */
export function managerView(status: ManagerStatus, nowMs: number): string {
  const { relays, policy, panic } = status.table;
  return [
    `site ${status.site}, manager ${status.name} at ${status.address}:${status.port}${status.stopping ? paint('yellow', ' STOPPING') : ''}`,
    `agents ${status.agents}, of them direct ${highlight(status.direct.agents)}; policy ${policy}${panic ? `; ${paint('red', 'PANIC: marks are distrusted')}` : ''}`,
    redundancyLine(status, nowMs),
    ...differences(status),
    '',
    table(
      ['RELAY', 'STATE', 'SHARE', 'WEIGHT', 'SESSIONS', 'CPU', 'HOT CORE', 'LOOP', 'FULL', 'LINE'],
      relays.map((relay) => row(relay)),
    ),
    ...relays.flatMap((relay) => why(relay)),
    ...inspectionTable(relays),
    '',
    ...status.events.slice(-EVENTS_SHOWN).map(({ at, event, text }) => `${new Date(at).toISOString().slice(0, TIME_CHARS)}  ${event.padEnd(EVENT_WIDTH)}  ${printable(text)}`),
  ].join('\n');
}

function highlight(count: number): string {
  return count === 0 ? '0' : paint('red', String(count));
}

/** `redundancy: relays 4/5 (s3 lost 14 s ago), managers 2/2, auths 2/2, scanners 10/10, store up`, in red where something is missing. */
export function redundancyLine({ redundancy, store }: Pick<ManagerStatus, 'redundancy' | 'store'>, nowMs: number): string {
  const shown = redundancy.filter(({ what, want }) => what !== 'scanners' || want > 0);
  const parts = shown.map((one) => (one.what === 'store' ? storePart(one, store, nowMs) : part(one, nowMs)));
  const line = wrapped('redundancy:', parts.map(({ text }) => text));
  return parts.reduce((painted, { text, isLost }) => (isLost ? painted.replace(text, () => paint('red', text)) : painted), line);
}

interface Part {
  readonly text: string;
  readonly isLost: boolean;
}

function part({ what, have, want, lost, since }: RedundancyStatus, nowMs: number): Part {
  const count = `${what} ${have}/${want}`;
  return lost.length === 0 ? { text: count, isLost: false } : { text: `${count} (${lost.join(', ')} lost ${ago(since ?? nowMs, nowMs)})`, isLost: true };
}

function storePart({ lost, since }: RedundancyStatus, { reason }: ManagerStatus['store'], nowMs: number): Part {
  if (lost.length === 0) return { text: 'store up', isLost: false };
  return { text: `store DOWN since ${ago(since ?? nowMs, nowMs).replace(' ago', '')} (${printable(reason ?? 'no answer')}; going on with memory)`, isLost: true };
}

/** Servers that run with another site.yaml than this manager, and those whose clocks are not its own: a line each, if there are any. */
function differences({ about, table: { relays }, auths, managers }: ManagerStatus): string[] {
  const servers = [
    ...relays.map((one) => ({ ...one, label: `relay ${one.name}` })),
    ...auths.map((one) => ({ ...one, label: `auth ${one.name}` })),
    ...managers.filter(({ self }) => !self).map((one) => ({ ...one, label: `manager ${one.name}` })),
  ];
  const drifted = servers.filter(({ config }) => config !== null && about !== null && config !== about.config).map(({ label }) => label);
  const clocks = servers.filter(({ clockOffsetMs }) => Math.abs(clockOffsetMs ?? 0) > CLOCK_DIFFERS_MS).map(({ label, clockOffsetMs }) => `${label} ${signed(clockOffsetMs ?? 0)}`);
  return [
    ...(drifted.length === 0 ? [] : [paint('red', wrapped('another site.yaml:', drifted))]),
    ...(clocks.length === 0 ? [] : [paint('red', wrapped('other clocks:', clocks))]),
  ];
}

/** Seconds with their sign. */
export function signed(ms: number): string {
  const seconds = (Math.abs(ms) / SECOND_MS).toFixed(1);
  const sign = seconds === '0.0' ? '' : ms > 0 ? '+' : '-';
  return `${sign}${seconds} s`;
}

type Relay = ManagerStatus['table']['relays'][number];

/** The loads are in percent of their limits: 100 % in one of them is what marks a relay. */
function row(relay: Relay): Cell[] {
  const { load, weight } = relay;
  const percent = (fraction: number | undefined): Cell => (fraction === undefined ? '-' : `${Math.round(fraction * 100)}%`);
  return [
    relay.name,
    { text: relay.state.toUpperCase(), colour: relay.state === 'up' ? 'green' : relay.state === 'down' ? 'red' : 'yellow' },
    percent(relay.share),
    weight.override === null ? String(weight.configured) : `${weight.override} (was ${weight.configured})`,
    relay.sessions === null ? '-' : `${relay.sessions}/${relay.maxSessions ?? '-'}`,
    percent(load?.loadPerCore),
    percent(load?.hottestCore),
    percent(load?.loopDelay),
    percent(load?.sessions),
    percent(load?.bytesPerSecond),
  ];
}

/** Why a relay is as it is, where that is not as usual. */
function why({ name, state, reason, override }: Relay): string[] {
  if (state === 'up' && override === null) return [];
  return [`WHY ${name}: ${printable(reason)}${override === null ? '' : `; order of ${printable(override.by)}`}`];
}

/** What the relays inspect, and with how many scanners: lines of the page, none where no relay inspects. */
export function inspectionTable(relays: readonly Pick<Relay, 'name' | 'inspection'>[]): string[] {
  if (relays.every(({ inspection }) => isUnknown(inspection))) return [];
  const head = ['RELAY', 'SCANNERS', 'CLEAN', 'INFECTED', 'UNSCANNABLE', 'UNINSPECTED', 'WHY'];
  return ['', table(head, relays.map((relay) => inspectionRow(relay)))];
}

/** A manager that was not upgraded yet does not have it at all. */
function isUnknown(inspection: Relay['inspection'] | undefined): inspection is null {
  return inspection === null || inspection === undefined;
}

function inspectionRow({ name, inspection }: Pick<Relay, 'name' | 'inspection'>): Cell[] {
  if (isUnknown(inspection)) return [name, '-', '-', '-', '-', '-', 'not inspected'];
  const { scanners, scannersUp, clean, infected, unscannable, uninspected, why: reason = '' } = inspection;
  return [
    name,
    { text: `${scannersUp}/${scanners}`, colour: scannersUp < scanners ? 'red' : 'green' },
    clean,
    infected,
    unscannable,
    uninspected,
    reason,
  ];
}
