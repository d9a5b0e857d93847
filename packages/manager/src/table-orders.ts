import { MAX_WEIGHT, type RelayTable } from '@sekisho/scheduler';
import { type Override, type OverridesView, StoreError } from '@sekisho/store';
import type { Logger } from '@sekisho/telemetry';
import { AdminError } from './admin-error.ts';
import type { EventLog } from './event-log.ts';

export interface TableOrdersComponents {
  readonly table: RelayTable;
  readonly overrides: OverridesView;
  readonly log: Logger;
  readonly events: EventLog;
}

/** An operator's order for one relay. */
export type TableOrder =
  | { readonly kind: 'drain' | 'undrain'; readonly relay: string; readonly by: string; readonly force: boolean }
  | {
      readonly kind: 'weight';
      readonly relay: string;
      /** Null: the weight of the table again. */
      readonly weight: number | null;
      readonly by: string;
      readonly force: boolean;
    };

const MAX_BY_CHARS = 128;

/** Carries out orders: into the store, from which every manager of the site takes them, and into this one's table. */
export class TableOrders {
  readonly #components: TableOrdersComponents;
  #last: Promise<unknown> = Promise.resolve();

  constructor(components: TableOrdersComponents) {
    this.#components = components;
  }

  /** Returns what is now in force for the relay, or null. Orders are carried out one after the other. Throws AdminError. */
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
    if (takesOut(after) && !takesOut(before) && !order.force) this.#requireAnother(order.relay);
    try {
      if (after.drain || after.weight !== null) await overrides.set(order.relay, { ...after, by: order.by });
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
    if (!this.#rows().some(({ name }) => name === order.relay))
      throw new AdminError('UNKNOWN_RELAY', `the table has ${this.#rows().map(({ name }) => name).join(', ')}, and no ${order.relay}`);
    if (order.by === '' || order.by.length > MAX_BY_CHARS || /\p{Cc}/u.test(order.by))
      throw new AdminError('BAD_REQUEST', `"by" is 1 to ${MAX_BY_CHARS} characters without control characters`);
    if (order.kind === 'weight' && order.weight !== null && !(order.weight >= 0 && order.weight <= MAX_WEIGHT))
      throw new AdminError('BAD_REQUEST', `a weight is a number from 0 to ${MAX_WEIGHT}`);
  }

  #requireAnother(relay: string): void {
    const serving = ({ state }: { state: string }): boolean => state !== 'down' && state !== 'draining';
    const rows = this.#rows();
    if (!rows.some((row) => row.name === relay && serving(row))) return;
    if (rows.some(({ name, state }) => name !== relay && state === 'up')) return;
    throw new AdminError(
      'LAST_RELAY',
      `${relay} is the last relay of this site that is up: without it agents go elsewhere or directly. Use force to do it all the same`,
    );
  }

  #rows(): readonly { name: string; state: string }[] {
    return this.#components.table.snapshot().relays;
  }
}

function takesOut(override: { drain: boolean; weight: number | null } | undefined): boolean {
  return override !== undefined && (override.drain || override.weight === 0);
}
