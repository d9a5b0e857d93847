import type { ManagerStatus } from '@sekisho/manager';
import { expect, test } from 'vitest';
import { inspectionTable } from './status.ts';

type Relay = ManagerStatus['table']['relays'][number];

const relay = (name: string, inspection: Relay['inspection'] | undefined): Relay => ({ name, inspection }) as Relay;
const counts = { clean: 12_345, infected: 2, unscannable: 1, uninspected: 7 };

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
