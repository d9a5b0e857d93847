import type { RelaySnapshot, RelayState } from '@sekisho/scheduler';
import type { RelayInspection } from '@sekisho/wire';
import type { RedundancyNow } from './redundancy-watch.ts';

/** What a manager knows of its site. */
export interface SiteView {
  readonly relays: readonly Pick<RelaySnapshot, 'name' | 'state'>[];
  /** Null: the relay inspects nothing, or has not said. */
  readonly inspectionOf: (relay: string) => RelayInspection | null;
  readonly auths: readonly { readonly name: string; readonly up: boolean }[];
  /** The other managers; `lostAt` is null while one answers, and while it may still be starting. */
  readonly fellows: readonly { readonly name: string; readonly lostAt: number | null }[];
  readonly storeUp: boolean;
}

/** A relay that is loaded, full or drained is there; one that does not answer or cannot work is lost. */
const LOST_STATES: readonly RelayState[] = ['down', 'stale'];

/** Of each kind: how many site.yaml wants, how many there are, and which are missing. This manager is one of the managers. */
export function siteRedundancy({ relays, inspectionOf, auths, fellows, storeUp }: SiteView): RedundancyNow[] {
  const inspections = relays.flatMap(({ name }) => {
    const inspection = inspectionOf(name);
    return inspection === null ? [] : [{ name, ...inspection }];
  });
  const scanners = {
    want: inspections.reduce((sum, { scanners: wanted }) => sum + wanted, 0),
    have: inspections.reduce((sum, { scannersUp }) => sum + scannersUp, 0),
    lost: inspections.filter(({ scanners: wanted, scannersUp }) => scannersUp < wanted).map(({ name }) => name),
  };
  return [
    counted('relays', relays.length, relays.filter(({ state }) => LOST_STATES.includes(state))),
    counted('managers', fellows.length + 1, fellows.filter(({ lostAt }) => lostAt !== null)),
    counted('auths', auths.length, auths.filter(({ up }) => !up)),
    { what: 'scanners', ...scanners },
    counted('store', 1, storeUp ? [] : [{ name: 'store' }]),
  ];
}

function counted(what: RedundancyNow['what'], want: number, lost: readonly { readonly name: string }[]): RedundancyNow {
  return { what, want, have: want - lost.length, lost: lost.map(({ name }) => name) };
}
