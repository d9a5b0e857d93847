import type { Logger } from '@sekisho/telemetry';
import type { NoticeMetrics, NoticeResult } from './notice-metrics.ts';

/** A flood is told in one line a minute for each result: the log is not another place to fill. */
const LOG_INTERVAL_MS = 60_000;

/** What the operator reads about a result, and does. */
const TOLD = {
  unparsed: 'no pattern fits a notice; look at the file and add a pattern for its gateway to outbreak.notices.patterns',
  refused_source: 'somebody who is not listed tried to bring a notice; if it is a gateway of yours, add its address to outbreak.notices.allow or a user for it',
  refused_auth: 'a login failed; if it is a gateway of yours, compare its password with the users file',
  refused_size: 'a notice was too large; have its gateway leave the stopped mail out, or raise outbreak.notices.maxBytes',
  refused_rate: 'a gateway was told to come again later; if it should not be, raise outbreak.notices.maxPerMinute',
  failed: 'a notice could not be recorded or kept, and its gateway was told to send it again; look at the store and the disk',
} satisfies Partial<Record<NoticeResult, string>>;

/** Counts what becomes of notices, and tells what needs somebody. */
export class NoticeTally {
  readonly #log: Logger;
  readonly #metrics: NoticeMetrics;
  readonly #now: () => number;
  readonly #told = new Map<NoticeResult, { at: number; untold: number }>();

  constructor(components: { readonly log: Logger; readonly metrics: NoticeMetrics; readonly now: () => number }) {
    this.#log = components.log;
    this.#metrics = components.metrics;
    this.#now = components.now;
  }

  recorded(): void {
    this.#metrics.notices.inc({ result: 'recorded' });
  }

  /** @param details made printable already */
  count(result: keyof typeof TOLD, details: Readonly<Record<string, unknown>>): void {
    this.#metrics.notices.inc({ result });
    const told = this.#told.get(result);
    if (told !== undefined && Math.abs(this.#now() - told.at) < LOG_INTERVAL_MS) {
      told.untold += 1;
      return;
    }
    this.#told.set(result, { at: this.#now(), untold: 0 });
    const line = { event: `notice_${result}`, ...details, notTold: told?.untold ?? 0 };
    if (result === 'failed') this.#log.error(line, TOLD[result]);
    else this.#log.warn(line, TOLD[result]);
  }
}
