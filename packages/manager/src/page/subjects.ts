import { CLOCK_DIFFERS_MS } from '@sekisho/channel';
import { missingScanners, STATE_WORDS, worstFirst } from './relay-advice.ts';
import type { ShownStatus } from './shown-status.ts';

/** OK: as it should be. NOTE: meant so, or a matter of time. LOST: mail goes on, but the next failure will be felt. OUT: it is felt. */
export type Level = 'ok' | 'note' | 'lost' | 'out';

/** One thing that a site has, or should have, more than one of. */
export interface Subject {
  readonly name: string;
  /** As `4 of 5 up`. */
  readonly value: string;
  readonly level: Level;
  /** Who is missing and what to do next; null when all is well. */
  readonly next: string | null;
}

const LEVELS: readonly Level[] = ['ok', 'note', 'lost', 'out'];

export function worstOf(levels: readonly Level[]): Level {
  return levels.reduce((worst, each) => (LEVELS.indexOf(each) > LEVELS.indexOf(worst) ? each : worst), 'ok');
}

export function gravestFirst(subjects: readonly Subject[]): Subject[] {
  return [...subjects].sort((a, b) => LEVELS.indexOf(b.level) - LEVELS.indexOf(a.level));
}

/** The line of redundancy: every loss of it is visible here, and servers that differ from this one. */
export function subjectsOf(status: ShownStatus): Subject[] {
  return [relays(status), managers(status), scanners(status), auths(status), store(status), agents(status), ...differences(status)];
}

function relays({ table }: ShownStatus): Subject {
  const name = 'Relays';
  const up = table.relays.filter(({ state }) => state === 'up').length;
  const others = worstFirst(table.relays).filter(({ state }) => state !== 'up');
  const value = `${up} of ${table.relays.length} up`;
  const list = others.map((relay) => `${relay.name} ${STATE_WORDS[relay.state]}`).join(', ');
  if (up === 0) {
    const then = table.panic ? 'They carry the mail all the same' : 'Agents go to other sites, or directly';
    return { name, value, level: 'out', next: `${list}. ${then}. Begin with the first row of the table.` };
  }
  const areDrained = others.every(({ state }) => state === 'draining');
  if (others.length > 0) return { name, value, level: areDrained ? 'note' : 'lost', next: `${list}. What to do stands in the table.` };
  return alone({ name, value, count: up, level: 'ok' });
}

function managers({ name: own, managers: all, stopping }: ShownStatus): Subject {
  const name = 'Managers';
  const lost = all.filter(({ lostAt }) => lostAt !== null);
  const value = `${all.length - lost.length} of ${all.length} up`;
  if (stopping) return { name, value, level: 'note', next: `${own}, which you are looking at, is being stopped; its agents go to other managers.` };
  const list = lost.map((one) => `${one.name} does not answer (${one.reason ?? 'no reason known'})`).join(', ');
  if (lost.length > 0)
    return { name, value, level: 'lost', next: `${list}. Look at its process, its machine and port manager there; agents use the others.` };
  return alone({ name, value, count: all.length, level: 'ok' });
}

function scanners({ table }: ShownStatus): Subject {
  const name = 'Scanners';
  const inspecting = table.relays.flatMap(({ inspection }) => inspection ?? []);
  const all = inspecting.reduce((sum, inspection) => sum + inspection.scanners, 0);
  if (all === 0) return { name, value: 'not inspected', level: 'ok', next: null };
  const value = `${inspecting.reduce((sum, inspection) => sum + inspection.scannersUp, 0)} of ${all} up`;
  const poor = table.relays.filter((relay) => missingScanners(relay) > 0);
  if (poor.length === 0) return { name, value, level: 'ok', next: null };
  const isOut = inspecting.some(({ scannersUp }) => scannersUp === 0);
  const next = `${poor.map((relay) => `${relay.name} misses ${missingScanners(relay)}`).join(', ')}. Look at clamd there; freshclam and memory are the usual causes.`;
  return { name, value, level: isOut ? 'out' : 'lost', next };
}

function auths({ auths: all }: ShownStatus): Subject {
  const name = 'Auths';
  const down = all.filter(({ up }) => !up);
  const value = `${all.length - down.length} of ${all.length} up`;
  const list = down.map((auth) => auth.name).join(', ');
  if (down.length === all.length)
    return { name, value, level: 'out', next: `${list}: no tickets. Agents with a lease go on until it ends; others go to other sites. Look at the auth processes.` };
  if (down.length > 0) return { name, value, level: 'lost', next: `${list} does not answer. Look at its process and port auth there.` };
  return alone({ name, value, count: all.length, level: 'ok' });
}

function store({ store: { up, reason } }: ShownStatus): Subject {
  const next = `${reason ?? 'no answer'}. Mail goes on with what is in memory; orders are refused. Look at Redis, or at the disk of the SQLite file.`;
  return { name: 'Store', value: up ? 'up' : 'down', level: up ? 'ok' : 'lost', next: up ? null : next };
}

function agents({ agents: all, direct, pushesPending }: ShownStatus): Subject {
  const name = 'Agents';
  const moving = pushesPending > 0 ? `, ${pushesPending} to move` : '';
  if (direct.agents > 0)
    return {
      name,
      value: `${all}, ${direct.agents} direct${moving}`,
      level: 'out',
      next: `${direct.agents} said they connect their clients past the relays, where nothing is scanned. On a router: sekisho trace says which step fails.`,
    };
  return { name, value: `${all}, none direct${moving}`, level: 'ok', next: null };
}

function differences({ about, table, managers: fellows, auths: all }: ShownStatus): Subject[] {
  const servers = [...table.relays, ...fellows, ...all];
  const named = (list: readonly { name: string }[]): string => [...new Set(list.map(({ name }) => name))].join(', ');
  const others = servers.filter(({ config }) => config !== null && about !== null && config !== about.config);
  const clocks = servers.filter(({ clockOffsetMs }) => clockOffsetMs !== null && Math.abs(clockOffsetMs) > CLOCK_DIFFERS_MS);
  const found: Subject[] = [];
  if (others.length > 0)
    found.push({ name: 'site.yaml', value: 'differs', level: 'lost', next: `${named(others)} runs with another one than this manager. Give all servers the same, and restart those that have not read it.` });
  if (clocks.length > 0)
    found.push({ name: 'Clocks', value: 'differ', level: 'lost', next: `${named(clocks)} has another time than this manager. Look at NTP on both: tickets fail when clocks are a minute apart.` });
  return found;
}

function alone(subject: { name: string; value: string; count: number; level: Level }): Subject {
  const { count, ...rest } = subject;
  return count > 1 ? { ...rest, next: null } : { ...rest, level: 'note', next: 'There is no second one: whatever happens to it is felt.' };
}
