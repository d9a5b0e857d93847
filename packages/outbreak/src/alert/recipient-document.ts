import { DocumentError, DocumentReader, wholeNumber } from '../core/document.ts';
import type { Item, Recipient, Told } from './recipient.ts';

/** Bodies of the alarms that are recipients. Short: one names every outbreak that there is. */
export function encodeRecipient({ told, sentAt, claim, failure }: Recipient): string {
  const rows = [...told].map(([name, { id, number, count }]) => [name, [id, number, count]] as const);
  const held = claim === null ? null : { ...claim, items: claim.items.map(({ name, id, number }) => [name, id, number]) };
  return JSON.stringify({ told: Object.fromEntries(rows), sentAt, claim: held, failure });
}

/** Throws DocumentError. */
export function decodeRecipient(body: string): Recipient {
  const document = DocumentReader.parse(body);
  const claim = document.recordOrNull('claim');
  const failure = document.recordOrNull('failure');
  return {
    told: new Map(document.record('told').entries((value) => toldOf(value))),
    sentAt: document.list('sentAt', (value) => wholeNumber(value, 'sentAt')),
    claim: claim === null ? null : { by: claim.text('by'), until: claim.whole('until'), items: claim.list('items', item) },
    failure: failure === null ? null : { at: failure.whole('at'), since: failure.whole('since'), reason: failure.text('reason') },
  };
}

function toldOf(value: unknown): Told {
  const [id, number, count] = row(value);
  return { id: String(id), number: wholeNumber(number, 'told'), count: wholeNumber(count, 'told') };
}

function item(value: unknown): Item {
  const [name, id, number] = row(value);
  return { name: String(name), id: String(id), number: wholeNumber(number, 'claim') };
}

function row(value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== 3) throw new DocumentError('a row has three fields');
  return value;
}
