import { type Logger, printable } from '@sekisho/telemetry';
import { type AlarmBook, type AlarmPage, recipientOf } from './alarm-book.ts';
import { bodyOf, subjectOf } from './alert/mail-text.ts';
import { composeMessage, type Message } from './alert/news.ts';
import { claim, dueItems, type Item, type Recipient, settleFailed, settleSent } from './alert/recipient.ts';
import { DeliveryError } from './alert/delivery-error.ts';
import type { Submission } from './alert/submission.ts';
import { MAX_PER_HOUR, type Target, targetsOf, type Way } from './alert/target.ts';
import type { Webhook } from './alert/webhook.ts';
import type { Outbreak } from './core/outbreak.ts';
import type { OutbreakMetrics } from './outbreak-metrics.ts';
import { Pauses } from './pauses.ts';
import type { OutbreakSettings } from './settings.ts';

/** How often the submission server is tried when there is nothing to send. */
const CHECK_MS = 300_000;
/** A reason that is kept in the store. */
const MAX_REASON_CHARS = 200;

export interface CourierComponents {
  readonly log: Logger;
  readonly metrics: OutbreakMetrics;
  readonly book: AlarmBook;
  readonly submission: Submission;
  readonly webhook: Webhook | undefined;
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  /** An outbreak with what has been counted until now. */
  current(name: string): Outbreak | undefined;
}

export interface CourierInit {
  readonly settings: Pick<OutbreakSettings, 'site' | 'to' | 'toCustomer' | 'webhook'>;
  /** Who claims: another one for each process that ever runs. */
  readonly by: string;
  readonly firstRetryMs: number;
}

/** Tells recipients what they have not heard yet: claims a message in the store, sends it, and notes that it is sent. */
export class Courier {
  readonly #components: CourierComponents;
  readonly #init: CourierInit;
  readonly #pauses: Pauses;
  /** Messages that are out, and whose being so the store could not take yet. Nothing else goes to these recipients. */
  readonly #owed = new Map<string, (recipient: Recipient) => Recipient>();
  readonly #abort = new AbortController();
  #round: Promise<void> | undefined;
  #stopping = false;
  #submissionUp = true;
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #untold: Readonly<Record<Way, number>> = { mail: 0, webhook: 0 };

  constructor(components: CourierComponents, init: CourierInit) {
    this.#components = components;
    this.#init = init;
    this.#pauses = new Pauses({ firstMs: init.firstRetryMs });
  }

  get submissionUp(): boolean {
    return this.#submissionUp;
  }

  /** Recipients that wait for a message. */
  untold(way: Way): number {
    return this.#untold[way];
  }

  /** Begins a round over all recipients, unless one is under way. Never throws. */
  kick(page: AlarmPage): void {
    if (this.#stopping) return;
    void this.#check();
    if (this.#round !== undefined) return;
    this.#round = this.#tellAll(page)
      .catch((error: unknown) => {
        // Of the store: what is claimed stays claimed, and is sent when that ends, by whoever is there.
        this.#components.log.error({ event: 'alerts_interrupted', err: error }, 'the store does not answer: alerts wait, and are tried again');
      })
      .finally(() => {
        this.#round = undefined;
      });
  }

  /** Begins nothing more, and resolves when what is being sent is sent. */
  async drain(): Promise<void> {
    this.#stopping = true;
    await this.#round;
  }

  /** Gives up what is being sent; another server sends it when the claim ends. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.drain();
  }

  async #tellAll(page: AlarmPage): Promise<void> {
    const targets = targetsOf(this.#init.settings, page.outbreaks);
    const wants = (target: Target): boolean => this.#owed.has(target.name) || hasNews(recipientOf(page, target.name), target);
    const waiting = targets.filter((target) => wants(target));
    this.#untold = { mail: countWay(waiting, 'mail'), webhook: countWay(waiting, 'webhook') };
    for (const target of waiting) {
      if (this.#stopping) return;
      if (this.#pauses.has(target.way) || this.#pauses.has(target.name)) continue;
      await this.#tell(target);
    }
  }

  async #tell(target: Target): Promise<void> {
    const { book } = this.#components;
    if (!(await this.#settleOwed(target.name))) return;
    const claimed = await this.#claim(target);
    if (claimed === undefined) return;
    const { message, items } = claimed;
    const { settings, by } = this.#init;
    try {
      await this.#deliver(target, message);
    } catch (error) {
      if (!(error instanceof DeliveryError)) throw error;
      this.#noteFailure(target, message, error);
      const reason = error.message.slice(0, MAX_REASON_CHARS).toWellFormed();
      await book.updateRecipient(target.name, (recipient) => settleFailed(recipient, { by, reason, nowMs: this.#now() }));
      return;
    }
    const counts = new Map(message.news.map(({ name, outbreak }) => [name, outbreak.tally.count]));
    this.#owed.set(target.name, (recipient) => settleSent(recipient, { items, counts, nowMs: this.#now() }));
    this.#noteSuccess(target, message, settings.site);
    await this.#settleOwed(target.name);
  }

  /** False while the store cannot take it. */
  async #settleOwed(name: string): Promise<boolean> {
    const settle = this.#owed.get(name);
    if (settle === undefined) return true;
    const settled = await this.#components.book.updateRecipient(name, settle);
    if (settled !== undefined) this.#owed.delete(name);
    return settled !== undefined;
  }

  async #claim(target: Target): Promise<{ message: Message; items: readonly Item[] } | undefined> {
    const { settings, by } = this.#init;
    let took: string | undefined;
    let own: ReadonlyMap<string, Outbreak> = new Map();
    const claimed = await this.#components.book.updateRecipient(target.name, (recipient, page) => {
      own = targetsOf(settings, page.outbreaks).find(({ name }) => name === target.name)?.outbreaks ?? new Map();
      took = recipient.claim !== null && recipient.claim.until > 0 ? recipient.claim.by : undefined;
      return claim(recipient, own, { by, nowMs: this.#now(), maxPerHour: MAX_PER_HOUR[target.way] });
    });
    const items = claimed?.claim?.items;
    if (claimed === undefined || items === undefined) return undefined;
    if (took !== undefined)
      this.#components.log.warn({ event: 'alert_taken_over', recipient: target.name, from: printable(took) }, 'another server has begun this alert and not ended it; it may arrive twice, with one Message-ID');
    const outbreaks = new Map([...own].map(([name, outbreak]) => [name, this.#latest(name, outbreak)]));
    return { items, message: composeMessage({ site: settings.site, name: target.name, recipient: claimed }, items, outbreaks) };
  }

  /** What is counted here may be ahead of what is written down. */
  #latest(name: string, stored: Outbreak): Outbreak {
    const current = this.#components.current(name);
    return current?.id === stored.id && current.tally.count > stored.tally.count ? { ...stored, tally: current.tally } : stored;
  }

  async #deliver(target: Target, message: Message): Promise<void> {
    const { submission, webhook } = this.#components;
    const { site } = this.#init.settings;
    const { signal } = this.#abort;
    if (target.way === 'webhook') return webhook?.post(message, signal);
    const text = bodyOf(message, { site, reader: target.reader });
    await submission.send({ to: target.address, subject: subjectOf(message, site), text, id: message.id, stage: message.stage }, signal);
    return undefined;
  }

  #noteSuccess(target: Target, message: Message, site: string): void {
    const { log, metrics } = this.#components;
    metrics.messages.inc({ way: target.way, stage: message.stage, result: 'sent' });
    this.#pauses.end(target.way);
    this.#pauses.end(target.name);
    if (target.way === 'mail') this.#noteSubmission(undefined);
    const outbreaks = message.news.map(({ name }) => name);
    log.info({ event: 'alert_sent', way: target.way, to: target.address, stage: message.stage, id: message.id, site, outbreaks }, `${message.stage} told to ${target.address}`);
  }

  #noteFailure(target: Target, message: Message, error: DeliveryError): void {
    const { log, metrics } = this.#components;
    metrics.messages.inc({ way: target.way, stage: message.stage, result: 'failed' });
    const againMs = this.#pauses.begin(error.ofRecipient ? target.name : target.way);
    if (target.way === 'mail' && !error.ofRecipient) this.#noteSubmission(error.message);
    const advice = target.way === 'webhook' ? 'look at outbreak.webhook and at its receiver' : 'look at outbreak.submission and at that server';
    log.error(
      { event: 'alert_failed', way: target.way, to: target.address, stage: message.stage, id: message.id, reason: error.message, againMs },
      `the alert for ${target.address} could not be sent and is tried again: ${advice}`,
    );
  }

  /** Months may lie between two alerts: it is found out before whether the server still takes them. Never rejects. */
  async #check(): Promise<void> {
    if (performance.now() - this.#checkedAtMs < CHECK_MS) return;
    this.#checkedAtMs = performance.now();
    try {
      await this.#components.submission.verify();
      this.#pauses.end('mail');
      this.#noteSubmission(undefined);
    } catch (error) {
      this.#noteSubmission(error instanceof Error ? error.message : String(error));
    }
  }

  #noteSubmission(reason: string | undefined): void {
    const { log } = this.#components;
    this.#checkedAtMs = performance.now();
    if (this.#submissionUp === (reason === undefined)) return;
    this.#submissionUp = reason === undefined;
    if (reason === undefined) log.info({ event: 'submission_up' }, 'the submission server can be used again');
    else log.error({ event: 'submission_down', reason }, 'alerts cannot be sent: the submission server cannot be used; try it with sekisho outbreak test');
  }

  #now(): number {
    return this.#components.clock.now();
  }
}

function hasNews(recipient: Recipient, { outbreaks }: Target): boolean {
  return dueItems(recipient, outbreaks).length > 0;
}

function countWay(targets: readonly Target[], way: Way): number {
  return targets.filter((target) => target.way === way).length;
}
