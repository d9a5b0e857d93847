import type { Outbreak } from '../core/outbreak.ts';

/** What a recipient has been told last of an outbreak. */
export interface Told {
  readonly id: string;
  /** The number of the event. */
  readonly number: number;
  /** Detections until then. */
  readonly count: number;
}

/** One outbreak of a message: which, and up to which of its events. */
export interface Item {
  readonly name: string;
  readonly id: string;
  readonly number: number;
}

/** A message that a server has taken upon itself to send. One that dies meanwhile leaves it to the others after `until`. */
interface Claim {
  readonly by: string;
  readonly until: number;
  readonly items: readonly Item[];
}

/** What the servers of a site share about somebody who is told. Times are milliseconds since 1970. */
export interface Recipient {
  readonly told: ReadonlyMap<string, Told>;
  /** When messages went out within the last hour. */
  readonly sentAt: readonly number[];
  readonly claim: Claim | null;
  /** Why the last attempt failed; null when it did not. */
  readonly failure: { readonly at: number; readonly since: number; readonly reason: string } | null;
}

export const NEW_RECIPIENT: Recipient = { told: new Map(), sentAt: [], claim: null, failure: null };

/** How long a server has for one message; longer than it ever tries. */
export const CLAIM_MS = 120_000;
/** Outbreaks of one message; the others are told in the next. */
export const MAX_ITEMS = 50;
export const RATE_WINDOW_MS = 3_600_000;

/** What there is to tell: outbreaks with an event that the recipient has not heard of. */
export function dueItems({ told }: Recipient, outbreaks: ReadonlyMap<string, Outbreak>): Item[] {
  const due: Item[] = [];
  for (const [name, { id, event }] of outbreaks) {
    const last = told.get(name);
    if (last?.id !== id || last.number < event.number) due.push({ name, id, number: event.number });
  }
  return due;
}

export interface ClaimInit {
  readonly by: string;
  readonly nowMs: number;
  /** Messages an hour. */
  readonly maxPerHour: number;
}

/**
 * The recipient with a message claimed, or undefined: when there is nothing to tell, when another server is about to, or
 * when it has been told so often within the hour that this must wait. A message that was tried before is tried again as it
 * was, so that it has the same Message-ID.
 */
export function claim(recipient: Recipient, outbreaks: ReadonlyMap<string, Outbreak>, { by, nowMs, maxPerHour }: ClaimInit): Recipient | undefined {
  const { claim: old } = recipient;
  // One that ends later than any claim can was made by a clock that has been set back since.
  if (old !== null && old.until > nowMs && old.until <= nowMs + CLAIM_MS) return undefined;
  const sentAt = withinHour(recipient.sentAt, nowMs);
  if (sentAt.length >= maxPerHour) return undefined;
  const again = (old?.items ?? []).filter(({ name, id }) => outbreaks.get(name)?.id === id);
  const items = again.length > 0 ? again : dueItems(recipient, outbreaks).slice(0, MAX_ITEMS);
  if (items.length === 0) return undefined;
  return { ...recipient, sentAt, claim: { by, until: nowMs + CLAIM_MS, items } };
}

/** After a message has gone out. `counts`: how many detections it has told, by outbreak. */
export function settleSent(recipient: Recipient, sent: { readonly items: readonly Item[]; readonly counts: ReadonlyMap<string, number>; readonly nowMs: number }): Recipient {
  const told = new Map(recipient.told);
  for (const { name, id, number } of sent.items) {
    const last = told.get(name);
    if (last?.id === id && last.number >= number) continue;
    told.set(name, { id, number, count: sent.counts.get(name) ?? 0 });
  }
  return { told, sentAt: [...withinHour(recipient.sentAt, sent.nowMs), sent.nowMs], claim: null, failure: null };
}

/** After a message has not gone out: anybody may try again. */
export function settleFailed(recipient: Recipient, failed: { readonly by: string; readonly reason: string; readonly nowMs: number }): Recipient {
  const { claim: old, failure } = recipient;
  return {
    ...recipient,
    claim: old?.by === failed.by ? { ...old, until: 0 } : old,
    failure: { at: failed.nowMs, since: failure?.since ?? failed.nowMs, reason: failed.reason },
  };
}

/** Without what is not needed any more: outbreaks that are gone. Undefined when nothing is left at all. */
export function pruned(recipient: Recipient, outbreaks: ReadonlyMap<string, Outbreak>, nowMs: number): Recipient | undefined {
  const told = new Map([...recipient.told].filter(([name]) => outbreaks.has(name)));
  const sentAt = withinHour(recipient.sentAt, nowMs);
  const held = recipient.claim?.items.some(({ name, id }) => outbreaks.get(name)?.id === id) ? recipient.claim : null;
  if (told.size === 0 && sentAt.length === 0 && held === null) return undefined;
  return { ...recipient, told, sentAt, claim: held };
}

function withinHour(times: readonly number[], nowMs: number): number[] {
  return times.filter((time) => time > nowMs - RATE_WINDOW_MS && time <= nowMs + RATE_WINDOW_MS);
}
