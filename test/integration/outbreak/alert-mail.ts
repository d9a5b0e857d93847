import { asSent } from '../../kit/mails.ts';
import type { MailStore } from '../../kit/mail-store.ts';

/** A mail of the alarm as a mail client shows it. */
export interface AlertMail {
  /** Names of the header in their order, without what the mail server has put before them. */
  readonly names: readonly string[];
  readonly values: Readonly<Record<string, string>>;
  /** Decoded. */
  readonly subject: string;
  /** Decoded, lines end with LF. */
  readonly body: string;
}

/** The whole header of every mail of the alarm, and nothing else. */
export const HEADER = [
  'Auto-Submitted',
  'Content-Transfer-Encoding',
  'Content-Type',
  'Date',
  'From',
  'MIME-Version',
  'Message-ID',
  'Precedence',
  'Subject',
  'To',
  'X-Auto-Response-Suppress',
  'X-Sekisho-Alert',
];

/** What a terminal or a mail client would obey: controls, bidi overrides and the like. */
export const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;

/** All mails of the alarm in a mailbox, oldest first. */
export async function alertMails(store: MailStore, address: string): Promise<AlertMail[]> {
  return (await store.messages(address)).map((raw) => read(asSent(raw).toString('latin1')));
}

/** Which of the alarm's messages they are: alert, digest, clear or test. */
export async function stages(store: MailStore, address: string): Promise<(string | undefined)[]> {
  return (await alertMails(store, address)).map(({ values }) => values['X-Sekisho-Alert']);
}

/** The value of a line `Name:     value` of the body. */
export function factOf({ body }: AlertMail, name: string): string | undefined {
  return new RegExp(`^${name}: +(.+)$`, 'mu').exec(body)?.[1];
}

/** The rows of a list of the body, as [count, name], the in the order of their names. */
export function listOf({ body }: AlertMail, name: string): [number, string][] {
  const rows = new RegExp(`^${name}:\\n((?: +\\|.*\\n)*)`, 'mu').exec(body)?.[1] ?? '';
  return [...rows.matchAll(/^ +\| +(\d+) {2}(.*)$/gmu)].map(([, count, text]): [number, string] => [Number(count), text ?? '']).sort(byName);
}

function byName([, a]: readonly [unknown, string], [, b]: readonly [unknown, string]): number {
  return a < b ? -1 : 1;
}

function read(text: string): AlertMail {
  const end = text.indexOf('\r\n\r\n');
  const fields = text.slice(0, end).replaceAll(/\r\n(?=[ \t])/gu, '').split('\r\n');
  const pairs = fields.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const);
  const values = Object.fromEntries(pairs);
  const body = decodeBody(text.slice(end + 4), values['Content-Transfer-Encoding']);
  return { names: pairs.map(([name]) => name), values, subject: decodeWords(values['Subject'] ?? ''), body: body.replaceAll('\r\n', '\n') };
}

function decodeBody(text: string, encoding: string | undefined): string {
  if (encoding === 'base64') return Buffer.from(text, 'base64').toString();
  if (encoding === 'quoted-printable') return quoted(text.replaceAll('=\r\n', '')).toString();
  return Buffer.from(text, 'latin1').toString();
}

/** RFC 2047. */
function decodeWords(text: string): string {
  const joined = text.replaceAll(/\?=\s+=\?/gu, '?==?');
  return joined.replaceAll(/=\?utf-8\?([bq])\?([^?]*)\?=/giu, (_, kind: string, word: string) =>
    kind.toLowerCase() === 'b' ? Buffer.from(word, 'base64').toString() : quoted(word.replaceAll('_', ' ')).toString(),
  );
}

function quoted(text: string): Buffer {
  return Buffer.from(text.replaceAll(/=([0-9A-F]{2})/giu, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16))), 'latin1');
}
