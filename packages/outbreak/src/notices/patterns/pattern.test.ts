import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_LINE_CHARS } from '../message/notice-mail.ts';
import { MAX_MAIL_ADDRESS_CHARS, MAX_SIGNATURE_CHARS } from './field-values.ts';
import { CompiledPattern, MAX_DETECTIONS_PER_NOTICE, type NoticePattern } from './pattern.ts';
import { MAX_TEMPLATE_CHARS, Template, TEMPLATE_FIELDS } from './template.ts';

describe('a template', () => {
  test.each([
    ['VIRUS ({signature}) in mail FROM [{client}]', 'VIRUS (A) in mail FROM [192.0.2.1] <b@c>', { signature: 'A', client: '192.0.2.1' }],
    ['Virus: {signature}', 'Virus: A b (c)', { signature: 'A b (c)' }],
    ['Virus: {signature}', 'The Virus: A', undefined],
    ['Virus: {signature}', 'virus: A', undefined],
    ['  Virus:   {signature}  ', 'Virus: A', { signature: 'A' }],
    ['{any}Virus: {signature}', 'The Virus: A', { signature: 'A' }],
    ['{client} has {signature}.', 'pc has A. Virus', { client: 'pc', signature: 'A' }],
    ['<{sender}> ({any}) <{recipient}>', '<a> (b) (c) <d>', { sender: 'a', recipient: 'd' }],
    ['<{sender}> ({any}) <{recipient}>', '<a> (b (c) <d>', { sender: 'a', recipient: 'd' }],
    // The shortest text, and no going back.
    ['{signature} in {client} in x', 'A in B in C in x', { signature: 'A', client: 'B in C' }],
    ['a{any}b{any}b', 'a_b_c', undefined],
    ['{any}.*+?^$|\\(){signature}', 'x.*+?^$|\\()A', { signature: 'A' }],
    ['VIRUS', 'VIRUS ALERT', {}],
  ])('%j on %j', (template, line, captures) => {
    expect(new Template(template).match(line)).toEqual(captures);
  });

  test.each([
    ['Virus: {virus}', /^has \{virus\}, which is no place; there are \{signature\} \{client\}/u],
    ['{signature}{client}', /nothing between them/u],
    ['{signature} and {signature}', /a place twice/u],
    ['{signature}', /no text of its own/u],
    ['{any} {signature} ', /no text of its own/u],
    [' ', /no text of its own/u],
    ['', /no text of its own/u],
    ['a { {signature}', /a brace without its partner/u],
    ['a {signature', /a brace without its partner/u],
    ['a {}', /no place/u],
    ['x'.repeat(MAX_TEMPLATE_CHARS + 1), /more than 500/u],
  ])('%j is refused', (template, message) => {
    expect(() => new Template(template)).toThrow(message);
  });

  const literal = fc.stringMatching(/^[ab(]{1,3}$/u);
  const place = fc.constantFrom(...TEMPLATE_FIELDS, 'any');
  const templates = fc
    .tuple(literal, fc.array(fc.tuple(place, literal), { maxLength: 4 }))
    .map(([start, rest]) => start + rest.map(([name, text]) => `{${name}}${text}`).join(''));

  test('matches what a regular expression with shortest runs matches', () => {
    fc.assert(
      fc.property(templates, fc.stringMatching(/^[ab(]{0,30}$/u), (text, line) => {
        let template: Template;
        try {
          template = new Template(text);
        } catch {
          return;
        }
        const source = text.replaceAll('(', '\\(').replaceAll(/\{(\w+)\}/gu, (_, name: string) => (name === 'any' ? '.*?' : `(?<${name}>.*?)`));
        const found = new RegExp(`^${source}`, 'u').exec(line);
        expect(template.match(line)).toEqual(found === null ? undefined : { ...found.groups });
      }),
      { numRuns: 500 },
    );
  });

  test('costs no more than the length of the line, however it is made', () => {
    const line = 'a'.repeat(MAX_LINE_CHARS);
    const template = new Template(`${'{any}a'.repeat(80)}b`);
    const before = performance.now();
    for (let count = 0; count < 2000; count += 1) expect(template.match(line)).toBeUndefined();
    expect(performance.now() - before).toBeLessThan(2000);
  });
});

describe('a pattern', () => {
  const read = (pattern: Partial<NoticePattern>, ...lines: string[]) =>
    new CompiledPattern({ name: 'x', lines: ['Virus: {signature}', 'Client: {client}', 'From: {sender}', 'To: {recipient}', 'Device: {device}', 'Via: {protocol}'], ...pattern }).read({
      from: 'gateway@mail.example.com',
      lines,
      messageId: undefined,
    });
  /** The findings as `signature client sender`. */
  const short = (...lines: string[]): string[] => read({}, ...lines).map(({ signature, client, sender }) => `${signature} ${client ?? '-'} ${sender ?? '-'}`);

  test.each([
    ['the virus last', ['Client: 192.0.2.1', 'From: a@b.c', 'Virus: A'], ['A 192.0.2.1 a@b.c']],
    ['the virus first', ['Virus: A', 'Client: 192.0.2.1', 'From: a@b.c'], ['A 192.0.2.1 a@b.c']],
    ['two viruses of one mail', ['Client: 192.0.2.1', 'Virus: A', 'From: a@b.c', 'Virus: B'], ['A 192.0.2.1 a@b.c', 'B 192.0.2.1 a@b.c']],
    ['several on one line', ['Virus: A, B, A', 'Client: 192.0.2.1'], ['A 192.0.2.1 -', 'B 192.0.2.1 -']],
    ['two mails, the virus last', ['Client: 192.0.2.1', 'Virus: A', 'Client: 192.0.2.2', 'Virus: A'], ['A 192.0.2.1 -', 'A 192.0.2.2 -']],
    ['two mails, the virus first', ['Virus: A', 'Client: 192.0.2.1', 'Virus: B', 'Client: 192.0.2.2'], ['A 192.0.2.1 -', 'B 192.0.2.2 -']],
    ['the second mail without a client is not put on the first', ['Client: 192.0.2.1', 'Virus: A', 'Virus: B', 'From: a@b.c'], ['A 192.0.2.1 -', 'B - a@b.c']],
    ['everything twice', ['Client: 192.0.2.1', 'Virus: A', 'Client: 192.0.2.1', 'Virus: A'], ['A 192.0.2.1 -']],
    ['no virus', ['Client: 192.0.2.1', 'Virus:', 'Virus: "-"'], []],
    ['a client that is no address', ['Virus: A', 'Client: pc17'], ['A - -']],
  ])('%s', (_, lines, expected) => {
    expect(short(...lines)).toEqual(expected);
  });

  test.each([
    ['signature', 'Virus: <"A b">', 'A b'],
    ['signature', 'Virus: a\u202eb\u2028c', 'a\\u202eb\\u2028c'],
    ['signature', `Virus: ${'x'.repeat(500)}`, 'x'.repeat(MAX_SIGNATURE_CHARS)],
    ['signature', `Virus: ${'x'.repeat(MAX_SIGNATURE_CHARS - 1)}💀`, `${'x'.repeat(MAX_SIGNATURE_CHARS - 1)}\ufffd`],
    ['client', 'Client: [192.0.2.1]:25', '192.0.2.1'],
    ['client', 'Client: pc17.example.com (192.0.2.1).', '192.0.2.1'],
    ['client', 'Client: [IPv6:2001:DB8:0::1]', '2001:db8::1'],
    ['client', 'Client: [2001:db8::1]:25', '2001:db8::1'],
    ['client', 'Client: ::ffff:192.0.2.1', '192.0.2.1'],
    ['client', 'Client: fe80::1%eth0', null],
    ['client', 'Client: 192.0.2.256', null],
    ['sender', 'From: "A B" <A.B@Example.COM>', 'a.b@example.com'],
    ['sender', 'From: <>', null],
    ['sender', `From: a@${'x.'.repeat(200)}com`, `a@${'x.'.repeat(94)}x`],
    ['recipient', 'To: a@example.com, b@example.com', 'a@example.com'],
    ['device', 'Device: 02-00-5E-10-00-01', '02:00:5e:10:00:01'],
    ['device', 'Device: 0200.5e10.0001', '02:00:5e:10:00:01'],
    ['device', 'Device: 03:00:5e:10:00:01', null],
    ['device', 'Device: 00:00:00:00:00:00', null],
    ['protocol', 'Via: SMTP (25)', 'smtp'],
    ['protocol', 'Via: 25', null],
  ])('%s out of %j', (field, line, value) => {
    const [finding] = read({}, ...(field === 'signature' ? [] : ['Virus: A']), line);
    expect(finding?.[field as 'client']).toBe(value);
  });

  test('a template that finds no name leaves the line to the next', () => {
    expect(read({ lines: ['Virus: "{signature}" of', 'Virus: {any}: {signature}'] }, 'Virus: "" of: A')).toMatchObject([{ signature: 'A' }]);
  });

  test('reads nothing from where the gateway quotes', () => {
    expect(read({ until: ['--- BEGIN'] }, 'Virus: A', '--- BEGIN HEADERS', 'Virus: B', 'Client: 192.0.2.1')).toMatchObject([{ signature: 'A', client: null }]);
  });

  test('reads only what has the lines that it requires, before the quoted ones', () => {
    expect(read({ requires: ['Alert', '{any}gateway'] }, 'Virus: A', 'Alert', 'of a gateway')).toHaveLength(1);
    expect(read({ requires: ['Alert', '{any}gateway'] }, 'Virus: A', 'of a gateway')).toEqual([]);
    expect(read({ requires: ['Alert'], until: ['---'] }, 'Virus: A', '---', 'Alert')).toEqual([]);
  });

  test.each([
    ['gateway@mail.example.com', true],
    ['GATEWAY@*', true],
    ['*@*.example.com', true],
    ['*', true],
    ['gateway', false],
    ['*@example.com', false],
    ['gateway@mail.example.com*gateway@mail.example.com', false],
    ['*a*a*a*a*x', false],
  ])('from %s', (from, matches) => {
    expect(read({ from }, 'Virus: A')).toHaveLength(matches ? 1 : 0);
  });

  test('reads no more detections than the limit', () => {
    expect(read({}, ...Array.from({ length: 1000 }, (_, index) => `Virus: V${index}`))).toHaveLength(MAX_DETECTIONS_PER_NOTICE);
  });

  test('without a place for the signature it is refused', () => {
    expect(() => new CompiledPattern({ name: 'x', lines: ['Client: {client}'] })).toThrow(/no template with \{signature\}/u);
  });

  test('whatever the lines say, the findings fit the store', () => {
    const value = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constantFrom('192.0.2.1', 'a@b', '02:00:5e:10:00:01', ', ', '<>', '[::1]:25', '%', '\ud800'));
    const line = fc.tuple(fc.constantFrom('Virus: ', 'Client: ', 'From: ', 'To: ', 'Device: ', 'Via: '), fc.array(value, { maxLength: 4 })).map(([start, values]) => start + values.join(' '));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
        for (const { signature, ...others } of read({}, ...lines)) {
          const texts = [signature, ...Object.values(others)].filter((text) => text !== null);
          expect(texts.filter((text) => /[\p{Cc}\p{Zl}\p{Zp}]/u.test(text) || !text.isWellFormed() || text.length > MAX_MAIL_ADDRESS_CHARS)).toEqual([]);
          expect(signature).toMatch(new RegExp(`^.{1,${MAX_SIGNATURE_CHARS}}$`, 'su'));
          expect(others.device ?? '02:00:5e:10:00:01').toMatch(/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/u);
          expect(others.protocol?.length ?? 0).toBeLessThanOrEqual(16);
        }
      }),
      { numRuns: 150 },
    );
  });
});
