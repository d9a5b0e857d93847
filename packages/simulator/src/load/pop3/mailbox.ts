import { CommandLines } from '../command-lines.ts';
import { type Mail, MAX_MAIL_BYTES, MIN_MAIL_BYTES } from '../content/mail.ts';
import type { ServerSide } from '../smtp/sink.ts';

export interface MailboxSide extends ServerSide {
  /** Sends the content of a mail up to and with its final dot. */
  sendContent(mail: Mail): void;
}

export const POP3_GREETING = Buffer.from('+OK load.invalid\r\n');
const OK = Buffer.from('+OK\r\n');
const STAT = Buffer.from('+OK 1 1000\r\n');
const CAPABILITIES = Buffer.from('+OK\r\nUSER\r\nUIDL\r\n.\r\n');
const FOLLOWS = Buffer.from('+OK follows\r\n');
const NONE = Buffer.from('-ERR no such message\r\n');
const UNKNOWN = Buffer.from('-ERR not known here\r\n');
const BYE = Buffer.from('+OK bye\r\n');
const MAX_NUMBER = 2 ** 32;

/** The end of a simulated mail server that hands out mail by POP3: what Pop3Fetcher asks for, and no more of RFC 1939. */
export class Pop3Mailbox {
  readonly #side: MailboxSide;
  readonly #lines = new CommandLines();
  #user: { readonly worker: number; readonly bytes: number } | undefined;

  constructor(side: MailboxSide) {
    this.#side = side;
  }

  /** Throws RangeError for a command that is too long. */
  onBytes(chunk: Buffer): void {
    let at = 0;
    for (;;) {
      const found = this.#lines.read(chunk, at, chunk.length);
      if (found === undefined) return;
      at = found.next;
      this.#onCommand(found.line);
    }
  }

  #onCommand(line: string): void {
    const [verb = '', argument = ''] = line.split(' ');
    switch (verb.toUpperCase()) {
      case 'USER':
        this.#user = userOf(argument);
        return this.#side.write(this.#user === undefined ? UNKNOWN : OK);
      case 'PASS':
      case 'NOOP':
        return this.#side.write(OK);
      case 'STAT':
        return this.#side.write(STAT);
      case 'CAPA':
        return this.#side.write(CAPABILITIES);
      case 'RETR':
        return this.#retrieve(Number(argument));
      case 'QUIT':
        this.#side.write(BYE);
        return this.#side.end();
      default:
        return this.#side.write(UNKNOWN);
    }
  }

  #retrieve(number: number): void {
    if (this.#user === undefined || !(Number.isInteger(number) && number >= 1 && number <= MAX_NUMBER)) return this.#side.write(NONE);
    this.#side.write(FOLLOWS);
    this.#side.sendContent({ ...this.#user, sequence: number - 1 });
  }
}

function userOf(name: string): { worker: number; bytes: number } | undefined {
  const [, worker = '', bytes = ''] = /^w(\d{1,5})\.s(\d{1,10})$/u.exec(name) ?? [];
  const user = { worker: Number(worker), bytes: Number(bytes) };
  return bytes !== '' && user.worker < 2 ** 16 && user.bytes >= MIN_MAIL_BYTES && user.bytes <= MAX_MAIL_BYTES ? user : undefined;
}
