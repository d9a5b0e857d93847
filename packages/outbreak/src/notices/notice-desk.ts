import type { Logger } from '@sekisho/telemetry';
import { printable } from '@sekisho/telemetry';
import { type Arrival, detectionsOf, noticeKey } from './notice-detections.ts';
import type { KeptNotices } from './kept-notices.ts';
import { readNoticeMail } from './message/notice-mail.ts';
import type { NoticeTally } from './notice-tally.ts';
import type { CompiledPattern } from './patterns/pattern.ts';
import type { RecordBatches } from './record-batches.ts';

/** What the gateway is told; only after 250 it may forget the notice. */
export interface Answer {
  readonly code: 250 | 451 | 452;
  readonly text: string;
}

interface NoticeDeskComponents {
  readonly log: Logger;
  readonly tally: NoticeTally;
  readonly batches: RecordBatches;
  readonly kept: KeptNotices;
}

/** Reads a notice, and records or keeps it. */
export class NoticeDesk {
  readonly #log: Logger;
  readonly #tally: NoticeTally;
  readonly #batches: RecordBatches;
  readonly #kept: KeptNotices;
  readonly #patterns: readonly CompiledPattern[];

  constructor(components: NoticeDeskComponents, init: { readonly patterns: readonly CompiledPattern[] }) {
    this.#log = components.log;
    this.#tally = components.tally;
    this.#batches = components.batches;
    this.#kept = components.kept;
    this.#patterns = init.patterns;
  }

  /** Never rejects. */
  async take(bytes: Buffer, arrival: Arrival): Promise<Answer> {
    const mail = readNoticeMail(bytes);
    const key = noticeKey(mail, bytes, arrival.source);
    for (const pattern of this.#patterns) {
      const findings = pattern.read(mail);
      if (findings.length === 0) continue;
      const detections = detectionsOf(findings, pattern.name, key, arrival);
      try {
        await this.#batches.add(detections);
      } catch (error) {
        return this.#failed('the notice could not be recorded', error, arrival);
      }
      this.#tally.recorded();
      this.#log.debug({ event: 'notice_recorded', reporter: detections[0]?.reporter, detections: detections.length, notice: key }, 'a notice was recorded');
      return { code: 250, text: `2.6.0 ${detections.length} recorded` };
    }
    return this.#keep(key, bytes, arrival);
  }

  async #keep(key: string, bytes: Buffer, arrival: Arrival): Promise<Answer> {
    try {
      // Who brought it, and when, in the form of RFC 5321 4.4: nobody could tell from the rest.
      const trace = `Received: from [${arrival.source}] by sekisho (notices);\r\n ${new Date(arrival.at).toUTCString().replace('GMT', '+0000')}\r\n`;
      const file = await this.#kept.keep(key, Buffer.concat([Buffer.from(trace), bytes]));
      if (file !== undefined) {
        this.#tally.count('unparsed', { file, gateway: arrival.source });
        return { code: 250, text: '2.6.0 kept; no pattern fits it' };
      }
    } catch (error) {
      return this.#failed('the notice could not be kept', error, arrival);
    }
    this.#tally.count('failed', { cause: 'there is no room for more notices that no pattern fits; look at those that are kept, and remove them', gateway: arrival.source });
    return { code: 452, text: '4.3.1 no room to keep the notice' };
  }

  #failed(what: string, error: unknown, { source }: Arrival): Answer {
    this.#tally.count('failed', { cause: `${what}: ${printable(error instanceof Error ? error.message : String(error))}`, gateway: source });
    return { code: 451, text: `4.3.0 ${what}` };
  }
}
