import type { Mail } from './content/mail.ts';
import type { Failure, Stage } from './load-error.ts';

/** What a simulated client needs of the world. */
export interface ClientSide {
  write(bytes: Buffer | string): void;
  /** The greeting is there: the way to the destination is. */
  onGreeting(): void;
  /** The next mail of this session; undefined: there is none, say goodbye. */
  nextMail(): Mail | undefined;
  /** Sends the content of a mail, and calls contentSent() when all of it was written. */
  sendContent(mail: Mail): void;
  /** The destination has taken the mail, or the client has got it whole. */
  onMail(mail: Mail): void;
  onDone(): void;
  onFailure(failure: Failure): void;
}

/** One client's part of a session, a state machine over bytes. It says onDone or onFailure once, and nothing afterwards. */
export interface Conversation {
  readonly stage: Stage;
  /** The bytes from 0 up to `length` of a buffer that is the caller's again afterwards. */
  onBytes(chunk: Buffer, length: number): void;
  contentSent(): void;
}
