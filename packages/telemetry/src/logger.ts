import { type DestinationStream, pino } from 'pino';
import pretty from 'pino-pretty';
import { censor } from './censor.ts';
import { LineBatch } from './line-batch.ts';

/** Without children: pino does not show us what they are given, so a secret in it could not be taken out. */
export type Logger = Pick<pino.Logger, 'level' | 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'>;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What a peer sent may stand in a log line, but never more of it than this. */
const MAX_TEXT_CHARACTERS = 512;

export interface LoggerInit {
  readonly role: string;
  readonly site?: string | undefined;
  readonly name?: string | undefined;
  readonly level?: LogLevel | undefined;
  /** Where lines go; by default standard output, in colour and in words when that is a terminal, else JSON. */
  readonly destination?: DestinationStream | undefined;
}

/** The one logger of a process: JSON lines with `role`, `site` and `name` in each. */
export function createLogger(init: LoggerInit): Logger {
  const base: Record<string, string> = { role: init.role };
  if (init.site !== undefined) base['site'] = init.site;
  if (init.name !== undefined) base['name'] = init.name;
  return pino(
    {
      level: init.level ?? 'info',
      base,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: censorLine },
      serializers: { err: (error: Error) => censor(pino.stdSerializers.err(error)) },
    },
    init.destination ?? standardOutput(),
  );
}

/** An error is left to its serializer, which needs it as it is. */
function censorLine(line: Record<string, unknown>): Record<string, unknown> {
  if (!(line['err'] instanceof Error)) return censor(line);
  const { err, ...others } = line;
  return { ...censor(others), err };
}

function standardOutput(): DestinationStream {
  if (!process.stdout.isTTY) {
    const batch = new LineBatch(pino.destination({ dest: 1, sync: true }));
    // The last line before a crash is the one that is needed.
    process.on('exit', () => batch.flush());
    return batch;
  }
  const colorize = process.env['NO_COLOR'] === undefined;
  return pretty({ colorize, ignore: 'pid,hostname,role,site,name', messageFormat: '{role} {msg}', singleLine: true, sync: true });
}

/**
 * Makes a stranger's text fit for a line that people read on terminals: control characters are escaped (JSON would
 * do so, a pretty-printer does not) and the length is capped.
 */
export function printable(text: string): string {
  const cut = text.length > MAX_TEXT_CHARACTERS ? `${text.slice(0, MAX_TEXT_CHARACTERS)}…` : text;
  return cut.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
