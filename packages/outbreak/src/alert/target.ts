import { createHash } from 'node:crypto';
import type { Outbreak } from '../core/outbreak.ts';
import type { OutbreakSettings } from '../settings.ts';
import type { Reader } from './mail-text.ts';
import type { AlarmPage } from '../alarm-book.ts';

export const WAYS = ['mail', 'webhook'] as const;
export type Way = (typeof WAYS)[number];

/** Messages that one recipient gets within an hour; what comes then waits, and goes together. */
export const MAX_PER_HOUR: Readonly<Record<Way, number>> = { mail: 10, webhook: 60 };

/** Somebody who is told. */
export interface Target {
  /** Of the recipient in the store. */
  readonly name: string;
  readonly way: Way;
  /** Where: a mail address, or the URL. */
  readonly address: string;
  readonly reader: Reader;
  readonly outbreaks: ReadonlyMap<string, Outbreak>;
}

type Who = Pick<OutbreakSettings, 'to' | 'toCustomer' | 'webhook'>;

/** Who is told of which outbreaks. Each customer sees only his own, and by the registry alone. */
export function targetsOf({ to, toCustomer, webhook }: Who, outbreaks: ReadonlyMap<string, Outbreak>): Target[] {
  const administrators = new Set(to.map((address) => address.toLowerCase()));
  const customers = new Map<string, Map<string, Outbreak>>();
  for (const [name, outbreak] of toCustomer ? outbreaks : []) {
    const { customer } = outbreak;
    if (customer === null || administrators.has(customer)) continue;
    const own = customers.get(customer) ?? new Map<string, Outbreak>();
    customers.set(customer, own.set(name, outbreak));
  }
  return [
    ...[...administrators].map((address): Target => ({ name: mailName(address), way: 'mail', address, reader: 'administrator', outbreaks })),
    ...(webhook === undefined ? [] : [{ name: 'webhook', way: 'webhook', address: webhook.url, reader: 'administrator', outbreaks } as const]),
    ...[...customers].map(([address, own]): Target => ({ name: mailName(address), way: 'mail', address, reader: 'customer', outbreaks: own })),
  ];
}

/** Whether all who are to be told of an outbreak have heard the latest of it. */
export function isTold(targets: readonly Target[], page: AlarmPage, name: string): boolean {
  return targets.every(({ name: recipient, outbreaks }) => {
    const outbreak = outbreaks.get(name);
    if (outbreak === undefined) return true;
    const told = page.recipients.get(recipient)?.told.get(name);
    return told?.id === outbreak.id && told.number >= outbreak.event.number;
  });
}

const HASH_CHARS = 16;

function mailName(address: string): string {
  return `mail-${createHash('sha256').update(address).digest('hex').slice(0, HASH_CHARS)}`;
}
