import type { RelayState } from '@sekisho/scheduler';
import { expect, test } from 'vitest';
import { siteRedundancy, type SiteView } from './site-redundancy.ts';

const inspection = (scannersUp: number) => ({ clean: 0, infected: 0, unscannable: 0, uninspected: 0, scanners: 2, scannersUp });
const STATES: readonly RelayState[] = ['up', 'overloaded', 'full', 'draining', 'down', 'stale'];
const view: SiteView = {
  relays: STATES.map((state) => ({ name: state, state })),
  inspectionOf: (relay) => (relay === 'full' ? inspection(1) : relay === 'up' ? inspection(2) : null),
  auths: [
    { name: 's1', up: true },
    { name: 's2', up: false },
  ],
  fellows: [
    { name: 's2', lostAt: 5 },
    { name: 's3', lostAt: null },
  ],
  storeUp: false,
};

test('a relay that is loaded or drained is there, and this manager counts among the managers', () => {
  expect(siteRedundancy(view)).toEqual([
    { what: 'relays', want: 6, have: 4, lost: ['down', 'stale'] },
    { what: 'managers', want: 3, have: 2, lost: ['s2'] },
    { what: 'auths', want: 2, have: 1, lost: ['s2'] },
    { what: 'scanners', want: 4, have: 3, lost: ['full'] },
    { what: 'store', want: 1, have: 0, lost: ['store'] },
  ]);
});

test('a site that inspects nothing misses no scanner', () => {
  expect(siteRedundancy({ ...view, inspectionOf: () => null, storeUp: true }).slice(3)).toEqual([
    { what: 'scanners', want: 0, have: 0, lost: [] },
    { what: 'store', want: 1, have: 1, lost: [] },
  ]);
});
