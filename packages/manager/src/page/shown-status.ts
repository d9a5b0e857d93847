import type { RelaySnapshot } from '@sekisho/scheduler';
import type { Override } from '@sekisho/store';
import type { RelayInspection } from '@sekisho/wire';
import type { ServerFacts } from '../drift-watch.ts';
import type { ManagerEvent } from '../event-log.ts';

/** What of a relay can be exhausted. */
export type LoadComponent = keyof NonNullable<RelaySnapshot['load']>;

/** A relay as the page shows it. */
export interface ShownRelay extends RelaySnapshot, ServerFacts {
  readonly host: string;
  readonly port: number;
  readonly override: Override | null;
  /** Null: the relay has said nothing of inspection. */
  readonly inspection: RelayInspection | null;
}

interface ShownServer extends ServerFacts {
  readonly name: string;
  readonly lostAt: number | null;
  readonly reason: string | null;
}

/** What the page needs of a manager's status. */
export interface ShownStatus {
  readonly site: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly stopping: boolean;
  /** The digest of this manager's own site.yaml; null: not known. */
  readonly about: { readonly config: string } | null;
  readonly agents: number;
  readonly direct: { readonly agents: number };
  readonly pushesPending: number;
  readonly table: { readonly policy: string; readonly panic: boolean; readonly relays: readonly ShownRelay[] };
  /** All managers of the site, this one included. */
  readonly managers: readonly ShownServer[];
  readonly auths: readonly (Omit<ShownServer, 'lostAt' | 'reason'> & { readonly up: boolean })[];
  readonly store: { readonly up: boolean; readonly reason: string | null };
  readonly events: readonly ManagerEvent[];
}
