import { ContentCheck } from '../content/content-check.ts';
import type { Mail, RunId } from '../content/mail.ts';
import type { ClientSide, Conversation } from '../conversation.ts';
import { CommandLines } from '../command-lines.ts';
import { refusalIn, type Stage } from '../load-error.ts';

const STAT = Buffer.from('STAT\r\n');
const PASS = Buffer.from('PASS load\r\n');
const QUIT = Buffer.from('QUIT\r\n');

type State = 'greeting' | 'user' | 'pass' | 'stat' | 'retr' | 'content' | 'quit' | 'over';
const STAGE: Readonly<Record<State, Stage>> = {
  greeting: 'greeting',
  user: 'commands',
  pass: 'commands',
  stat: 'commands',
  retr: 'commands',
  content: 'content',
  quit: 'quit',
  over: 'quit',
};

/**
 * A client that fetches mail by POP3 (RFC 1939). Which mail it gets stands in the name of its user, `w3.s4096`: all mails
 * of 4096 bytes that process 3 may ask for, the number of the message being that of the mail.
 */
export class Pop3Fetcher implements Conversation {
  readonly #side: ClientSide;
  readonly #lines = new CommandLines();
  readonly #check: ContentCheck;
  #state: State = 'greeting';
  #mail: Mail | undefined;

  constructor(side: ClientSide, init: { readonly run: RunId }) {
    this.#side = side;
    this.#check = new ContentCheck(init.run);
  }

  get stage(): Stage {
    return STAGE[this.#state];
  }

  onBytes(chunk: Buffer, length: number): void {
    let at = 0;
    try {
      while (at < length && this.#state !== 'over') {
        if (this.#state === 'content') at = this.#takeContent(chunk, at, length);
        else {
          const found = this.#lines.read(chunk, at, length);
          if (found === undefined) return;
          at = found.next;
          this.#onReply(found.line);
        }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#fail('protocol');
    }
  }

  contentSent(): void {}

  #takeContent(chunk: Buffer, start: number, length: number): number {
    const stop = this.#check.push(chunk, start, length);
    const { verdict } = this.#check;
    const mail = this.#mail;
    if (verdict === undefined || mail === undefined) return stop;
    if (verdict.kind !== 'intact' || verdict.mail.sequence !== mail.sequence || verdict.mail.worker !== mail.worker || verdict.mail.bytes !== mail.bytes) {
      this.#fail('altered');
      return stop;
    }
    this.#side.onMail(mail);
    this.#next();
    return stop;
  }

  #onReply(line: string): void {
    if (line.startsWith('-ERR')) return this.#fail(line.includes('[SYS/PERM]') ? 'refused_permanent' : 'refused_temporary', line);
    if (!line.startsWith('+OK')) return this.#fail('protocol');
    switch (this.#state) {
      case 'greeting':
        this.#side.onGreeting();
        this.#mail = this.#side.nextMail();
        if (this.#mail === undefined) return this.#say('quit', QUIT);
        return this.#say('user', `USER w${this.#mail.worker}.s${this.#mail.bytes}\r\n`);
      case 'user':
        return this.#say('pass', PASS);
      case 'pass':
        return this.#say('stat', STAT);
      case 'stat':
        return this.#retrieve();
      case 'retr':
        this.#state = 'content';
        this.#check.reset();
        return undefined;
      default:
        this.#state = 'over';
        return this.#side.onDone();
    }
  }

  #next(): void {
    this.#mail = this.#side.nextMail();
    this.#retrieve();
  }

  #retrieve(): void {
    if (this.#mail === undefined) this.#say('quit', QUIT);
    else this.#say('retr', `RETR ${this.#mail.sequence + 1}\r\n`);
  }

  #say(state: State, command: Buffer | string): void {
    this.#state = state;
    this.#side.write(command);
  }

  #fail(code: 'protocol' | 'altered' | 'refused_temporary' | 'refused_permanent', line = ''): void {
    const { stage } = this;
    this.#state = 'over';
    this.#side.onFailure({ code, stage, refusal: refusalIn(line) });
  }
}
