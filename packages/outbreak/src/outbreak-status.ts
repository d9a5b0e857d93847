import type { Store } from '@sekisho/store';
import { AlarmBook, recipientOf } from './alarm-book.ts';
import { claim, dueItems, RATE_WINDOW_MS, type Recipient } from './alert/recipient.ts';
import { MAX_PER_HOUR, targetsOf, type Way } from './alert/target.ts';
import { OutbreakBoard } from './core/board.ts';
import { type Level, LEVELS } from './core/level.ts';
import type { Outbreak } from './core/outbreak.ts';
import type { Count } from './core/top-list.ts';
import { DetectionReader } from './detection-reader.ts';
import type { OutbreakSettings } from './settings.ts';

/** Keys of a level that are shown. */
const MAX_SHOWN = 10;

export interface RecipientStatus {
  readonly way: Way;
  readonly address: string;
  readonly lastSentAt: number | null;
  /** Messages that went out within the last hour. */
  readonly sentThisHour: number;
  /** Outbreaks of which there is something to tell. */
  readonly waiting: number;
  /** It waits because it was told so often within the hour. */
  readonly isLimited: boolean;
  /** The server that is sending, and until when it has time. */
  readonly claim: { readonly by: string; readonly until: number } | null;
  readonly failure: Recipient['failure'];
}

/** What `sekisho outbreak status` shows. Times are milliseconds since 1970. */
export interface OutbreakStatus {
  readonly site: string;
  readonly outbreaks: readonly (Outbreak & { readonly name: string })[];
  /** Detections of the window that are in no outbreak: the most frequent keys of each level. */
  readonly counting: readonly { readonly level: Level; readonly threshold: number; readonly top: readonly Count[] }[];
  readonly recipients: readonly RecipientStatus[];
}

/** Reads the state that the watches share, and counts as they do. Changes nothing. Rejects with StoreError. */
export async function outbreakStatus(store: Store, settings: Omit<OutbreakSettings, 'submission' | 'name'>, nowMs: number): Promise<OutbreakStatus> {
  const page = await new AlarmBook({ store }).read();
  const board = new OutbreakBoard(settings);
  board.adopt(page.outbreaks);
  for await (const { sightings } of new DetectionReader({ store }).read()) board.take(sightings, nowMs);
  board.recover();
  return {
    site: settings.site,
    outbreaks: [...page.outbreaks].map(([name, stored]) => ({ name, ...(board.current(name) ?? stored) })).sort((a, b) => b.openedAt - a.openedAt),
    counting: LEVELS.map((level) => ({ level, threshold: settings.thresholds[level], top: top(board.counts(level, nowMs)) })),
    recipients: targetsOf(settings, page.outbreaks).map(({ name, way, address, outbreaks }) => {
      const recipient = recipientOf(page, name);
      const waiting = dueItems(recipient, outbreaks).length;
      const { claim: held } = recipient;
      const isHeld = held !== null && held.until > nowMs;
      return {
        way,
        address,
        lastSentAt: recipient.sentAt.at(-1) ?? null,
        sentThisHour: recipient.sentAt.filter((at) => at > nowMs - RATE_WINDOW_MS).length,
        waiting,
        isLimited: waiting > 0 && !isHeld && claim(recipient, outbreaks, { by: '', nowMs, maxPerHour: MAX_PER_HOUR[way] }) === undefined,
        claim: isHeld ? { by: held.by, until: held.until } : null,
        failure: recipient.failure,
      };
    }),
  };
}

function top(counts: ReadonlyMap<string, number>): Count[] {
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, MAX_SHOWN);
}
