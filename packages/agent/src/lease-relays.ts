import type { RelayAddress } from '@sekisho/wire';
import type { Lease } from './lease-state.ts';

/** A relay, and the lease that names it: other sites have relays of the same names. */
export interface RelayOfLease {
  readonly lease: Lease;
  readonly relay: RelayAddress;
}

/** The relays of a newer lease that are not among those that are known already. */
export function newRelays(known: readonly RelayOfLease[], { lease, relays }: { readonly lease: Lease; readonly relays: readonly RelayAddress[] }): RelayOfLease[] {
  const isKnown = ({ name, host, port }: RelayAddress): boolean =>
    known.some(({ lease: { site }, relay }) => site === lease.site && relay.name === name && relay.host === host && relay.port === port);
  return relays.filter((relay) => !isKnown(relay)).map((relay) => ({ lease, relay }));
}
