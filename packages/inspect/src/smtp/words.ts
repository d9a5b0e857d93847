/** Of the text of a refusal: with the rest of the line within the 512 bytes of RFC 5321 4.5.3.1.5. */
export const MAX_REFUSAL_CHARACTERS = 200;

/** What the client hears from us, with the enhanced status codes of RFC 3463. None of it is ever a 354 or accepts anything. */
export const WORDS = {
  unknownCommand: '502 5.5.1 this command is not supported',
  starttlsHidden: '502 5.5.1 STARTTLS is not supported',
  starttlsRefused: '554 5.7.0 STARTTLS is not allowed here, go on without it',
  lostServer: '421 4.4.2 the connection to the server was lost, try again later',
  bye: '221 2.0.0 bye',
  orphaned: '421 4.3.0 the connection to the server is closed after a refusal, connect again',
} as const;

/** The reply with which a message is refused (RFC 3463: 7.1 is "not authorized", by policy). */
export function refusalWords(refusal: { readonly temporary: boolean; readonly text: string }): string {
  return `${refusal.temporary ? '451 4.7.1' : '554 5.7.1'} ${printableAscii(refusal.text)}`;
}

/** A line of ours. `reference` at its end leads from a user's complaint to a line of the log. */
export function replyLine(words: string, reference: string): Buffer {
  return Buffer.from(`${words} (${printableAscii(reference)})\r\n`, 'latin1');
}

function printableAscii(text: string): string {
  return text.slice(0, MAX_REFUSAL_CHARACTERS).replaceAll(/[^ -~]/gu, '?');
}
