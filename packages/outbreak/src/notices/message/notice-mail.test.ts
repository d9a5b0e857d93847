import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_HEADER_CHARS, MAX_HEADER_LINES } from './header-block.ts';
import { MAX_LINE_CHARS, MAX_LINES, readNoticeMail } from './notice-mail.ts';
import { MAX_MIME_DEPTH, MAX_MIME_PARTS, MAX_TEXT_CHARS } from './text-parts.ts';

const read = (...lines: string[]) => readNoticeMail(Buffer.from(lines.join('\r\n'), 'latin1'));
/** The lines of the text, without the subject. */
const text = (...lines: string[]): readonly string[] => read(...lines).lines.slice(1);
const utf8 = (value: string): string => Buffer.from(value).toString('latin1');

describe('headers', () => {
  test.each([
    ['plain', 'Virus', 'Virus'],
    ['folded', 'VIRUS (A)\r\n  in\r\n\tmail', 'VIRUS (A) in mail'],
    ['encoded words, joined', '=?utf-8?q?caf=C3=A9_?= =?ISO-8859-1*en?B?7Q==?= x', 'café í x'],
    ['an encoded word in Japanese', '=?ISO-2022-JP?B?GyRCJSYlJCVrJTkbKEI=?=', 'ウイルス'],
    ['a charset that does not exist', '=?x-none?q?a=41?=', 'aA'],
    ['no encoded word', '=?utf-8?x?a?= b =?utf-8?q?', '=?utf-8?x?a?= b =?utf-8?q?'],
    ['bare UTF-8', utf8('Wörm'), 'Wörm'],
    ['bare Windows-1252', 'W\u00f6rm', 'Wörm'],
    ['NUL, ESC and CR within it', 'a\u0000b\u001b[31mc\rd', 'a b [31mc d'],
    ['a header encoded into it', '=?utf-8?q?x=0D=0ABcc=3A_victim=40example.org?=', 'x Bcc: victim@example.org'],
  ])('a subject: %s', (_, raw, decoded) => {
    expect(read(`Subject: ${raw}`, '', 'text').lines).toEqual([decoded, 'text']);
  });

  test('the first of two counts, in any case, and a line that is none is passed over', () => {
    const mail = read('garbage', 'sUBJECT : one', 'Subject: two', 'MESSAGE-ID: <a@b>', 'From: "x <y@z>" <Amavis@Example.COM>', '', '');
    expect(mail).toEqual({ from: 'amavis@example.com', lines: ['one'], messageId: '<a@b>' });
    expect(read('From: amavis@example.com', 'Message-ID: <>').from).toBe('amavis@example.com');
    expect(read('Message-ID: <>').messageId).toBeUndefined();
  });

  test('one that never ends is cut, and so is a block of too many', () => {
    const long = `Subject: ${'x'.repeat(100_000)}`;
    expect(read(long).lines[0]?.length).toBe(MAX_LINE_CHARS);
    const folded = ['Message-ID: <a', ...Array.from({ length: 10_000 }, () => ` ${'x'.repeat(100)}`)];
    expect(read(...folded).messageId?.length).toBeLessThan(MAX_HEADER_CHARS);
    const many = Array.from({ length: MAX_HEADER_LINES }, (_, index) => `X-${index}: y`);
    expect(read(...many, 'Subject: late', '', '').lines[0]).toBe('');
  });
});

describe('text', () => {
  const part = (headers: string[], body: string): string[] => ['--b', ...headers, '', body];
  const multipart = (type: string, ...parts: string[][]): string[] => [`Content-Type: multipart/${type}; boundary="b"`, '', 'preamble', ...parts.flat(), '--b--', 'epilogue'];

  test.each([
    ['quoted-printable', ['Content-Transfer-Encoding: Quoted-Printable', '', 'a=', 'b =C3=A9=zz ='], ['ab é=zz =']],
    ['base64 with rubbish in it', ['Content-Transfer-Encoding: base64', '', 'SGVs', '!!bG8K', 'Qnll'], ['Hello', 'Bye']],
    ['an unknown encoding', ['Content-Transfer-Encoding: x-none', '', 'as it is'], ['as it is']],
    ['a charset', ['Content-Type: text/plain; format=flowed; Charset = "windows-1251"', '', '\u00c2\u00e8\u00f0\u00f3\u00f1'], ['Вирус']],
    ['NULs and bare CR', ['', 'a\u0000b\rc', '', '   ', '\td  e '], ['a b c', 'd e']],
    ['bare LF', ['Subject: x\nFrom: y\n\nline\nline'], ['line', 'line']],
    ['an attachment', ['Content-Type: text/plain', 'Content-Disposition: attachment', '', 'no'], []],
    ['no text', ['Content-Type: application/zip', '', 'no'], []],
    ['a multipart without a boundary', ['Content-Type: multipart/mixed', '', 'no'], []],
    ['no body', ['Subject: x'], []],
  ])('%s', (_, lines, expected) => {
    expect(text(...lines)).toEqual(expected);
  });

  test('of a report the words for people, and nothing that it encloses', () => {
    const lines = multipart(
      'report; report-type=delivery-status',
      part([], 'for people'),
      part(['Content-Type: message/delivery-status'], 'no'),
      part(['Content-Type: message/rfc822'], ['Content-Type: multipart/mixed; boundary=c', '', '--c', '', 'no', '--c--'].join('\r\n')),
      part(['Content-Type: text/rfc822-headers'], 'Subject: no'),
      part(['Content-Type: text/plain', 'Content-Disposition: inline'], 'more'),
    );
    expect(text(...lines)).toEqual(['for people', 'more']);
  });

  test('HTML where there is no plain text, else not', () => {
    const html = part(['Content-Type: text/html'], '<style>x</style><p>a&lt;b&#233;&#x41;&bogus;&#99999999;</p><td>c<td>d<br>e<!-- f --><script>g</script>h<title');
    expect(text(...multipart('mixed', html))).toEqual(['a<béA&bogus;&#99999999;', 'c d', 'eh']);
    expect(text(...multipart('alternative', part([], 'plain'), html))).toEqual(['plain']);
  });

  test('multiparts in one another, ended or not', () => {
    const inner = ['Content-Type: multipart/alternative; boundary=bb', '', '--bb', '', 'one', '--bb', '', 'two'];
    expect(text(...multipart('mixed', ['--b', ...inner], part([], 'three')))).toEqual(['one', 'two', 'three']);
    expect(text(...multipart('mixed', ['--b', ...inner, '--bb--', 'no'], part([], 'three')))).toEqual(['one', 'two', 'three']);
    const outer = 'Content-Type: multipart/mixed; boundary=b';
    expect(text(outer, '', '--b', 'Content-Type: application/zip', '--b', '', 'behind headers that do not end')).toEqual(['behind headers that do not end']);
    expect(text(outer, '', '--b', '', 'one', '--b--', '--b', '', 'behind the end')).toEqual(['one']);
  });

  test('a thousand levels: not deeper than the limit', () => {
    const nested = (levels: number): string[] => {
      const lines: string[] = [];
      for (let level = 0; level < levels; level += 1) lines.push(`Content-Type: multipart/mixed; boundary=n${level}`, '', `--n${level}`);
      return [...lines, '', 'innermost'];
    };
    expect(text(...nested(MAX_MIME_DEPTH))).toEqual(['innermost']);
    expect(text(...nested(MAX_MIME_DEPTH + 1))).toEqual([]);
    expect(text(...nested(1000))).toEqual([]);
  });

  test('too many parts: the first ones', () => {
    const parts = Array.from({ length: 1000 }, (_, index) => part([], String(index)));
    const found = text(...multipart('mixed', ...parts));
    expect(found).toEqual(Array.from({ length: MAX_MIME_PARTS - 1 }, (_, index) => String(index)));
  });

  test('too much text: the beginning, in lines that are not too long and not too many', () => {
    const many = text('', ...Array.from({ length: 10_000 }, () => 'x'));
    expect(many).toHaveLength(MAX_LINES - 1);
    const long = text('', 'x'.repeat(1_000_000));
    expect(long).toEqual(['x'.repeat(MAX_LINE_CHARS)]);
    const parts = Array.from({ length: 3 }, () => part([], `${'x'.repeat(998)}\r\n`.repeat(60)));
    const total = text(...multipart('mixed', ...parts)).join('').length;
    expect(total).toBeGreaterThan(100_000);
    expect(total).toBeLessThan(MAX_TEXT_CHARS);
  });
});

describe('any bytes', () => {
  const words = fc.constantFrom(
    '\r\n', '\n', '\r', ' ', '\0', '--', '--b', '--b--', ':', '=', '=?', '?=', '=?utf-8?q?', '<', '>', '<!--', '</style', '<style>', '&#', ';', '"',
    'Subject:', 'From:', 'Content-Type: multipart/mixed; boundary=b\r\n\r\n', 'Content-Type: text/html\r\n', 'Content-Transfer-Encoding: base64\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n', '; charset=', 'utf-7', 'utf-16', 'VIRUS (', ') in mail FROM [', '\u00e9', 'x',
  );
  const mails = fc.oneof(fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes)), fc.array(words, { maxLength: 400 }).map((all) => Buffer.from(all.join(''), 'latin1')));

  test('are read without an exception, into lines without controls and within the limits', () => {
    fc.assert(
      fc.property(mails, (bytes) => {
        const { from, lines, messageId } = readNoticeMail(bytes);
        expect(lines.length).toBeGreaterThan(0);
        for (const line of [from, ...lines]) {
          expect(line.length).toBeLessThanOrEqual(MAX_LINE_CHARS);
          expect(line).not.toMatch(/\p{Cc}/u);
        }
        expect(messageId?.length ?? 0).toBeLessThan(1000);
      }),
      { numRuns: 500 },
    );
  });

  const REPEATED = [
    '=?', '=?a?q?', '?= ', '=?utf-8?q?=41', '<', '<!--', '<style>', '<a ', '</', '&#1;', '&#', '--b\r\n', '--b--\r\n', '--', '\r', '\n', ' ', '\t', ' \r\n ', '= ', '=\t', '=4', ';boundary', '; boundary = ', ';', '"', '<a@', ']',
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n', 'Subject: x\r\n', 'VIRUS (', 'A', '\u00ff',
  ];
  const FRAMES = [
    (filling: string) => `Subject: ${filling}\r\n\r\n`,
    (filling: string) => `From: ${filling}\r\n\r\n`,
    (filling: string) => `Content-Type: ${filling}\r\n\r\n${filling}`,
    (filling: string) => `\r\n${filling}`,
    (filling: string) => `Content-Type: text/html\r\n\r\n${filling}`,
    (filling: string) => `Content-Transfer-Encoding: quoted-printable\r\n\r\n${filling}`,
    (filling: string) => `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${filling}`,
  ];

  test('cost no more than their length: what makes regular expressions go back does not matter here', () => {
    for (const [index, frame] of FRAMES.entries())
      for (const word of REPEATED) {
        const bytes = Buffer.from(frame(word.repeat(Math.ceil(256_000 / word.length))), 'latin1');
        const before = performance.now();
        readNoticeMail(bytes);
        // Some ms; a quadratic step would take minutes. Loose, because this machine does other things.
        expect(performance.now() - before, `frame ${index} of ${JSON.stringify(word)}`).toBeLessThan(1000);
      }
  });
});
