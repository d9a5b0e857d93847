import type { RelayState } from '@sekisho/scheduler';
import type { LoadComponent, ShownRelay } from './shown-status.ts';

/** The word for each state, as `sekisho status` and the metrics have it; the page adds a colour and a sign. */
export const STATE_WORDS: Readonly<Record<RelayState, string>> = {
  up: 'UP',
  overloaded: 'OVERLOADED',
  full: 'FULL',
  draining: 'DRAIN',
  down: 'DOWN',
  stale: 'STALE',
};

/** The worst first: what is gone, what is about to go, what only takes nothing new. */
const SEVERITY: readonly RelayState[] = ['down', 'stale', 'overloaded', 'full', 'draining', 'up'];

/** Short names of what can be exhausted, as the columns of `sekisho status`. */
export const LOAD_WORDS: Readonly<Record<LoadComponent, string>> = {
  loadPerCore: 'cpu',
  hottestCore: 'hot core',
  loopDelay: 'loop',
  bytesPerSecond: 'line',
  sessions: 'full',
};

const OVERLOAD_ADVICE: Readonly<Record<LoadComponent, string>> = {
  loadPerCore: 'Its CPU is busy. With few sessions that is other work on the machine: find it with top. Else add a server.',
  hottestCore: 'One core is busy all the time. With few sessions that is other work on the machine: find it with top -1. Else add a server.',
  loopDelay: 'Its processes get no CPU in time, or swap: look at top and free on the machine.',
  bytesPerSecond: 'Its line is full though the CPU may be idle: one big transfer, or a line that became slow. Ask the provider, or give it less weight.',
  sessions: 'It is near its cap of sessions.',
};

/** Puts the worst first; those of one kind by name. */
export function worstFirst(relays: readonly ShownRelay[]): ShownRelay[] {
  const rank = (relay: ShownRelay): number => 2 * SEVERITY.indexOf(relay.state) - Number(missingScanners(relay) > 0);
  return [...relays].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, 'en', { numeric: true }));
}

export function missingScanners({ inspection }: ShownRelay): number {
  return inspection === null ? 0 : inspection.scanners - inspection.scannersUp;
}

/** The component of the load that is the largest. */
export function heaviest({ load }: ShownRelay): LoadComponent | null {
  if (load === null) return null;
  const components = Object.keys(load) as LoadComponent[];
  return components.reduce((best, each) => (load[each] > load[best] ? each : best), components[0] ?? 'loadPerCore');
}

/** What to do next about this relay; null when there is nothing to do. */
export function adviceOn(relay: ShownRelay): string | null {
  const scanners = scannerAdvice(relay);
  const state = stateAdvice(relay);
  return scanners === null || relay.state === 'down' ? state : [state, scanners].filter((text) => text !== null).join(' ');
}

function stateAdvice(relay: ShownRelay): string | null {
  const { name, host, state, reason, override } = relay;
  if (state === 'up') return null;
  if (state === 'overloaded') return OVERLOAD_ADVICE[pressureBy(relay)];
  if (state === 'full')
    return 'Look at its sessions by state in /metrics: many connecting means a slow mail server, not too many clients. Else raise relay.maxSessions, or add a server.';
  if (state === 'stale')
    return `Its answers are late: the network to ${host}, or a machine without air. DOWN follows in seconds if nothing comes.`;
  if (state === 'draining')
    return override === null
      ? 'It was told to stop and lets conversations finish. If nobody did that, look at its log.'
      : `Stop it when its sessions are at 0. To use it again: undrain here, or sekisho table ${override.drain ? 'undrain' : 'weight'} ${name}.`;
  return reason.startsWith('unable')
    ? `It runs and says what it lacks: mend that on ${host}; it comes back by itself.`
    : `On ${host}: does the machine answer, does the relay run, what is the end of its log? Its agents are at other relays; it comes back by itself.`;
}

function pressureBy(relay: ShownRelay): LoadComponent {
  const { load } = relay;
  if (load === null) return 'loadPerCore';
  return heaviest({ ...relay, load: { ...load, sessions: -1 } }) ?? 'loadPerCore';
}

function scannerAdvice(relay: ShownRelay): string | null {
  const { inspection, host } = relay;
  const missing = missingScanners(relay);
  if (inspection === null || missing === 0) return null;
  const why = inspection.why === undefined || inspection.why === '' ? '' : ` (${inspection.why})`;
  return inspection.scannersUp === 0
    ? `No scanner answers${why}: onUnscannable decides about mail. On ${host}: does clamd run, does its socket answer, is there memory?`
    : `${missing} of ${inspection.scanners} scanners is missing${why}; mail goes on through the other. On ${host}: does that clamd run?`;
}
