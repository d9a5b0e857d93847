import type { Conversation } from '../../testing/conversation.ts';
import { play } from '../../testing/dialogue.ts';
import { SmtpInspector } from '../smtp-inspector.ts';

const REFERENCE = 'r7';

/** Plays a dialogue through an SmtpInspector. */
export function playSmtp(script: string, starttls: 'pass' | 'hide' | 'refuse' = 'pass'): Conversation {
  return play((sink) => new SmtpInspector({ sink }, { starttls, reference: REFERENCE }), script);
}

/** The state in which a dialogue leaves an SmtpInspector. */
export function stateAfter(script: string, starttls: 'pass' | 'hide' | 'refuse' = 'pass'): string {
  return playSmtp(script, starttls).inspector.state;
}

/** Up to where a client would begin a transaction. */
export const GREETED = `
  s => 220 mx.example.net ESMTP
  c => EHLO client.example
  s => 250 mx.example.net
`;

/** A transaction of a client that does not pipeline, up to where it may send content. */
export const DATA_BEGUN = `
  c => MAIL FROM:<a@example.com>
  s => 250 ok
  c => RCPT TO:<b@example.net>
  s => 250 ok
  c => DATA
  s => 354 go ahead
  * messageStart
`;

export const IN_CONTENT = `${GREETED}${DATA_BEGUN}
  c => Subject: hello
  c => 
`;

/** The end of a message has come. */
export const HELD = `${IN_CONTENT}
  c => text
  c -> .
  * messageEnd
  state held
`;

export const BROKEN = '421 4.5.0 the server broke the protocol, try again later (r7)';

/** What follows every violation. */
export const dead = (code: string): string => `
  * resetServer
  * endClient
  * violation ${code}
  state dead
  c -> QUIT
  s -> 250 ok
  c -|
  s -|
`;
