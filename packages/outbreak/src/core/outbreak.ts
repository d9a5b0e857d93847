import { createHash } from 'node:crypto';
import { MAX_LATE_MS } from './detection-window.ts';
import type { Level } from './level.ts';
import type { TallySummary } from './tally.ts';

/** What an outbreak tells of: that it began, that it goes on, that it is over. */
export const STAGES = ['alert', 'digest', 'clear'] as const;
export type Stage = (typeof STAGES)[number];

/** The latest of what there is to tell. Each next one has a higher number. */
export interface OutbreakEvent {
  readonly number: number;
  readonly stage: Stage;
  readonly at: number;
  /** Detections until then. */
  readonly count: number;
}

/** An outbreak as the servers of a site share it. Times are milliseconds since 1970. */
export interface Outbreak {
  readonly level: Level;
  /** The MAC address, the contact or the signature. */
  readonly subject: string;
  /** Another one each time that the same subject has an outbreak. */
  readonly id: string;
  readonly openedAt: number;
  /** The first detection that belongs to it. */
  readonly firstAt: number;
  /** Null while it lasts. */
  readonly endedAt: number | null;
  /** The registered name of the device; '' when there is none, and for other levels. */
  readonly label: string;
  /** The customer's address by the registry, which may be told; null when there is none. */
  readonly customer: string | null;
  readonly ack: { readonly by: string; readonly at: number } | null;
  readonly event: OutbreakEvent;
  readonly tally: TallySummary;
  readonly savedAt: number;
}

const HASH_CHARS = 12;

/** The name of an outbreak in the store and on the command line: nothing of it can be chosen by a stranger. */
export function outbreakName(level: Level, subject: string): string {
  if (level === 'device') return `device-${subject}`;
  return `${level}-${createHash('sha256').update(subject).digest('hex').slice(0, HASH_CHARS)}`;
}

/** Whether a detection of its subject belongs to this outbreak, or, when it is over, did. Some arrive out of order. */
export function covers(outbreak: Outbreak, at: number): boolean {
  return at > outbreak.firstAt - MAX_LATE_MS && (outbreak.endedAt === null || at <= outbreak.tally.lastAt);
}

/** What comes after an event. */
export function nextEvent(outbreak: Outbreak, stage: Stage, at: number, count: number): OutbreakEvent {
  return { number: outbreak.event.number + 1, stage, at, count };
}
