import type { Pop3Command } from './command.ts';

/** Commands that wait for their replies, with those that we answer; a client with more is read no further. */
export const MAX_OUTSTANDING_COMMANDS = 128;

/** Something that is answered in its turn: the connection itself, a command at the server, or one that never got there. */
type Outstanding =
  | { readonly kind: 'greeting' }
  | { readonly kind: 'forwarded'; readonly command: Pop3Command }
  | { readonly kind: 'local'; readonly answer: Buffer };

/** What the reply that comes next belongs to. */
export type Awaited = Pop3Command | 'greeting';

/** The queue that brings commands and replies together (RFC 2449 section 6.6, PIPELINING). */
export class OutstandingCommands {
  readonly #queue: Outstanding[] = [{ kind: 'greeting' }];

  get isFull(): boolean {
    return this.#queue.length >= MAX_OUTSTANDING_COMMANDS;
  }

  /** Undefined: the server has nothing to say, if takeAnswers() was called. */
  get first(): Awaited | undefined {
    return awaited(this.#queue[0]);
  }

  /** The newest; undefined: it is ours, or none is outstanding. */
  get last(): Awaited | undefined {
    return awaited(this.#queue.at(-1));
  }

  /** The server has been told. */
  pushForwarded(command: Pop3Command): void {
    this.#queue.push({ kind: 'forwarded', command });
  }

  /** The server has not; the answer is said in its turn. */
  pushLocal(answer: Buffer): void {
    this.#queue.push({ kind: 'local', answer });
  }

  /** The first has got its reply. */
  shift(): void {
    this.#queue.shift();
  }

  /** The answers of ours whose turn it is. */
  takeAnswers(): Buffer[] {
    const answers: Buffer[] = [];
    for (let first = this.#queue[0]; first?.kind === 'local'; first = this.#queue[0]) {
      answers.push(first.answer);
      this.#queue.shift();
    }
    return answers;
  }

  /** A RETR or TOP of this message has not got its reply. */
  hasMessage(message: number): boolean {
    return this.#queue.some(
      (one) => one.kind === 'forwarded' && one.command.reply === 'message' && one.command.message === message,
    );
  }
}

function awaited(one: Outstanding | undefined): Awaited | undefined {
  if (one === undefined || one.kind === 'local') return undefined;
  return one.kind === 'greeting' ? 'greeting' : one.command;
}
