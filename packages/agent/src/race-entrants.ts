import type { RelayAddress } from '@sekisho/wire';
import type { Lease } from './lease-state.ts';
import type { Route } from './route.ts';

/** A relay, and the lease that names it: other sites have relays of the same names. */
interface RelayOfLease {
  readonly lease: Lease;
  readonly relay: RelayAddress;
}

type Relayed = Pick<Extract<Route, { kind: 'relayed' }>, 'lease' | 'relays'>;

/**
 * A relay that is started again breaks a session that was about to begin once, and its successor perhaps once more; then the
 * same at another site. Relays of a new lease that join a race count as another one.
 */
const MAX_RACES = 6;

/** Who takes part in the races of one session, by the numbers that RelayRace has for them. Pure. */
export class RaceEntrants {
  #lease: Lease | undefined;
  #relays: readonly RelayOfLease[] = [];
  #races = 0;

  /** The newest that the race knows. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  /** Whether the session may be begun anew, or others join. */
  get mayRaceAgain(): boolean {
    return this.#races < MAX_RACES;
  }

  at(index: number): RelayOfLease | undefined {
    return this.#relays[index];
  }

  /** Another race, with the relays of this lease and no others. */
  begin(route: Relayed): void {
    this.#lease = route.lease;
    this.#relays = entrantsOf(route);
    this.#races += 1;
  }

  /** There is a newer lease: says how many of its relays join the race, which are those that are not in it. */
  join(route: Relayed): number {
    this.#lease = route.lease;
    const added = this.mayRaceAgain ? entrantsOf(route).filter((entrant) => !this.#has(entrant)) : [];
    if (added.length === 0) return 0;
    this.#races += 1;
    this.#relays = [...this.#relays, ...added];
    return added.length;
  }

  #has({ lease: { site }, relay: { name, host, port } }: RelayOfLease): boolean {
    return this.#relays.some(({ lease, relay }) => lease.site === site && relay.name === name && relay.host === host && relay.port === port);
  }
}

function entrantsOf({ lease, relays }: Relayed): RelayOfLease[] {
  return relays.map((relay) => ({ lease, relay }));
}
