import type { InspectorSink } from '../../inspector.ts';
import type { Conversation } from '../../testing/conversation.ts';
import { play } from '../../testing/dialogue.ts';
import { Pop3Inspector } from '../pop3-inspector.ts';

export function dialogue(script: string, starttls: 'pass' | 'hide' | 'refuse' = 'pass'): Conversation {
  return play((sink: InspectorSink) => new Pop3Inspector({ sink }, { starttls, reference: 'r1' }), script);
}

export const LOGIN = `
  s => +OK ready <1.2@example.com>
  c => USER joe
  s => +OK
  c => PASS pass word  with spaces\t
  s => +OK 3 messages
`;

/** RETR 1 up to its held end. */
export const HELD = `
  ${LOGIN}
  c => RETR 1
  s -> +OK 99 octets
  * messageStart
  s ~> From: a\\r\\nTo: b\\r\\n\\r\\nbody\\r\\n.\\r\\n
  m <~ From: a\\r\\nTo: b\\r\\n\\r\\nbody\\r\\n
  * messageEnd
  state held
`;

export const BROKEN_BY_CLIENT = `
  c <- -ERR [SYS/PERM] protocol error (r1)
  * endClient
  * endServer
`;

export const BROKEN_BY_SERVER = `
  c <- -ERR [SYS/TEMP] the mail server broke the protocol (r1)
  * endClient
  * resetServer
`;
