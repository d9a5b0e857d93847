import { setTimeout as sleep } from 'node:timers/promises';
import { dotStuff, textMail, type TestMail } from '../../kit/mails.ts';
import type { SmtpLedger } from '../../kit/smtp-ledger.ts';
import { deliver, type SmtpWireTarget } from '../../kit/smtp-wire.ts';
import { eicarInBody } from '../../kit/virus-mails.ts';

const LANES = 4;
/** Between two mails of a lane, and before a mail that was deferred comes again; a real client waits minutes. */
const PAUSE_MS = 40;
const RETRY_MS = 250;
/** Longer than any scan may take. */
const CLIENT_TIMEOUT_MS = 40_000;
/** Small ones, one past the memory of a spool, and one of a size that takes a while. */
const SIZES = [2000, 8000, 2000, 150_000, 4000, 1_300_000] as const;
const from = 'sender@example.com';
const to = 'recipient@example.net';

/** One mail from its first byte to the answer that ended it. */
interface Entry {
  readonly mail: TestMail;
  readonly isInfected: boolean;
  /** One for each try. */
  readonly replies: string[];
}

/** What clients heard in a period. */
export interface Heard {
  /** How often each code, `virus 554` being one to an infected mail. */
  readonly replies: Readonly<Record<string, number>>;
  /** The longest from the end of a mail to its reply, milliseconds. */
  readonly slowestMs: number;
}

/** Clients that send mails without end, every fourth of them infected, and a ledger of what became of each. */
export class MailTraffic {
  readonly #target: SmtpWireTarget;
  readonly #ledger: SmtpLedger;
  readonly #over = new AbortController();
  readonly #entries: Entry[] = [];
  readonly #running: Promise<unknown>;
  #seed: number;
  #replies: Record<string, number> = {};
  #slowestMs = 0;
  /** Whether infected mails are among them. */
  withInfected = true;

  constructor(components: { readonly ledger: SmtpLedger }, init: { readonly port: number; readonly seed: number }) {
    this.#ledger = components.ledger;
    this.#target = { host: '127.0.0.1', port: init.port, timeoutMs: CLIENT_TIMEOUT_MS };
    this.#seed = init.seed;
    this.#running = Promise.all(Array.from({ length: LANES }, () => this.#lane()));
    // It is awaited in finish(); until then a failure waits.
    this.#running.catch(() => undefined);
  }

  /** What was heard since the last `mark`, also of mails that were under way then. */
  get heard(): Heard {
    return { replies: { ...this.#replies }, slowestMs: Math.round(this.#slowestMs) };
  }

  /** A new period begins. */
  mark(): void {
    this.#replies = {};
    this.#slowestMs = 0;
  }

  /** Ends it when every mail has been accepted or refused for good. @throws what a client threw */
  async finish(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  /** Faults of the ledger, each as a sentence: lost, infected and delivered, delivered although refused, never sent. */
  faults(): string[] {
    const stored = new Set(this.#ledger.hashes);
    const sent = new Map(this.#entries.map((entry) => [entry.mail.sha256, entry]));
    const faults = [...stored].filter((hash) => !sent.has(hash)).map((hash) => `${hash} was stored and never sent`);
    for (const { mail, isInfected, replies } of this.#entries) {
      const last = replies.at(-1) ?? 'none';
      const isStored = stored.has(mail.sha256);
      if (last.startsWith('250') && !isStored) faults.push(`${mail.name} was accepted and is lost`);
      if (!last.startsWith('250') && isStored) faults.push(`${mail.name} was stored, but its sender heard ${last}`);
      if (isInfected && isStored) faults.push(`${mail.name} is infected and was stored`);
      if (isInfected && !last.startsWith('554')) faults.push(`${mail.name} is infected and its sender heard ${last}`);
    }
    return faults;
  }

  /** Sends one mail until it is accepted or refused for good. */
  async send(mail: TestMail, isInfected = false): Promise<string> {
    const entry: Entry = { mail, isInfected, replies: [] };
    this.#entries.push(entry);
    for (;;) {
      let startMs = performance.now();
      const timed = { at: 'dot' as const, act: () => void (startMs = performance.now()) };
      const { reply, end } = await deliver(this.#target, { from, to, content: dotStuff(mail.raw) }, timed);
      if (reply === undefined) throw new Error(`${mail.name} (${mail.raw.length} bytes): the conversation broke off: ${end}`);
      entry.replies.push(reply);
      const code = `${isInfected ? 'virus ' : ''}${reply.slice(0, 3)}`;
      this.#replies[code] = (this.#replies[code] ?? 0) + 1;
      this.#slowestMs = Math.max(this.#slowestMs, performance.now() - startMs);
      if (!reply.startsWith('4')) return reply;
      await sleep(RETRY_MS);
    }
  }

  async #lane(): Promise<void> {
    while (!this.#over.signal.aborted) {
      this.#seed += 1;
      const seed = this.#seed;
      const isInfected = this.withInfected && seed % 4 === 0;
      await this.send(isInfected ? eicarInBody(seed) : textMail(seed, SIZES[seed % SIZES.length]), isInfected);
      await sleep(PAUSE_MS);
    }
  }
}
