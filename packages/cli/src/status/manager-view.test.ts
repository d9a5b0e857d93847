import type { ManagerStatus } from '@sekisho/manager';
import { expect, test } from 'vitest';
import { ago } from './ago.ts';
import { inspectionTable, managerView, redundancyLine, signed } from './manager-view.ts';

type Relay = ManagerStatus['table']['relays'][number];

const relay = (name: string, inspection: Relay['inspection'] | undefined): Relay => ({ name, inspection }) as Relay;
const counts = { clean: 12_345, infected: 2, unscannable: 1, uninspected: 7 };
const NOW = 2_000_000_000_000;

test('a site that inspects nothing, or whose managers do not say, has no such table', () => {
  expect(inspectionTable([relay('s1', null), relay('s2', undefined)])).toEqual([]);
});

test('verdicts and scanners of each relay, and why one of them is down', () => {
  const [, text = ''] = inspectionTable([
    relay('s1', { ...counts, scanners: 2, scannersUp: 2, why: '' }),
    relay('s2', { ...counts, scanners: 2, scannersUp: 1, why: 'tcp:192.0.2.9:3310: refused' }),
    relay('s3', null),
  ]);
  expect(text.split('\n')).toEqual([
    'RELAY  SCANNERS  CLEAN  INFECTED  UNSCANNABLE  UNINSPECTED  WHY',
    's1     2/2       12345         2            1            7',
    's2     1/2       12345         2            1            7  tcp:192.0.2.9:3310: refused',
    's3     -         -      -         -            -            not inspected',
  ]);
});

const whole = (what: ManagerStatus['redundancy'][number]['what'], want: number): ManagerStatus['redundancy'][number] => ({ what, want, have: want, lost: [], since: null });
const up = { up: true, reason: null, confirmedAt: NOW };

test('redundancy in one line while nothing is missing; scanners only where there are any', () => {
  const redundancy = [whole('relays', 5), whole('managers', 2), whole('auths', 2), whole('scanners', 0), whole('store', 1)];
  expect(redundancyLine({ redundancy, store: up }, NOW)).toBe('redundancy: relays 5/5, managers 2/2, auths 2/2, store up');
});

test('what is missing, since when, and why the store is', () => {
  const redundancy = [
    { what: 'relays', want: 5, have: 4, lost: ['s3'], since: NOW - 14_000 },
    { what: 'managers', want: 2, have: 1, lost: ['m2'], since: NOW - 300_000 },
    whole('auths', 2),
    whole('scanners', 10),
    { what: 'store', want: 1, have: 0, lost: ['store'], since: NOW - 90_000 },
  ] as const;
  const line = redundancyLine({ redundancy, store: { up: false, reason: 'refused\n', confirmedAt: NOW } }, NOW);
  expect(line.split('\n')).toEqual([
    'redundancy: relays 4/5 (s3 lost 14 s ago), managers 1/2 (m2 lost 5 min ago),',
    '            auths 2/2, scanners 10/10,',
    '            store DOWN since 90 s (refused\\u000a; going on with memory)',
  ]);
  for (const one of line.split('\n')) expect(one.length).toBeLessThanOrEqual(80);
});

const facts = { software: null, config: 'a', clockOffsetMs: 20 };
const status = {
  site: 'tokyo-1',
  name: 's1',
  address: '192.0.2.11',
  port: 7025,
  stopping: false,
  about: { version: '1', config: 'a', stack: 'b' },
  agents: 3,
  direct: { agents: 1, hellos: 2 },
  table: {
    policy: 'least-load',
    panic: false,
    relays: [
      {
        ...facts,
        config: 'other',
        name: 's1',
        state: 'overloaded',
        reason: 'load 120 %',
        share: 0.5,
        weight: { configured: 1, override: 2, effective: 2 },
        sessions: 12,
        maxSessions: 4000,
        load: { loadPerCore: 0.1, hottestCore: 1.2, loopDelay: 0, sessions: 0.003, bytesPerSecond: 0 },
        override: { drain: false, weight: 2, at: 0, by: 'ada@s1' },
        inspection: null,
      },
    ],
  },
  auths: [{ ...facts, name: 's2', up: true, clockOffsetMs: -61_000 }],
  managers: [
    { name: 's1', self: true, ...facts },
    { name: 's2', self: false, ...facts, config: 'other', clockOffsetMs: 7000 },
  ],
  redundancy: [whole('relays', 1), whole('store', 1)],
  store: up,
  events: [{ at: 0, event: 'relay_marked', text: 'a\u001bb' }],
} as unknown as ManagerStatus;

test('a page of 80 columns: what differs stands out, and what is not as usual says why', () => {
  expect(managerView(status, NOW).split('\n')).toEqual([
    'site tokyo-1, manager s1 at 192.0.2.11:7025',
    'agents 3, of them direct 1; policy least-load',
    'redundancy: relays 1/1, store up',
    'another site.yaml: relay s1, manager s2',
    'other clocks: auth s2 -61.0 s, manager s2 +7.0 s',
    '',
    'RELAY  STATE       SHARE  WEIGHT     SESSIONS  CPU  HOT CORE  LOOP  FULL  LINE',
    's1     OVERLOADED  50%    2 (was 1)  12/4000   10%  120%      0%    0%    0%',
    'WHY s1: load 120 %; order of ada@s1',
    '',
    '1970-01-01T00:00:00  relay_marked      a\\u001bb',
  ]);
});

test('how long ago, and signs of clocks', () => {
  const times = [0, 119_000, 120_000, 7_199_000, 7_200_000, 172_799_000, 172_800_000, -5000];
  expect(times.map((ms) => ago(NOW - ms, NOW))).toEqual(['0 s ago', '119 s ago', '2 min ago', '120 min ago', '2 h ago', '48 h ago', '2 days ago', '0 s ago']);
  expect([0, -20, 70, -1500].map((ms) => signed(ms))).toEqual(['0.0 s', '0.0 s', '+0.1 s', '-1.5 s']);
});
