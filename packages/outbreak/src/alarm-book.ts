import type { Store } from '@sekisho/store';
import { NEW_RECIPIENT, type Recipient } from './alert/recipient.ts';
import { decodeRecipient, encodeRecipient } from './alert/recipient-document.ts';
import { DocumentError } from './core/document.ts';
import { LEVELS } from './core/level.ts';
import type { Outbreak } from './core/outbreak.ts';
import { decodeOutbreak, encodeOutbreak } from './core/outbreak-document.ts';

/** Times that a document is changed again because somebody else has changed it meanwhile. */
const MAX_TRIES = 5;

/** The alarms of the store at one moment. */
export interface AlarmPage {
  readonly outbreaks: ReadonlyMap<string, Outbreak>;
  readonly recipients: ReadonlyMap<string, Recipient>;
  /** 0 when there is none. */
  version(name: string): number;
}

export const EMPTY_PAGE: AlarmPage = { outbreaks: new Map(), recipients: new Map(), version: () => 0 };

/** A recipient that nobody has told anything yet is a new one. */
export function recipientOf(page: AlarmPage, name: string): Recipient {
  return page.recipients.get(name) ?? NEW_RECIPIENT;
}

/** The alarms of the store that are outbreaks and recipients. Every method rejects with StoreError. */
export class AlarmBook {
  readonly #store: Pick<Store, 'alarms' | 'putAlarm'>;
  readonly #onUnreadable: (name: string, reason: string) => void;

  /** `onUnreadable`: told at each reading of one that is damaged or of another version of this program. */
  constructor(components: { readonly store: Pick<Store, 'alarms' | 'putAlarm'>; readonly onUnreadable?: (name: string, reason: string) => void }) {
    this.#store = components.store;
    this.#onUnreadable = components.onUnreadable ?? (() => {});
  }

  async read(): Promise<AlarmPage> {
    const alarms = await this.#store.alarms();
    const outbreaks = new Map<string, Outbreak>();
    const recipients = new Map<string, Recipient>();
    for (const [name, { body }] of alarms) {
      try {
        if (isOutbreak(name)) outbreaks.set(name, decodeOutbreak(body));
        else if (isRecipient(name)) recipients.set(name, decodeRecipient(body));
      } catch (error) {
        if (!(error instanceof DocumentError)) throw error;
        this.#onUnreadable(name, error.message);
      }
    }
    return { outbreaks, recipients, version: (name) => alarms.get(name)?.version ?? 0 };
  }

  /** False when somebody has changed it since the page was read. Null deletes. */
  putOutbreak(page: AlarmPage, name: string, next: Outbreak | null): Promise<boolean> {
    return this.#store.putAlarm(name, { expected: page.version(name), body: next === null ? null : encodeOutbreak(next) });
  }

  putRecipient(page: AlarmPage, name: string, next: Recipient | null): Promise<boolean> {
    return this.#store.putAlarm(name, { expected: page.version(name), body: next === null ? null : encodeRecipient(next) });
  }

  /**
   * Changes a recipient as it stands now, whoever else does: `change` is asked again until its outcome could be written.
   * Resolves with what was written; undefined when `change` wants nothing, or when others were faster all the time.
   */
  async updateRecipient(name: string, change: (recipient: Recipient, page: AlarmPage) => Recipient | undefined): Promise<Recipient | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const page = await this.read();
      const next = change(recipientOf(page, name), page);
      if (next === undefined) return undefined;
      if (await this.putRecipient(page, name, next)) return next;
    }
    return undefined;
  }

  /** The same for an outbreak; undefined also when there is none. */
  async updateOutbreak(name: string, change: (outbreak: Outbreak) => Outbreak | undefined): Promise<Outbreak | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const page = await this.read();
      const outbreak = page.outbreaks.get(name);
      const next = outbreak === undefined ? undefined : change(outbreak);
      if (next === undefined) return undefined;
      if (await this.putOutbreak(page, name, next)) return next;
    }
    return undefined;
  }
}

function isOutbreak(name: string): boolean {
  return LEVELS.some((level) => name.startsWith(`${level}-`));
}

function isRecipient(name: string): boolean {
  return name.startsWith('mail-') || name === 'webhook';
}
