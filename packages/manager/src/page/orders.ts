import { AdminError } from '../admin-error.ts';
import type { TableOrder } from '../table-orders.ts';

/** Reads an order of the page: `by` is the address it came from. Throws AdminError. */
export function readOrder(kind: 'drain' | 'undrain' | 'weight', body: unknown, by: string): TableOrder {
  const { site, relay, confirm, weight } = fieldsOf(body);
  if (typeof site !== 'string' || typeof relay !== 'string') throw new AdminError('BAD_REQUEST', '"site" and "relay" are texts');
  if (confirm !== undefined && typeof confirm !== 'string') throw new AdminError('BAD_REQUEST', '"confirm" is a text: the name of the site');
  const order = { site, relay, by, confirm };
  if (kind !== 'weight') return { kind, ...order };
  if (weight !== null && typeof weight !== 'number') throw new AdminError('BAD_REQUEST', '"weight" is a number or null');
  return { kind, ...order, weight };
}

/** The fields of a JSON object. Throws AdminError. */
export function fieldsOf(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new AdminError('BAD_REQUEST', 'the request is not a JSON object');
  return body as Record<string, unknown>;
}
