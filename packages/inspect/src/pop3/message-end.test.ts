import { expect, test } from 'vitest';
import { MessageEnd } from './message-end.ts';

interface Found {
  readonly content: string;
  /** Of everything that was pushed, how much belongs to the message; -1: it has not ended. */
  readonly end: number;
  readonly isAmbiguous: boolean;
}

function find(stream: string, splits: readonly number[]): Found {
  const content: Buffer[] = [];
  const messageEnd = new MessageEnd({ onContent: (piece) => content.push(piece) });
  let at = 0;
  for (const to of [...splits, stream.length]) {
    const taken = messageEnd.push(Buffer.from(stream.slice(at, to), 'latin1'));
    if (taken !== undefined) return { content: text(content), end: at + taken, isAmbiguous: messageEnd.isAmbiguous };
    at = to;
  }
  return { content: text(content), end: -1, isAmbiguous: messageEnd.isAmbiguous };
}

const text = (pieces: readonly Buffer[]): string => Buffer.concat(pieces).toString('latin1');

/** All words of these letters with up to `longest` of them. */
function words(letters: readonly string[], longest: number): string[] {
  const all = [''];
  for (let from = 0, length = 1; length <= longest; length += 1) {
    const to = all.length;
    for (const word of all.slice(from, to)) all.push(...letters.map((letter) => word + letter));
    from = to;
  }
  return all;
}

const WORDS = words(['\r', '\n', '.', 'x'], 6);
const CLOSED = [...WORDS.map((word) => `${word}\r\n.\r\n`), '.\r\n'];

/** What RFC 1939 says, in one line. */
const strictEnd = (stream: string): number => {
  const at = `\r\n${stream}`.indexOf('\r\n.\r\n');
  return at === -1 ? -1 : at + 3;
};

test('the end is where the RFC says, and every byte before it is content', () => {
  for (const stream of [...WORDS, ...CLOSED]) {
    const { content, end } = find(stream, []);
    expect({ stream, end }).toEqual({ stream, end: strictEnd(stream) });
    if (end === -1) expect(stream.startsWith(content) && /^\.?\r?$/u.test(stream.slice(content.length))).toBe(true);
    else expect(content).toBe(stream.slice(0, end - 3));
  }
});

test('no split changes anything', () => {
  for (const stream of CLOSED) {
    const whole = find(stream, []);
    const singles = Array.from({ length: stream.length }, (_, index) => index);
    const different = [singles, ...singles.map((at) => [at])].filter((splits) => {
      const { content, end, isAmbiguous } = find(stream, splits);
      return content !== whole.content || end !== whole.end || isAmbiguous !== whole.isAmbiguous;
    });
    expect({ stream, different }).toEqual({ stream, different: [] });
  }
});

type Reader = (stream: string) => { readonly end: number; readonly lines: readonly string[] };

/** fetchmail, Go, Perl: a line ends with LF, a CR before it is taken off, a leading dot as well. */
const byLines: Reader = (stream) => readLines(stream, (line) => line.replace(/\r?\n$/u, ''));

/** Python's poplib (_getline, _getlongresp). */
const poplib: Reader = (stream) =>
  readLines(stream, (line) => {
    if (line.endsWith('\r\n')) return line.slice(0, -2);
    return line.startsWith('\r') ? line.slice(1, -1) : line.slice(0, -1);
  });

function readLines(stream: string, strip: (line: string) => string): ReturnType<Reader> {
  const lines: string[] = [];
  let at = 0;
  for (const raw of stream.match(/[^\n]*\n/gu) ?? []) {
    at += raw.length;
    const line = strip(raw);
    if (line === '.') return { end: at, lines };
    lines.push(line.replace(/^\./u, ''));
  }
  return { end: -1, lines };
}

/** JavaMail (Protocol.multilineCommand): LF, a dot, CR, and one byte more. */
const javaMail: Reader = (stream) => {
  let body = '';
  let last = '\n';
  for (let at = 0; at < stream.length; at += 1) {
    let byte = stream[at] ?? '';
    if (last === '\n' && byte === '.') {
      at += 1;
      byte = stream[at] ?? '';
      if (byte === '\r') return { end: at + 2, lines: body.split(/\r?\n/u).slice(0, -1) };
    }
    body += byte;
    last = byte;
  }
  return { end: -1, lines: [] };
};

/** The scanner's view: dots are taken off behind CRLF; how it cuts lines is the same for all that it sees. */
const strict: Reader = (stream) => {
  const end = strictEnd(stream);
  const content = `\r\n${stream.slice(0, end - 3)}`.replaceAll('\r\n.', '\r\n').slice(2);
  return { end, lines: content.split(/\r?\n/u).slice(0, -1) };
};

test('what is not ambiguous is the same message to lax readers', () => {
  const clear = CLOSED.filter((stream) => !find(stream, []).isAmbiguous);
  expect(clear.length).toBeGreaterThan(CLOSED.length / 2);
  for (const stream of clear) {
    const { end, lines } = strict(stream);
    for (const reader of [byLines, javaMail]) expect({ stream, ...reader(stream) }).toEqual({ stream, end, lines });
    // It takes a CR off lines that begin with one, but then only there.
    expect({ stream, end: poplib(stream).end }).toEqual({ stream, end });
  }
});

test('what a server sends that knows CRLF only is never ambiguous, whatever somebody has mailed', () => {
  for (const word of WORDS) {
    const stored = `${word.replaceAll(/\r?\n/gu, '\r\n')}\r\n`;
    const stuffed = stored.replaceAll(/(?<=^|\r\n)\./gu, '..');
    expect({ word, ...find(`${stuffed}.\r\n`, []) }).toMatchObject({ word, content: stuffed, isAmbiguous: false });
  }
});

test('another message begins anew', () => {
  const messageEnd = new MessageEnd({ onContent: () => {} });
  expect(messageEnd.push(Buffer.from('a\n.\r\n.\r\n'))).toBe(8);
  expect(messageEnd.isAmbiguous).toBe(true);
  messageEnd.restart();
  expect(messageEnd.isAmbiguous).toBe(false);
  expect(messageEnd.push(Buffer.from('.\r\n+OK'))).toBe(3);
});
