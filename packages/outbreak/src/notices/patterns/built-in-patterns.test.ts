import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readNoticeMail } from '../message/notice-mail.ts';
import { BUILT_IN_PATTERNS } from './built-in-patterns.ts';
import { CompiledPattern, type Finding } from './pattern.ts';

const patterns = BUILT_IN_PATTERNS.map((pattern) => new CompiledPattern(pattern));
const fixture = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../fixtures', `${name}.eml`));
const nothing: Omit<Finding, 'signature'> = { client: null, sender: null, recipient: null, device: null, protocol: null };

const EXPECTED: Readonly<Record<string, readonly [pattern: string, findings: readonly Finding[]]>> = {
  amavis: ['amavis', [{ ...nothing, signature: 'Eicar-Test-Signature', client: '192.0.2.17', sender: 'alice@example.com' }]],
  'amavis-two-viruses': [
    'amavis',
    ['Eicar-Test-Signature', 'Win.Worm.Mydoom-5'].map((signature) => ({ ...nothing, signature, client: '2001:db8::17', sender: 'carol@example.com' })),
  ],
  mailscanner: [
    'mailscanner',
    [
      { ...nothing, signature: 'Win.Trojan.Agent-1', client: '192.0.2.33', sender: 'dave@example.com', recipient: 'erin@example.net' },
      { ...nothing, signature: 'Eicar-Test-Signature', client: '192.0.2.34', sender: 'frank@example.com', recipient: 'erin@example.net' },
      { ...nothing, signature: 'Win.Worm.Mydoom-5', client: '192.0.2.34', sender: 'frank@example.com', recipient: 'erin@example.net' },
    ],
  ],
  'email-security-cloud': [
    'email-security-cloud',
    [{ ...nothing, signature: 'Trojan.Gen.2', client: '203.0.113.8', sender: 'grace@example.com', recipient: 'heidi@example.net' }],
  ],
  interscan: [
    'interscan',
    [{ ...nothing, signature: 'WORM_NETSKY.P', client: '192.0.2.55', sender: 'ivan@example.com', recipient: 'judy@example.net', protocol: 'smtp' }],
  ],
  'clamav-milter': [
    'clamav-milter',
    [{ ...nothing, signature: 'Eicar-Test-Signature', client: '192.0.2.77', sender: 'mallory@example.com', recipient: 'niaj@example.net' }],
  ],
  avira: ['avira', [{ ...nothing, signature: 'EICAR-Test-Signature', client: '10.4.5.6', device: '02:00:5e:10:00:01' }]],
};

describe.each(Object.entries(EXPECTED))('the notice of %s', (name, [pattern, findings]) => {
  test.each([
    ['LF', (text: string) => text],
    ['CRLF', (text: string) => text.replaceAll('\n', '\r\n')],
  ])('is read by its pattern alone, with %s', (_, lineEnds) => {
    const mail = readNoticeMail(Buffer.from(lineEnds(fixture(name).toString('latin1')), 'latin1'));
    const read = patterns.map((one) => [one.name, one.read(mail)] as const).filter(([, found]) => found.length > 0);
    expect(read).toEqual([[pattern, findings]]);
  });
});

test('a notice of a gateway that nobody knows is read by no pattern', () => {
  const mail = readNoticeMail(fixture('unknown-gateway'));
  expect(patterns.flatMap((one) => one.read(mail))).toEqual([]);
});

test('every built-in pattern has a notice here, and is named in the documentation', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../../docs/notices.md'), 'utf8');
  expect(BUILT_IN_PATTERNS.filter(({ name }) => !page.includes(`(\`${name}\`)`))).toEqual([]);
  expect(new Set(Object.values(EXPECTED).map(([pattern]) => pattern))).toEqual(new Set(BUILT_IN_PATTERNS.map(({ name }) => name)));
});
