import { createLogger } from '@sekisho/telemetry';
import type { RelayInspection } from '@sekisho/wire';
import { beforeEach, expect, test } from 'vitest';
import { EventLog } from './event-log.ts';
import { InspectionWatch } from './inspection-watch.ts';

let events: EventLog;
let lines: Record<string, unknown>[];
let watch: InspectionWatch;
beforeEach(() => {
  events = new EventLog();
  lines = [];
  const log = createLogger({ role: 'manager', destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) } });
  watch = new InspectionWatch({ log, events });
});

const inspection = (scannersUp: number, why?: string): RelayInspection => ({
  clean: 1,
  infected: 2,
  unscannable: 3,
  uninspected: 4,
  scanners: 2,
  scannersUp,
  ...(why === undefined ? {} : { why }),
});
const told = (): string[] => events.list().map(({ event, text }) => `${event} ${text}`);

test('what a relay has last said is kept, until it says nothing of inspection', () => {
  expect(watch.of('s1')).toBeNull();
  watch.report('s1', inspection(2));
  watch.report('s1', { ...inspection(1, 'a\u202eb'), clean: 9 });
  expect(watch.of('s1')).toMatchObject({ clean: 9, scannersUp: 1, why: 'a\\u202eb' });
  expect([watch.down('s1'), watch.down('s2')]).toEqual([1, 0]);
  watch.report('s1', undefined);
  expect(watch.of('s1')).toBeNull();
  expect(watch.down('s1')).toBe(0);
});

test('a scanner lost, the last one lost, and all back: told once each, of each relay', () => {
  for (let n = 0; n < 3; n += 1) {
    watch.report('s1', inspection(2));
    watch.report('s2', inspection(2));
  }
  expect(told()).toEqual([]);
  for (const up of [1, 1, 0, 0, 1]) watch.report('s1', inspection(up, 'tcp:192.0.2.9:3310: refused'));
  // It is restarted, and has them again.
  watch.report('s1', undefined);
  watch.report('s1', inspection(2));
  watch.report('s1', inspection(2));
  watch.report('s2', inspection(1, 'late'));
  expect(told()).toEqual([
    's1: 1 of 2 scanners; tcp:192.0.2.9:3310: refused',
    's1: 0 of 2 scanners; tcp:192.0.2.9:3310: refused',
    's1: 1 of 2 scanners; tcp:192.0.2.9:3310: refused',
    's1: 2 of 2 scanners',
    's2: 1 of 2 scanners; late',
  ].map((text) => `${text.includes('2 of 2') ? 'scanners_up' : 'scanners_down'} ${text}`));
  expect(lines.map(({ level, event, relay }) => [level, event, relay])).toEqual([
    ['warn', 'scanners_down', 's1'],
    ['error', 'scanners_down', 's1'],
    ['warn', 'scanners_down', 's1'],
    ['info', 'scanners_up', 's1'],
    ['warn', 'scanners_down', 's2'],
  ]);
});

test('a relay that never had all of its scanners is told of at once', () => {
  watch.report('s1', inspection(0, 'x'));
  expect(told()).toEqual(['scanners_down s1: 0 of 2 scanners; x']);
});
