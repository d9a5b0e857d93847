import type { RelayAddress } from '@sekisho/wire';
import { expect, test } from 'vitest';
import type { Lease } from './lease-state.ts';
import { RaceEntrants } from './race-entrants.ts';

const s1: RelayAddress = { name: 's1', host: '192.0.2.1', port: 7026 };
const s2: RelayAddress = { name: 's2', host: '192.0.2.2', port: 7026 };

function leaseOf(site: string, ...relays: RelayAddress[]): { lease: Lease; relays: RelayAddress[] } {
  return { lease: { site, manager: 'm1', relays, ticket: Buffer.alloc(0), reason: '', expiresAtMs: 1, renewAtMs: 1 }, relays };
}

test('only those of a newer lease join that are not in the race; another site has others of the same names', () => {
  const entrants = new RaceEntrants();
  const first = leaseOf('tokyo-1', s1);
  entrants.begin(first);
  expect(entrants.at(0)).toEqual({ lease: first.lease, relay: s1 });
  const renewed = leaseOf('tokyo-1', s1, s2);
  expect(entrants.join(renewed)).toBe(1);
  expect(entrants.lease).toBe(renewed.lease);
  expect(entrants.at(1)).toEqual({ lease: renewed.lease, relay: s2 });
  expect(entrants.join(leaseOf('tokyo-1', s2))).toBe(0);
  const other = leaseOf('osaka-1', s1);
  expect(entrants.join(other)).toBe(1);
  expect(entrants.at(2)).toEqual({ lease: other.lease, relay: s1 });
  expect(entrants.join(leaseOf('osaka-1', { ...s1, port: 7027 }))).toBe(1);
  entrants.begin(other);
  expect(entrants.at(1)).toBeUndefined();
});

test('a session races six times at most, and those who join count', () => {
  const entrants = new RaceEntrants();
  entrants.begin(leaseOf('a', s1));
  entrants.begin(leaseOf('a', s1));
  for (const site of ['b', 'c', 'd', 'e']) {
    expect(entrants.mayRaceAgain).toBe(true);
    expect(entrants.join(leaseOf(site, s1))).toBe(1);
  }
  expect(entrants.mayRaceAgain).toBe(false);
  expect(entrants.join(leaseOf('f', s1))).toBe(0);
  expect(entrants.lease?.site).toBe('f');
});
