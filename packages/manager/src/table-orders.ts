import { MAX_WEIGHT, type RelayTable, type TableSnapshot } from '@sekisho/scheduler';
import { type Override, type OverridesView, StoreError } from '@sekisho/store';
import { type Logger, printable } from '@sekisho/telemetry';
import { AdminError } from './admin-error.ts';
import type { EventLog } from './event-log.ts';

export interface TableOrdersComponents {
  readonly table: RelayTable;
  readonly overrides: OverridesView;
  readonly log: Logger;
  readonly events: EventLog;
}

interface AnyOrder {
  /** The site that the order is meant for: one that reached another site's manager is refused. */
  readonly site: string;
  readonly relay: string;
  readonly by: string;
  /** The site's name once more, which takes out even the last relay that is up. */
  readonly confirm?: string | undefined;
  /** Nothing is changed; what would be is answered, or why not. */
  readonly dryRun?: boolean | undefined;
}

/** An operator's order for one relay. */
export type TableOrder = AnyOrder &
  (
    | { readonly kind: 'drain' | 'undrain' }
    | {
        readonly kind: 'weight';
        /** Null: the weight of the table again. */
        readonly weight: number | null;
      }
  );

const MAX_BY_CHARS = 128;

/** Carries out orders: into the store, from which every manager of the site takes them, and into this one's table. */
export class TableOrders {
  readonly #components: TableOrdersComponents;
  readonly #site: string;
  #last: Promise<unknown> = Promise.resolve();

  constructor(components: TableOrdersComponents, init: { readonly site: string }) {
    this.#components = components;
    this.#site = init.site;
  }

  /** Returns what is now in force for the relay (with `dryRun`: would be), or null. Orders are carried out one after the other. Throws AdminError. */
  async carryOut(order: TableOrder): Promise<Override | null> {
    const result = this.#last.then(() => this.#carryOut(order));
    this.#last = result.catch(() => {});
    return result;
  }

  async #carryOut(order: TableOrder): Promise<Override | null> {
    const { overrides, log, events } = this.#components;
    this.#check(order);
    const before = overrides.current().get(order.relay);
    const after = { drain: before?.drain ?? false, weight: before?.weight ?? null };
    if (order.kind === 'weight') after.weight = order.weight;
    else after.drain = order.kind === 'drain';
    if (takesOut(after) && !takesOut(before) && order.confirm === undefined) this.#requireAnother(order.relay);
    if (order.dryRun === true) return takesEffect(after) ? { ...after, at: Date.now(), by: order.by } : null;
    try {
      if (takesEffect(after)) await overrides.set(order.relay, { ...after, by: order.by });
      else if (before !== undefined) await overrides.clear(order.relay, order.by);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      throw new AdminError('STORE_DOWN', `nothing was changed, because the store of the site does not take it: ${error.message}`);
    }
    const text = `${order.relay}: ${order.kind}${order.kind === 'weight' ? ` ${order.weight ?? 'as in the table'}` : ''} by ${order.by}`;
    log.info({ event: 'table_order', ...order }, text);
    events.add('table_order', text);
    return overrides.current().get(order.relay) ?? null;
  }

  #check(order: TableOrder): void {
    this.#checkSite(order);
    if (!this.#rows().some(({ name }) => name === order.relay))
      throw new AdminError('UNKNOWN_RELAY', `the table has ${this.#rows().map(({ name }) => name).join(', ')}, and no ${printable(order.relay)}`);
    if (order.by === '' || order.by.length > MAX_BY_CHARS || /\p{Cc}/u.test(order.by))
      throw new AdminError('BAD_REQUEST', `"by" is 1 to ${MAX_BY_CHARS} characters without control characters`);
    if (order.kind === 'weight' && order.weight !== null && !(order.weight >= 0 && order.weight <= MAX_WEIGHT))
      throw new AdminError('BAD_REQUEST', `a weight is a number from 0 to ${MAX_WEIGHT}`);
  }

  /** Sites are identical, down to the names of their relays: what is typed at the wrong one would be carried out there. */
  #checkSite({ site, confirm }: TableOrder): void {
    if (site !== this.#site)
      throw new AdminError('WRONG_SITE', `the order is for site ${printable(site)}, and this is a manager of ${this.#site}; nothing was changed`);
    if (confirm !== undefined && confirm !== this.#site)
      throw new AdminError('WRONG_SITE', `"${printable(confirm)}" does not confirm it: the name of this site is ${this.#site}; nothing was changed`);
  }

  #requireAnother(relay: string): void {
    const rows = this.#rows();
    const own = rows.find(({ name }) => name === relay);
    if (own === undefined || own.state === 'down' || own.state === 'draining') return;
    if (rows.some(({ name, state }) => name !== relay && state === 'up')) return;
    throw new AdminError(
      'LAST_RELAY',
      `${relay} is the last relay of site ${this.#site} that is up: without it agents go to other sites, or directly. If that is meant, confirm it with the name of the site: --confirm=${this.#site}`,
    );
  }

  #rows(): TableSnapshot['relays'] {
    return this.#components.table.snapshot().relays;
  }
}

function takesEffect(override: { drain: boolean; weight: number | null }): boolean {
  return override.drain || override.weight !== null;
}

function takesOut(override: { drain: boolean; weight: number | null } | undefined): boolean {
  return override !== undefined && (override.drain || override.weight === 0);
}
