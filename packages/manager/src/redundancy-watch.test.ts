import { createLogger } from '@sekisho/telemetry';
import { beforeEach, expect, test } from 'vitest';
import { EventLog } from './event-log.ts';
import { type RedundancyNow, RedundancyWatch } from './redundancy-watch.ts';

let nowMs: number;
let now: RedundancyNow[];
let events: EventLog;
let lines: Record<string, unknown>[];
let watch: RedundancyWatch;
beforeEach(() => {
  nowMs = 1_000_000;
  events = new EventLog();
  lines = [];
  const log = createLogger({ role: 'manager', destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) } });
  watch = new RedundancyWatch({ log, events, clock: { now: () => nowMs }, read: () => now });
});

const relays = (...lost: string[]): RedundancyNow => ({ what: 'relays', want: 3, have: 3 - lost.length, lost });
const store = (up: boolean): RedundancyNow => ({ what: 'store', want: 1, have: up ? 1 : 0, lost: up ? [] : ['store'] });
const look = (...things: RedundancyNow[]) => {
  now = things;
  nowMs += 1000;
  return watch.look();
};
const told = (): string[] => events.list().map(({ event, text }) => `${event} ${text}`);

test('nothing is said while everything is there', () => {
  for (let n = 0; n < 3; n += 1) expect(look(relays(), store(true)).map(({ since }) => since)).toEqual([null, null]);
  expect(told()).toEqual([]);
  expect(lines).toEqual([]);
});

test('each change is told once, with what to do; the loss is as old as its first part', () => {
  look(relays(), store(true));
  expect(look(relays('s2'), store(true))).toEqual([
    { what: 'relays', want: 3, have: 2, lost: ['s2'], since: 1_002_000 },
    { what: 'store', want: 1, have: 1, lost: [], since: null },
  ]);
  look(relays('s2'), store(true));
  expect(look(relays('s2', 's3'), store(false)).map(({ since }) => since)).toEqual([1_002_000, 1_004_000]);
  look(relays('s3'), store(false));
  look(relays(), store(true));
  expect(look(relays('s1'), store(true))[0]?.since).toBe(1_007_000);
  expect(told()).toEqual([
    'redundancy_lost relays 2 of 3, without s2',
    'redundancy_lost relays 1 of 3, without s2, s3',
    'redundancy_lost store 0 of 1, without store',
    'redundancy_lost relays 2 of 3, without s3',
    'redundancy_back relays 3 of 3',
    'redundancy_back store 1 of 1',
    'redundancy_lost relays 2 of 3, without s1',
  ]);
  expect(lines.map(({ level, of }) => `${String(level)} ${String(of)}`)).toEqual([
    'warn relays',
    'warn relays',
    'error store',
    'warn relays',
    'info relays',
    'info store',
    'warn relays',
  ]);
  expect(lines[2]?.['msg']).toMatch(/look at Redis/u);
});
