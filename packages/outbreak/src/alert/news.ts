import { createHash } from 'node:crypto';
import type { Level } from '../core/level.ts';
import type { Outbreak, Stage } from '../core/outbreak.ts';
import type { Item, Recipient } from './recipient.ts';

/** What one recipient is told of one outbreak. */
export interface News {
  readonly name: string;
  readonly outbreak: Outbreak;
  /** For this recipient: it is an alert until he has heard of the outbreak, even when it is over by then. */
  readonly stage: Stage;
  /** Detections that he has not heard of. */
  readonly newSince: number;
}

/** One message: what a recipient is told at once. */
export interface Message {
  /** The same whenever this message is sent, by whomever, so that one that comes twice is recognised. */
  readonly id: string;
  readonly stage: Stage;
  readonly news: readonly News[];
}

const ID_CHARS = 40;

/** @param outbreaks with what has been counted until now */
export function composeMessage(to: { readonly site: string; readonly name: string; readonly recipient: Recipient }, items: readonly Item[], outbreaks: ReadonlyMap<string, Outbreak>): Message {
  const news = items.flatMap((item) => {
    const outbreak = outbreaks.get(item.name);
    return outbreak === undefined || outbreak.id !== item.id ? [] : [newsOf(item.name, outbreak, to.recipient)];
  });
  const stages = new Set(news.map(({ stage }) => stage));
  return {
    id: messageId(to.site, to.name, items),
    stage: stages.has('alert') ? 'alert' : stages.has('digest') ? 'digest' : 'clear',
    news,
  };
}

export function messageId(site: string, recipient: string, items: readonly Item[]): string {
  const content = items.map(({ name, id, number }) => [name, id, number]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  return createHash('sha256').update(JSON.stringify([site, recipient, content])).digest('hex').slice(0, ID_CHARS);
}

/** How many outbreaks of a message are of which level. */
export function countLevel({ news }: Message, level: Level): number {
  return news.filter(({ outbreak }) => outbreak.level === level).length;
}

function newsOf(name: string, outbreak: Outbreak, { told }: Recipient): News {
  const last = told.get(name);
  if (last?.id !== outbreak.id) return { name, outbreak, stage: 'alert', newSince: outbreak.tally.count };
  return { name, outbreak, stage: outbreak.endedAt === null ? 'digest' : 'clear', newSince: Math.max(0, outbreak.tally.count - last.count) };
}
