import { DetectionWindow, type Entry, hasBurst, MAX_LATE_MS } from './detection-window.ts';
import { type Level, LEVELS, RANK } from './level.ts';
import { addressIn } from './mail-address.ts';
import { covers, nextEvent, type Outbreak, outbreakName } from './outbreak.ts';
import { keyOf, type Sighting } from './sighting.ts';
import { Tally } from './tally.ts';

/** When an outbreak is one. Times in milliseconds. */
export interface BoardInit {
  readonly windowMs: number;
  /** So many detections within the window. */
  readonly thresholds: Readonly<Record<Level, number>>;
  /** Silence after the alert and after each digest. */
  readonly coolDownMs: number;
  /** Without a detection for so long it is over. */
  readonly clearAfterMs: number;
}

/** What an evaluation wants to be in the store; `next` null: nothing. */
export interface Change {
  readonly name: string;
  readonly next: Outbreak | null;
  readonly what: 'opened' | 'digest' | 'ended' | 'saved' | 'removed';
}

export interface Evaluation {
  readonly changes: readonly Change[];
  /** Outbreaks that were not opened because there are too many. */
  readonly refused: number;
}

/** Outbreaks at once, those that are over and still remembered among them. What is past it counts towards the next level. */
export const MAX_OUTBREAKS: Readonly<Record<Level, number>> = { device: 150, contact: 30, signature: 20 };
/** How often a lasting outbreak's count is written down. */
const SAVE_MS = 60_000;
/** One that could not be told to everybody is remembered no longer. */
const MAX_UNTOLD_MS = 7 * 86_400_000;

/**
 * Decides from the detections what is an outbreak. Without I/O, without a clock: the same detections and the same shared
 * outbreaks lead every server to the same changes, and the store lets one of them through.
 */
export class OutbreakBoard {
  readonly #init: BoardInit;
  readonly #window: DetectionWindow;
  #outbreaks: ReadonlyMap<string, Outbreak> = new Map();
  readonly #tallies = new Map<string, { readonly id: string; tally: Tally }>();

  constructor(init: BoardInit) {
    this.#init = init;
    this.#window = new DetectionWindow(init);
  }

  /** Detections that may still become part of an outbreak. */
  get waiting(): number {
    return this.#window.size;
  }

  /** Detections that were given up for want of room. */
  get dropped(): number {
    return this.#window.dropped;
  }

  /** The outbreaks as they stand in the store now. */
  adopt(outbreaks: ReadonlyMap<string, Outbreak>): void {
    const before = this.#outbreaks;
    this.#outbreaks = outbreaks;
    // A higher level first: what it takes, a lower one does not.
    for (const level of LEVELS)
      for (const [name, outbreak] of outbreaks) if (outbreak.level === level) this.#absorb(name, outbreak, before.get(name));
    for (const name of this.#tallies.keys()) if (!outbreaks.has(name)) this.#tallies.delete(name);
  }

  /** Detections in the order of the log. @param nowMs milliseconds since 1970 */
  take(sightings: readonly Sighting[], nowMs: number): void {
    for (const sighting of sightings) {
      // The reporter's clock may be ahead.
      const at = Math.min(sighting.detection.at, nowMs);
      const owner = this.#ownerOf(sighting, at);
      if (owner?.outbreak.endedAt === null) this.#tallyOf(owner.name, owner.outbreak).add(sighting, at);
      const taken = owner === undefined ? 0 : RANK[owner.outbreak.level];
      if (taken === RANK.device || at <= nowMs - this.#init.windowMs - MAX_LATE_MS) continue;
      this.#window.add({ sighting, at, taken });
    }
  }

  /**
   * To be called once, when the log has been read for the first time: an outbreak older than the log goes on from what was
   * written down of it.
   */
  recover(): void {
    for (const [name, outbreak] of this.#outbreaks) {
      const entry = this.#tallyEntry(name, outbreak);
      if (entry.tally.count < outbreak.tally.count) entry.tally = Tally.from(outbreak.level, outbreak.tally);
    }
  }

  /**
   * What should change now. It changes nothing by itself: that comes with adopt(), once the store has it.
   * @param mayEnd false while detections may be missing, because the store was away
   * @param isTold whether everybody has been told the end of an outbreak
   */
  evaluate(nowMs: number, { mayEnd, isTold }: { readonly mayEnd: boolean; readonly isTold: (name: string) => boolean }): Evaluation {
    this.#window.prune(nowMs);
    const changes: Change[] = [];
    for (const [name, outbreak] of this.#outbreaks) {
      const change = outbreak.endedAt === null ? this.#goOn(name, outbreak, nowMs, mayEnd) : this.#forget(name, outbreak, nowMs, isTold);
      if (change !== undefined) changes.push(change);
    }
    const { opened, refused } = this.#open(nowMs);
    return { changes: [...changes, ...opened], refused };
  }

  /** How many detections of each key are in the window that ends now and in no outbreak. */
  counts(level: Level, nowMs: number): Map<string, number> {
    return this.#window.counts(level, nowMs);
  }

  /** An outbreak with what has been counted here since it was last written down. */
  current(name: string): Outbreak | undefined {
    const outbreak = this.#outbreaks.get(name);
    if (outbreak === undefined || outbreak.endedAt !== null) return outbreak;
    const { tally } = this.#tallyEntry(name, outbreak);
    return tally.count > outbreak.tally.count ? { ...outbreak, tally: tally.summary() } : outbreak;
  }

  #ownerOf(sighting: Sighting, at: number): { name: string; outbreak: Outbreak } | undefined {
    for (const level of LEVELS) {
      const key = keyOf(level, sighting);
      if (key === undefined) continue;
      const name = outbreakName(level, key);
      const outbreak = this.#outbreaks.get(name);
      if (outbreak !== undefined && covers(outbreak, at)) return { name, outbreak };
    }
    return undefined;
  }

  /** Takes the waiting detections of an outbreak that another server, or the last evaluation, has opened or ended. */
  #absorb(name: string, outbreak: Outbreak, before: Outbreak | undefined): void {
    if (before?.id === outbreak.id && before.endedAt === outbreak.endedAt && before.firstAt === outbreak.firstAt) return;
    for (const entry of this.#window.list(outbreak.level, outbreak.subject)) {
      if (!covers(outbreak, entry.at)) continue;
      entry.taken = RANK[outbreak.level];
      if (outbreak.endedAt === null) this.#tallyOf(name, outbreak).add(entry.sighting, entry.at);
    }
  }

  #tallyOf(name: string, outbreak: Outbreak): Tally {
    return this.#tallyEntry(name, outbreak).tally;
  }

  #tallyEntry(name: string, outbreak: Outbreak): { readonly id: string; tally: Tally } {
    const known = this.#tallies.get(name);
    if (known?.id === outbreak.id) return known;
    const entry = { id: outbreak.id, tally: new Tally(outbreak.level, outbreak.tally.lastAt) };
    this.#tallies.set(name, entry);
    return entry;
  }

  #goOn(name: string, outbreak: Outbreak, nowMs: number, mayEnd: boolean): Change | undefined {
    const tally = this.#tallyOf(name, outbreak);
    tally.notAfter(nowMs);
    const { event } = outbreak;
    const isMore = tally.count > outbreak.tally.count;
    const base = { ...outbreak, tally: isMore ? tally.summary() : { ...outbreak.tally, lastAt: tally.lastAt }, savedAt: nowMs };
    const count = base.tally.count;
    if (mayEnd && nowMs - tally.lastAt >= this.#init.clearAfterMs)
      return { name, what: 'ended', next: { ...base, endedAt: nowMs, event: nextEvent(outbreak, 'clear', nowMs, count) } };
    // A clock that was set back must not keep it silent, nor what comes now out of it.
    if (event.at > nowMs)
      return { name, what: 'saved', next: { ...base, firstAt: Math.min(outbreak.firstAt, nowMs), event: { ...event, at: nowMs } } };
    if (outbreak.ack === null && count > event.count && nowMs - event.at >= this.#init.coolDownMs)
      return { name, what: 'digest', next: { ...base, event: nextEvent(outbreak, 'digest', nowMs, count) } };
    return isMore && Math.abs(nowMs - outbreak.savedAt) >= SAVE_MS ? { name, what: 'saved', next: base } : undefined;
  }

  /** It is remembered as long as its detections could be counted again. */
  #forget(name: string, outbreak: Outbreak, nowMs: number, isTold: (name: string) => boolean): Change | undefined {
    const endedAt = outbreak.endedAt ?? nowMs;
    const isRecent = nowMs <= endedAt + this.#init.windowMs + MAX_LATE_MS;
    if (isRecent || (!isTold(name) && nowMs - endedAt < MAX_UNTOLD_MS)) return undefined;
    return { name, what: 'removed', next: null };
  }

  #open(nowMs: number): { opened: Change[]; refused: number } {
    const opened: Change[] = [];
    let refused = 0;
    const gone = new Set<Entry>();
    for (const level of LEVELS) {
      let room = MAX_OUTBREAKS[level] - [...this.#outbreaks.values()].filter((one) => one.level === level).length;
      for (const key of this.#window.keys(level, this.#init.thresholds[level])) {
        const name = outbreakName(level, key);
        const known = this.#outbreaks.get(name);
        const burst = known?.endedAt === null ? undefined : this.#burstOf(level, key, gone);
        if (burst === undefined) continue;
        if (known === undefined && room <= 0) {
          refused += 1;
          continue;
        }
        if (known === undefined) room -= 1;
        for (const entry of burst) gone.add(entry);
        opened.push({ name, what: 'opened', next: newOutbreak(level, key, burst, nowMs) });
      }
    }
    return { opened, refused };
  }

  /** The detections of a new outbreak, or undefined when there are too few close together. */
  #burstOf(level: Level, key: string, gone: ReadonlySet<Entry>): readonly Entry[] | undefined {
    const entries = this.#window.list(level, key).filter((entry) => !gone.has(entry));
    return hasBurst(entries, this.#init.thresholds[level], this.#init.windowMs) ? entries : undefined;
  }
}

function newOutbreak(level: Level, subject: string, burst: readonly Entry[], nowMs: number): Outbreak {
  const firstAt = burst[0]?.at ?? nowMs;
  const tally = new Tally(level, firstAt);
  for (const { sighting, at } of burst) tally.add(sighting, at);
  const registered = level === 'signature' ? undefined : burst.findLast(({ sighting }) => sighting.registeredContact !== '');
  const label = level === 'device' ? (burst.findLast(({ sighting }) => sighting.label !== '')?.sighting.label ?? '') : '';
  return {
    level,
    subject,
    id: String(nowMs),
    openedAt: nowMs,
    firstAt,
    endedAt: null,
    label,
    customer: registered === undefined ? null : addressIn(registered.sighting.registeredContact),
    ack: null,
    event: { number: 1, stage: 'alert', at: nowMs, count: tally.count },
    tally: tally.summary(),
    savedAt: nowMs,
  };
}
