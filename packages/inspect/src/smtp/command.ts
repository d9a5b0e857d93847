/** A command with its CRLF. RFC 5321 4.5.3.1.4 says 512, and extensions add to it; Postfix takes 2,048. */
export const MAX_COMMAND_LINE_BYTES = 4096;
/**
 * A line of an AUTH exchange, either way (RFC 4954 section 4), and the AUTH command: clients put tokens into its initial
 * response that are longer than a command may be.
 */
export const MAX_AUTH_LINE_BYTES = 12_288;

/**
 * What a command is to the inspector. `command` has one reply and nothing else to it. `unknown` does not reach the server:
 * what it would do there we do not know. `payload` was not offered and has octets behind it that would be taken for
 * commands.
 */
export type CommandKind = 'command' | 'ehlo' | 'data' | 'auth' | 'starttls' | 'quit' | 'payload' | 'unknown';

const KINDS: ReadonlyMap<string, CommandKind> = new Map([
  ['HELO', 'command'],
  ['MAIL', 'command'],
  ['RCPT', 'command'],
  ['RSET', 'command'],
  ['NOOP', 'command'],
  ['VRFY', 'command'],
  ['EXPN', 'command'],
  ['HELP', 'command'],
  ['ETRN', 'command'],
  ['EHLO', 'ehlo'],
  ['DATA', 'data'],
  ['AUTH', 'auth'],
  ['STARTTLS', 'starttls'],
  ['QUIT', 'quit'],
  ['BDAT', 'payload'], // RFC 3030
  ['XEXCH50', 'payload'], // Exchange
]);

const LONGEST_VERB = 'STARTTLS'.length;

/**
 * The kind of a line that ends with CRLF. Nothing but a space or the CRLF ends a verb, and it stands first: a server may
 * be laxer, and a line that only some read as DATA must not reach it.
 */
export function kindOfCommand(line: Buffer): CommandKind {
  const start = line.toString('latin1', 0, LONGEST_VERB + 1);
  const [verb = ''] = start.split(/[ \r]/u, 1);
  return KINDS.get(verb.toUpperCase()) ?? 'unknown';
}
