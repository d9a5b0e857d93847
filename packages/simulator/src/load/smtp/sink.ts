import { CommandLines } from '../command-lines.ts';
import { ContentCheck, type ContentVerdict } from '../content/content-check.ts';
import type { RunId } from '../content/mail.ts';

/** What a simulated server's end of a connection needs of the world. */
export interface ServerSide {
  write(bytes: Buffer): void;
  /** Says no more. */
  end(): void;
}

export interface SinkSide extends ServerSide {
  /** A mail is there to its final dot. False: it is not taken. */
  onContent(verdict: ContentVerdict): boolean;
  onContentBytes(bytes: number): void;
}

export const SMTP_GREETING = Buffer.from('220 load.invalid ESMTP\r\n');
const OK = Buffer.from('250 2.0.0 OK\r\n');
const CAPABILITIES = Buffer.from('250-load.invalid\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n');
const GO_AHEAD = Buffer.from('354 end with a dot on a line of its own\r\n');
const NOT_OURS = Buffer.from('554 5.6.0 this is no mail of this run, or not as it was sent\r\n');
const BYE = Buffer.from('221 2.0.0 bye\r\n');
const UNKNOWN = Buffer.from('500 5.5.1 not known here\r\n');

/** The end of a simulated mail server that takes mail by SMTP: as little of RFC 5321 as clients need. */
export class SmtpSink {
  readonly #side: SinkSide;
  readonly #lines = new CommandLines();
  readonly #check: ContentCheck;
  #inContent = false;

  constructor(side: SinkSide, init: { readonly run: RunId }) {
    this.#side = side;
    this.#check = new ContentCheck(init.run);
  }

  /** Throws RangeError for a command that is too long. */
  onBytes(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#inContent) at = this.#takeContent(chunk, at);
      else {
        const found = this.#lines.read(chunk, at, chunk.length);
        if (found === undefined) return;
        at = found.next;
        this.#onCommand(found.line);
      }
    }
  }

  #takeContent(chunk: Buffer, start: number): number {
    const stop = this.#check.push(chunk, start, chunk.length);
    this.#side.onContentBytes(stop - start);
    const { verdict } = this.#check;
    if (verdict !== undefined) {
      this.#inContent = false;
      // Stored before it is said so.
      this.#side.write(this.#side.onContent(verdict) ? OK : NOT_OURS);
    }
    return stop;
  }

  #onCommand(line: string): void {
    switch (line.slice(0, 4).toUpperCase()) {
      case 'EHLO':
        return this.#side.write(CAPABILITIES);
      case 'HELO':
      case 'MAIL':
      case 'RCPT':
      case 'RSET':
      case 'NOOP':
        return this.#side.write(OK);
      case 'DATA':
        this.#inContent = true;
        this.#check.reset();
        return this.#side.write(GO_AHEAD);
      case 'QUIT':
        this.#side.write(BYE);
        return this.#side.end();
      default:
        return this.#side.write(UNKNOWN);
    }
  }
}
