/** What follows a +OK. */
type ReplyShape =
  | 'single' // nothing
  | 'list' // lines, up to one that is a dot
  | 'capabilities' // the same, of which not everything passes
  | 'message' // the same, and a message
  | 'auth' // nothing; before it any number of challenges
  | 'stls'; // TLS

/** How a command may look, and the reply to each form. */
interface Forms {
  /** Anything, as it came: it may be a secret with spaces in it, and is not looked at. */
  readonly secret?: ReplyShape;
  /** The verb and nothing else. */
  readonly alone?: ReplyShape;
  /** The number of a message. */
  readonly number?: ReplyShape;
  /** The number of a message, and how many lines. */
  readonly numberAndCount?: ReplyShape;
  readonly text?: ReplyShape;
}

/** RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH; alone it asked for a list before), 6856 (LANG, UTF8). */
const COMMANDS = {
  USER: { secret: 'single' },
  PASS: { secret: 'single' },
  APOP: { secret: 'single' },
  AUTH: { alone: 'list', text: 'auth' },
  STAT: { alone: 'single' },
  LIST: { alone: 'list', number: 'single' },
  RETR: { number: 'message' },
  DELE: { number: 'single' },
  NOOP: { alone: 'single' },
  RSET: { alone: 'single' },
  QUIT: { alone: 'single' },
  TOP: { numberAndCount: 'message' },
  UIDL: { alone: 'list', number: 'single' },
  CAPA: { alone: 'capabilities' },
  STLS: { alone: 'stls' },
  LANG: { alone: 'list', text: 'single' },
  UTF8: { alone: 'single' },
} as const satisfies Readonly<Record<string, Forms>>;

type Pop3Verb = keyof typeof COMMANDS;

export interface Pop3Command {
  readonly verb: Pop3Verb;
  readonly reply: ReplyShape;
  /** The message that it is about; 0: none. */
  readonly message: number;
  /** What the server is told. */
  readonly wire: Buffer;
}

export type CommandFault = 'unknown_command' | 'bad_argument';

const LINE_BREAK = '\r\n';
/** The verb, then a space or the end of the line. */
const VERB = /^([A-Za-z0-9]{3,4})[ \r]/u;
const LONGEST_VERB_AND_ONE = 5;
/** Nine digits fit into 32 bits. With more, a server that counts in 32 bits would take another message than we. */
const NUMBER = /^0*([1-9][0-9]{0,8})$/u;
const NUMBER_AND_COUNT = /^0*([1-9][0-9]{0,8}) +(?:0*(?=[0-9]))([0-9]{1,9})$/u;

/**
 * Reads a command line with its CRLF. Numbers are written anew: the server sees the number that we have understood, and
 * not 010, which is eight to some.
 */
export function parseCommand(line: Buffer): Pop3Command | CommandFault {
  const written = VERB.exec(line.toString('latin1', 0, Math.min(LONGEST_VERB_AND_ONE, line.length)))?.[1] ?? '';
  const verb = written.toUpperCase();
  if (!isVerb(verb)) return 'unknown_command';
  const forms: Forms = COMMANDS[verb];
  if (forms.secret !== undefined) return { verb, reply: forms.secret, message: 0, wire: line };
  return parseArguments(verb, forms, written, line) ?? 'bad_argument';
}

function parseArguments(verb: Pop3Verb, forms: Forms, written: string, line: Buffer): Pop3Command | undefined {
  const rest = line.toString('latin1', written.length, line.length - LINE_BREAK.length).replaceAll(/^ +| +$/gu, '');
  const command = (reply: ReplyShape, ...words: readonly string[]): Pop3Command => ({
    verb,
    reply,
    message: Number(words[0] ?? 0),
    wire: Buffer.from([written, ...words].join(' ') + LINE_BREAK, 'latin1'),
  });
  if (rest === '') return forms.alone && command(forms.alone);
  if (forms.text !== undefined) return { verb, reply: forms.text, message: 0, wire: line };
  const [, number = '', count = ''] = (forms.numberAndCount === undefined ? NUMBER : NUMBER_AND_COUNT).exec(rest) ?? [];
  if (number === '') return undefined;
  if (forms.numberAndCount !== undefined) return command(forms.numberAndCount, number, count);
  return forms.number && command(forms.number, number);
}

function isVerb(text: string): text is Pop3Verb {
  return Object.hasOwn(COMMANDS, text);
}
