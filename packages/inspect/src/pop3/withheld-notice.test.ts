import { expect, test } from 'vitest';
import { MAX_QUOTED_CHARACTERS, quoted, quotedField } from './header-fields.ts';
import { withheldNotice, type WithheldNoticeInit } from './withheld-notice.ts';

const AT = new Date(Date.UTC(2026, 10, 5, 4, 3, 2, 1));
const HEADER = 'Received: x\r\nfrom: "Mallory" <m@example.net>\r\nSubject: your\r\n invoice\r\nDate: Thu, 5 Nov 2026 13:00:00 +0900\r\n\r\nFrom: body\r\n';

function notice(init: Partial<WithheldNoticeInit> & { readonly text?: string } = {}): { head: string; body: string; lines: string[] } {
  const { text = HEADER, ...rest } = init;
  const header = Buffer.from(text);
  const made = withheldNotice({ at: AT, kind: 'infected', signature: 'Eicar-Test', relay: 'tokyo-1/s1', reference: 'ab12', header, ...rest });
  const [head = '', body = ''] = made.toString().split(/\r\n\r\n(.*)/su);
  return { head, body, lines: made.toString().split('\r\n') };
}

test('a short message in plain words, with the facts', () => {
  const { head, body, lines } = notice();
  expect(head.split('\r\n')).toEqual([
    'From: "Sekisho" <inspection@sekisho.invalid>',
    'Date: Thu, 05 Nov 2026 04:03:02 +0000',
    'Subject: A message was withheld: it contains a virus',
    `Message-ID: <withheld.ab12.${AT.getTime().toString(36)}@sekisho.invalid>`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: 8bit',
  ]);
  expect(body).toContain('    From:    "Mallory" <m@example.net>\r\n    Subject: your invoice\r\n    Date:    Thu, 5 Nov 2026 13:00:00 +0900\r\n');
  expect(body).toContain('A virus was found: Eicar-Test\r\n');
  expect(body).toContain('still on the mail server');
  expect(body).toContain('Relay:     tokyo-1/s1\r\n    Reference: ab12\r\n    Time:      2026-11-05T04:03:02.001Z\r\n');
  expect(lines.at(-1)).toBe('');
  expect(lines.every((line) => /^[ -~]{0,80}$/u.test(line))).toBe(true);
});

test('unscannable: other words, and the cause', () => {
  const { head, body } = notice({ kind: 'unscannable', cause: 'it is encrypted' });
  expect(head).toContain('Subject: A message was withheld: it could not be checked\r\n');
  expect(body).toContain('It could not be checked for viruses: it is encrypted\r\n');
  expect(body).not.toContain('A virus was found');
});

test('a header without the fields, or none', () => {
  for (const text of ['', '\r\nFrom: body\r\n', 'X: y', 'From'])
    expect(notice({ text }).body).toContain('    From:    (not given)\r\n    Subject: (not given)\r\n    Date:    (not given)\r\n');
});

test('nothing of a stranger becomes a header, a line of its own or a dot', () => {
  const evil = 'Bcc: x\r\nX-Evil: y\r\n.\r\n+OK\r\n\0\x1b[2J\u202E\u2028z';
  const { lines: plain } = notice();
  const { head, body, lines } = notice({
    signature: evil,
    relay: evil,
    reference: evil,
    text: `From: ${evil.replaceAll('\r\n', '\r')}\r\nSubject: =?utf-8?B?${Buffer.from(evil).toString('base64')}?=\r\nDate:\r\n\t.\r\n`,
  });
  expect(lines).toHaveLength(plain.length);
  expect(head.split('\r\n').map((line) => line.split(':')[0])).toEqual(
    plain.slice(0, 8).map((line) => line.split(':')[0]),
  );
  expect(head).toMatch(/^Message-ID: <[A-Za-z0-9.-]+@sekisho\.invalid>\r$/mu);
  expect(body).toContain('Subject: Bcc: x X-Evil: y . +OK [2J z\r\n');
  expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}]/u);
  expect(lines.filter((line) => line.startsWith('.'))).toEqual([]);
});

test('every field is cut', () => {
  const long = '\u{1F600}'.repeat(10_000);
  const { lines } = notice({ signature: long, relay: long, reference: long, text: `From: ${long}\r\nSubject: ${long}\r\nDate: ${long}\r\n` });
  expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(998);
  expect(lines.find((line) => line.includes('Subject: \u{1F600}'))).toBe(`    Subject: ${'\u{1F600}'.repeat(MAX_QUOTED_CHARACTERS)}...`);
});

test('encoded words are decoded (RFC 2047)', () => {
  const table: readonly (readonly [string, string])[] = [
    ['=?UTF-8?Q?caf=C3=A9_au_lait?=', 'caf\u00e9 au lait'],
    ['=?utf-8?b?5a+G?=  =?utf-8?B?6K2m?= x', '\u5bc6\u8b66 x'],
    ['=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?=', '\u65e5\u672c'],
    ['=?iso-8859-1*en?q?=E9?=', '\u00e9'],
    ['a =?x-unknown?B?QQ==?= b', 'a =?x-unknown?B?QQ==?= b'],
    ['=?utf-8?Q?=FF?=', '\ufffd'],
    ['=?utf-8?X?a?= =?', '=?utf-8?X?a?= =?'],
  ];
  expect(table.map(([text]) => [text, quoted(text)])).toEqual(table);
  expect(quotedField(Buffer.from('SUBJECT : \r\n =?utf-8?B?5a+G?=\r\n =?utf-8?B?6K2m?=\r\n'), 'Subject')).toBe('\u5bc6\u8b66');
});
