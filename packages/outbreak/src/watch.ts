import { randomBytes } from 'node:crypto';
import { type Store, StoreError } from '@sekisho/store';
import { type Logger, type Metrics, printable } from '@sekisho/telemetry';
import { AlarmBook, type AlarmPage, EMPTY_PAGE } from './alarm-book.ts';
import { pruned } from './alert/recipient.ts';
import { Submission } from './alert/submission.ts';
import { isTold, targetsOf } from './alert/target.ts';
import { Webhook } from './alert/webhook.ts';
import { type Change, OutbreakBoard } from './core/board.ts';
import { Courier } from './courier.ts';
import { DetectionReader } from './detection-reader.ts';
import { type OutbreakMetrics, outbreakMetrics } from './outbreak-metrics.ts';
import { FIRST_RETRY_MS, type OutbreakSettings, POLL_MS, SETTLE_MS } from './settings.ts';

export interface WatchComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly clock?: { now(): number } | undefined;
}

/**
 * Counts the detections of a site and sees to it that somebody is told. Several servers do this at once and none is the
 * master: the store lets through one change of each outbreak, and one claim of each message.
 */
export class Watch {
  readonly #log: Logger;
  readonly #settings: OutbreakSettings;
  readonly #clock: { now(): number };
  readonly #metrics: OutbreakMetrics;
  readonly #board: OutbreakBoard;
  readonly #book: AlarmBook;
  readonly #reader: DetectionReader;
  readonly #courier: Courier;
  readonly #unreadable = new Set<string>();
  #page: AlarmPage = EMPTY_PAGE;
  #timer: NodeJS.Timeout | undefined;
  #tick: Promise<void> = Promise.resolve();
  #stopping = false;
  /** Since when the store has answered without a failure; undefined while it does not. */
  #storeUpSinceMs: number | undefined;
  #isBlind = false;
  #hasReadAll = false;
  #refused = 0;
  #dropped = 0;

  constructor({ log, metrics, store, clock = Date }: WatchComponents, settings: OutbreakSettings) {
    const { site, webhook } = settings;
    this.#log = log;
    this.#settings = settings;
    this.#clock = clock;
    this.#board = new OutbreakBoard(settings);
    this.#book = new AlarmBook({ store, onUnreadable: (name, reason) => this.#noteUnreadable(name, reason) });
    this.#reader = new DetectionReader({ store });
    this.#metrics = outbreakMetrics(metrics, {
      open: (level) => [...this.#page.outbreaks.values()].filter((one) => one.level === level && one.endedAt === null).length,
      waiting: () => this.#board.waiting,
      untold: (way) => this.#courier.untold(way),
      submissionUp: () => this.#courier.submissionUp,
      storeUp: () => this.#storeUpSinceMs !== undefined,
    });
    this.#courier = new Courier(
      {
        log,
        metrics: this.#metrics,
        book: this.#book,
        submission: new Submission(settings.submission, { site }),
        webhook: webhook === undefined ? undefined : new Webhook({ clock }, { ...webhook, site }),
        clock,
        current: (name) => this.#board.current(name),
      },
      { settings, by: `${settings.name}-${randomBytes(6).toString('hex')}`, firstRetryMs: settings.firstRetryMs ?? FIRST_RETRY_MS },
    );
  }

  /** Resolves after the first look at the store, whatever its outcome. */
  async start(): Promise<void> {
    this.#tick = this.#look();
    await this.#tick;
    this.#schedule();
  }

  /** Stops looking, and resolves when the alerts that are being sent are sent. */
  async drain(): Promise<void> {
    this.#stop();
    await this.#tick;
    await this.#courier.drain();
  }

  /** Ends at once; what is being sent is left to another server. */
  async close(): Promise<void> {
    this.#stop();
    await this.#courier.close();
    await this.#tick;
  }

  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopping) return;
    this.#timer = setTimeout(() => {
      this.#tick = this.#look();
      void this.#tick.then(() => this.#schedule());
    }, this.#settings.pollMs ?? POLL_MS);
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    try {
      await this.#lookAndAct();
      this.#noteStore(undefined);
      this.#courier.kick(this.#page);
    } catch (error) {
      if (this.#stopping) return;
      this.#noteStore(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #lookAndAct(): Promise<void> {
    await this.#adopt();
    await this.#count();
    const nowMs = this.#clock.now();
    const targets = targetsOf(this.#settings, this.#page.outbreaks);
    const { changes, refused } = this.#board.evaluate(nowMs, {
      mayEnd: this.#isSettled(),
      isTold: (name) => isTold(targets, this.#page, name),
    });
    this.#noteLimits(refused);
    let written = 0;
    for (const change of changes) if (await this.#write(change)) written += 1;
    await this.#pruneRecipients(nowMs);
    if (written > 0) await this.#adopt();
  }

  /** Reads what the servers share, and brings it back when the store has lost it. */
  async #adopt(): Promise<void> {
    const page = await this.#book.read();
    this.#page = (await this.#restore(page)) ? await this.#book.read() : page;
    this.#board.adopt(this.#page.outbreaks);
  }

  /** Nobody deletes an outbreak that lasts, or what a recipient was told of it: one that is gone was lost. */
  async #restore(page: AlarmPage): Promise<boolean> {
    const outbreaks = [...this.#page.outbreaks].filter(([name, { endedAt }]) => endedAt === null && !page.outbreaks.has(name));
    const present = new Set([...page.outbreaks.keys(), ...outbreaks.map(([name]) => name)]);
    const recipients = [...this.#page.recipients].filter(([name, { told }]) => !page.recipients.has(name) && [...told.keys()].some((one) => present.has(one)));
    if (outbreaks.length + recipients.length === 0) return false;
    // Recipients first: an outbreak that nobody has heard of would be told again.
    for (const [name, recipient] of recipients) await this.#book.putRecipient(page, name, recipient);
    for (const [name, outbreak] of outbreaks) await this.#book.putOutbreak(page, name, outbreak);
    this.#log.warn({ event: 'outbreaks_restored', outbreaks: outbreaks.map(([name]) => name) }, 'the store has lost its alarms: those known here are written back');
    return true;
  }

  async #count(): Promise<void> {
    for await (const { sightings, unreadable } of this.#reader.read()) {
      this.#board.take(sightings, this.#clock.now());
      if (unreadable > 0) {
        this.#metrics.unreadable.inc({}, unreadable);
        this.#log.warn({ event: 'detections_unreadable', count: unreadable }, 'detections in the store cannot be read; do all servers have the same version?');
      }
      // What was there before this process is not its news.
      if (this.#hasReadAll) for (const { detection } of sightings) this.#metrics.detections.inc({ source: detection.source });
    }
    if (this.#hasReadAll) return;
    this.#board.recover();
    this.#hasReadAll = true;
  }

  /** Relays that found the store down, too, need a moment to report what they saw meanwhile. */
  #isSettled(): boolean {
    const sinceMs = this.#storeUpSinceMs;
    return sinceMs !== undefined && performance.now() - sinceMs >= (this.#settings.settleMs ?? Math.min(SETTLE_MS, this.#settings.clearAfterMs));
  }

  async #write(change: Change): Promise<boolean> {
    const { name, next, what } = change;
    if (!(await this.#book.putOutbreak(this.#page, name, next))) return false;
    if (next === null || what === 'saved') return true;
    const facts = { outbreak: name, level: next.level, subject: printable(next.subject), count: next.tally.count };
    if (what === 'opened') {
      this.#metrics.opened.inc({ level: next.level });
      this.#log.warn({ event: 'outbreak_opened', ...facts }, `a virus outbreak: who is to be told is told; see sekisho outbreak status`);
    } else if (what === 'digest') this.#log.warn({ event: 'outbreak_lasts', ...facts }, 'a virus outbreak goes on');
    else this.#log.info({ event: 'outbreak_ended', ...facts }, 'a virus outbreak is over');
    return true;
  }

  async #pruneRecipients(nowMs: number): Promise<void> {
    for (const [name, recipient] of this.#page.recipients) {
      const next = pruned(recipient, this.#page.outbreaks, nowMs);
      if (next === undefined) await this.#book.putRecipient(this.#page, name, null);
      else if (next.told.size < recipient.told.size) await this.#book.putRecipient(this.#page, name, next);
    }
  }

  #noteLimits(refused: number): void {
    const dropped = this.#board.dropped - this.#dropped;
    this.#dropped = this.#board.dropped;
    if (dropped > 0) {
      this.#metrics.overflows.inc({ what: 'detections' }, dropped);
      this.#log.warn({ event: 'detections_dropped', count: dropped }, 'too many detections wait to become an outbreak; the oldest are not counted any more');
    }
    if (refused > this.#refused) {
      this.#metrics.overflows.inc({ what: 'outbreaks' }, refused - this.#refused);
      this.#log.error({ event: 'outbreaks_full', refused }, 'there are too many outbreaks at once; what has no room counts towards its customer and its virus');
    }
    this.#refused = refused;
  }

  #noteStore(failure: Error | undefined): void {
    if (failure === undefined) {
      if (this.#isBlind) this.#log.info({ event: 'watch_sees' }, 'the store answers: outbreaks are seen again');
      this.#isBlind = false;
      this.#storeUpSinceMs ??= performance.now();
      return;
    }
    this.#storeUpSinceMs = undefined;
    if (!(failure instanceof StoreError)) this.#log.error({ event: 'watch_failed', err: failure }, 'a mistake of this program; the watch goes on');
    else if (!this.#isBlind) this.#log.error({ event: 'watch_blind', reason: failure.message }, 'the store does not answer: outbreaks are not seen until it does');
    this.#isBlind = true;
  }

  #noteUnreadable(name: string, reason: string): void {
    if (this.#unreadable.has(name)) return;
    this.#unreadable.add(name);
    this.#log.error({ event: 'alarm_unreadable', alarm: printable(name), reason }, 'an alarm in the store cannot be read; it is written anew when there is need');
  }
}
