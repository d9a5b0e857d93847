import type { ClientSide, Conversation } from '../conversation.ts';
import type { Mail } from '../content/mail.ts';
import { refusalIn, type Stage } from '../load-error.ts';
import { type Reply, ReplyReader } from './reply-reader.ts';

const EHLO = Buffer.from('EHLO office.load.invalid\r\n');
const MAIL = Buffer.from('MAIL FROM:<office@load.invalid>\r\n');
const RCPT = Buffer.from('RCPT TO:<mailbox@load.invalid>\r\n');
const DATA = Buffer.from('DATA\r\n');
const QUIT = Buffer.from('QUIT\r\n');

type State = 'greeting' | 'ehlo' | 'mail' | 'rcpt' | 'data' | 'content' | 'final' | 'quit' | 'over';

/** The reply that each state waits for, by its first digit. */
const EXPECTED: Readonly<Record<State, number>> = { greeting: 2, ehlo: 2, mail: 2, rcpt: 2, data: 3, content: 2, final: 2, quit: 2, over: 0 };
const STAGE: Readonly<Record<State, Stage>> = {
  greeting: 'greeting',
  ehlo: 'commands',
  mail: 'commands',
  rcpt: 'commands',
  data: 'commands',
  content: 'content',
  final: 'final',
  quit: 'quit',
  over: 'quit',
};

/** A client that sends mail by SMTP (RFC 5321), a command at a time as mail clients do. */
export class SmtpSender implements Conversation {
  readonly #side: ClientSide;
  readonly #replies = new ReplyReader();
  #state: State = 'greeting';
  #mail: Mail | undefined;

  constructor(side: ClientSide) {
    this.#side = side;
  }

  get stage(): Stage {
    return STAGE[this.#state];
  }

  onBytes(chunk: Buffer, length: number): void {
    let at = 0;
    try {
      while (at < length && this.#state !== 'over') {
        const found = this.#replies.read(chunk, at, length);
        if (found === undefined) return;
        at = found.next;
        this.#onReply(found.reply);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#fail('protocol');
    }
  }

  contentSent(): void {
    if (this.#state === 'content') this.#state = 'final';
  }

  #onReply({ code, line }: Reply): void {
    if (Math.floor(code / 100) !== EXPECTED[this.#state]) {
      if (code >= 400 && code < 500) return this.#fail('refused_temporary', line);
      if (code >= 500 && code < 600) return this.#fail('refused_permanent', line);
      return this.#fail('protocol');
    }
    switch (this.#state) {
      case 'greeting':
        this.#side.onGreeting();
        return this.#say('ehlo', EHLO);
      case 'ehlo':
        return this.#begin();
      case 'mail':
        return this.#say('rcpt', RCPT);
      case 'rcpt':
        return this.#say('data', DATA);
      case 'data':
        this.#state = 'content';
        if (this.#mail !== undefined) this.#side.sendContent(this.#mail);
        return undefined;
      case 'final':
        if (this.#mail !== undefined) this.#side.onMail(this.#mail);
        return this.#begin();
      case 'quit':
        this.#state = 'over';
        return this.#side.onDone();
      default:
        // A 250 before the mail was sent whole.
        return this.#fail('protocol');
    }
  }

  #begin(): void {
    this.#mail = this.#side.nextMail();
    if (this.#mail === undefined) this.#say('quit', QUIT);
    else this.#say('mail', MAIL);
  }

  #say(state: State, command: Buffer): void {
    this.#state = state;
    this.#side.write(command);
  }

  #fail(code: 'protocol' | 'refused_temporary' | 'refused_permanent', line = ''): void {
    const { stage } = this;
    this.#state = 'over';
    this.#side.onFailure({ code, stage, refusal: refusalIn(line) });
  }
}
