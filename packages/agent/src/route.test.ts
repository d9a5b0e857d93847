import fc from 'fast-check';
import type { RelayAddress } from '@sekisho/wire';
import { expect, test } from 'vitest';
import type { Lease } from './lease-state.ts';
import { decideRoute, DIRECT_REASONS, type LinkState, type RouteView } from './route.ts';

const relay = (name: string): RelayAddress => ({ name, host: '192.0.2.1', port: 7026 });
const lease: Lease = {
  site: 'tokyo-1',
  manager: 'm1',
  relays: [relay('s1'), relay('s2')],
  ticket: Buffer.alloc(0),
  reason: 'test',
  expiresAtMs: 1,
  renewAtMs: 1,
};
const view = (init: Partial<RouteView>, states: Readonly<Record<string, LinkState>> = {}): RouteView => ({
  lease: undefined,
  refusal: undefined,
  absence: undefined,
  leaseIsComing: false,
  failMode: 'open',
  link: (_lease, { name }) => states[name] ?? 'ready',
  ...init,
});
const names = (init: Partial<RouteView>, states: Readonly<Record<string, LinkState>>): unknown => {
  const route = decideRoute(view(init, states));
  return route.kind === 'relayed' ? route.relays.map(({ name }) => name) : route;
};

test('without a lease: a refusal, then an absence, else wait', () => {
  expect(decideRoute(view({ refusal: 'DEVICE_REVOKED', absence: 'managers_silent' }))).toEqual({ kind: 'refuse', code: 'DEVICE_REVOKED' });
  expect(decideRoute(view({ absence: 'managers_silent' }))).toEqual({ kind: 'direct', reason: 'managers_silent' });
  expect(decideRoute(view({ absence: 'dns_empty', failMode: 'closed' }))).toEqual({ kind: 'refuse', code: 'NO_RELAY' });
  expect(decideRoute(view({}))).toEqual({ kind: 'wait' });
});

test('with a lease: its relays in order, the suspect last, the unreachable and draining not at all', () => {
  expect(names({ lease }, {})).toEqual(['s1', 's2']);
  expect(names({ lease }, { s1: 'suspect' })).toEqual(['s2', 's1']);
  expect(names({ lease }, { s1: 'unreachable' })).toEqual(['s2']);
  expect(names({ lease }, { s1: 'draining', s2: 'idle' })).toEqual(['s2']);
  expect(names({ lease }, { s1: { refused: 'FULL' }, s2: 'opening' })).toEqual(['s2']);
});

test('no relay left: wait for the lease that is coming, else direct only if none of them answered', () => {
  const down = { s1: 'unreachable', s2: 'unreachable' } as const;
  expect(names({ lease, leaseIsComing: true }, down)).toEqual({ kind: 'wait' });
  expect(names({ lease }, down)).toEqual({ kind: 'direct', reason: 'relay_unreachable' });
  expect(names({ lease }, { s1: 'unreachable', s2: { refused: 'FULL' } })).toEqual({ kind: 'refuse', code: 'FULL' });
  expect(names({ lease }, { s1: 'draining', s2: 'unreachable' })).toEqual({ kind: 'refuse', code: 'DRAINING' });
  expect(names({ lease, refusal: 'RATE_LIMITED' }, down)).toEqual({ kind: 'refuse', code: 'RATE_LIMITED' });
  expect(names({ lease, refusal: 'RATE_LIMITED' }, {})).toEqual(['s1', 's2']);
  expect(names({ lease, absence: 'managers_absent' }, { s1: 'draining', s2: 'draining' })).toEqual({ kind: 'direct', reason: 'managers_absent' });
});

const linkState = fc.constantFrom<LinkState>('ready', 'opening', 'idle', 'suspect', 'unreachable', 'draining', { refused: 'FULL' }, { refused: 'TICKET_INVALID' });

test('never direct with failMode closed, nor when a relay or a manager has refused', () => {
  fc.assert(
    fc.property(
      fc.record({
        lease: fc.constantFrom(lease, undefined),
        refusal: fc.constantFrom('DEVICE_REVOKED' as const, 'RATE_LIMITED' as const, undefined),
        absence: fc.constantFrom(...DIRECT_REASONS, undefined),
        leaseIsComing: fc.boolean(),
        failMode: fc.constantFrom('open' as const, 'closed' as const),
      }),
      linkState,
      linkState,
      (init, s1, s2) => {
        const route = decideRoute(view(init, { s1, s2 }));
        const refused = init.refusal !== undefined || (init.lease !== undefined && (typeof s1 === 'object' || typeof s2 === 'object'));
        if (route.kind === 'direct') expect({ refused, failMode: init.failMode }).toEqual({ refused: false, failMode: 'open' });
      },
    ),
  );
});
