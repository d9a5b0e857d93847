import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';

/** Between two mails; fewer at a time than an office sends, but without a pause. */
const PACE_MS = 90;
const RETRY_MS = 250;
const MAX_ATTEMPTS = 40;
const MARK = 'X-Demo-Number';

/**
 * An office that goes on sending whatever happens, and sends a mail again when it was not accepted, as every mail
 * client does. What it counts as accepted it saw a 250 for.
 */
export class Background {
  readonly #port: number;
  readonly #count: number;
  readonly #running: Promise<void>[] = [];
  #paceMs = PACE_MS;
  #finished: Promise<void> = Promise.resolve();
  accepted = 0;
  retries = 0;

  constructor(init: { readonly port: number; readonly count: number }) {
    this.#port = init.port;
    this.#count = init.count;
  }

  start(): void {
    this.#finished = this.#sendAll();
  }

  /** The story is told: send what is left without pauses. */
  hurry(): void {
    this.#paceMs = 5;
  }

  /** Resolves when every mail was accepted; rejects after `timeoutMs`. */
  async done(timeoutMs: number): Promise<void> {
    const timeout = sleep(timeoutMs, undefined, { ref: false }).then(() => {
      throw new Error(`${this.accepted} of ${this.#count} mails were accepted in ${timeoutMs / 1000} s more`);
    });
    await Promise.race([this.#finished, timeout]);
  }

  /** How many of its mails are among these, and how many a second time. */
  arrivedIn(mails: readonly Buffer[]): { readonly unique: number; readonly duplicates: number } {
    const numbers = mails
      .map((raw) => new RegExp(`^${MARK}: (\\d+)\\r$`, 'mu').exec(raw.toString('latin1'))?.[1])
      .filter((number) => number !== undefined);
    const unique = new Set(numbers).size;
    return { unique, duplicates: numbers.length - unique };
  }

  async #sendAll(): Promise<void> {
    for (let number = 1; number <= this.#count; number += 1) {
      this.#running.push(this.#send(number));
      await sleep(this.#paceMs);
    }
    await Promise.all(this.#running);
  }

  async #send(number: number): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const transport = createTransport({ host: '127.0.0.1', port: this.#port, ignoreTLS: true });
      try {
        await transport.sendMail({
          from: 'office@office.example',
          to: 'friend@mail.example',
          subject: `Mail ${number}`,
          text: `This is mail ${number}.\n`,
          headers: { [MARK]: String(number) },
        });
        this.accepted += 1;
        return;
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) throw error;
        this.retries += 1;
        await sleep(RETRY_MS);
      } finally {
        transport.close();
      }
    }
  }
}
