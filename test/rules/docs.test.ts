import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MESSAGES, REFUSALS } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { configurationPage, siteJsonSchema } from '../../packages/cli/src/config/document.ts';
import type { Field, Fields } from '../../packages/wire/src/fields.ts';

/** The documents say what the code says. */

const root = join(import.meta.dirname, '../..');
const doc = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => /^\| \w/u.test(line))
    .map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()));

test('docs/errors.md has every refusal code, with its traits', () => {
  const documented = rows(doc('errors.md'))
    .filter(([number]) => /^\d+$/u.test(number ?? ''))
    .map((row) => row.slice(0, 6).join(' | '));
  const coded = Object.entries(REFUSALS).map(([code, traits]) =>
    [
      traits.number,
      code,
      traits.temporary ? 'temporary' : 'permanent',
      traits.absence ? 'yes' : '',
      traits.elsewhere ? 'yes' : '',
      traits.enhanced,
    ].join(' | '),
  );
  expect(documented).toEqual(coded);
});

function describeField(name: string, field: Field): string {
  const optional = field.optional ? '?' : '';
  switch (field.kind) {
    case 'text':
      return `${field.tag} ${name} text${field.maxBytes === 64 ? '' : `(${field.maxBytes})`}${optional}`;
    case 'texts':
      return `${field.tag} ${name} text*${field.maxCount}`;
    case 'bytes':
      return `${field.tag} ${name} bytes(${field.minBytes === field.maxBytes ? field.minBytes : `${field.minBytes}..${field.maxBytes}`})${optional}`;
    case 'records':
      return `${field.tag} ${name} record*${field.maxCount}`;
    default:
      return `${field.tag} ${name} ${field.kind}${optional}`;
  }
}

const describeFields = (fields: Fields): string =>
  Object.entries(fields)
    .map(([name, field]) => describeField(name, field))
    .join(' · ');

test('docs/protocol.md has every frame with its type, limit and fields', () => {
  const documented = rows(doc('protocol.md'))
    .filter(([type]) => type?.startsWith('0x') === true)
    .map(([type, name, limit, fields]) => [type, name, limit, fields?.replace(', one byte a version', '')]);
  const coded = Object.entries(MESSAGES).map(([name, { type, maxBytes, fields }]) => [
    `0x${type.toString(16).padStart(2, '0')}`,
    name,
    String(maxBytes),
    describeFields(fields),
  ]);
  expect(documented).toEqual(coded);
});

test('docs/protocol.md has the test vectors', () => {
  const fixtures = join(root, 'packages/wire/src/fixtures');
  const vectors = JSON.parse(readFileSync(join(fixtures, 'frames.json'), 'utf8')) as Record<string, string>;
  const text = doc('protocol.md').replaceAll(/\s/gu, '');
  expect(Object.keys(vectors).sort()).toEqual(Object.keys(MESSAGES).sort());
  for (const [name, hex] of Object.entries(vectors)) expect(text.includes(hex), `the vector of ${name}`).toBe(true);
  expect(text).toContain(readFileSync(join(fixtures, 'ticket.hex'), 'utf8').trim());
});

test('every link between documents leads somewhere', () => {
  const files = ['README.md', ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)];
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#\s]+)/gu)) {
      const path = join(root, file, '..', target ?? '');
      expect(() => readFileSync(path), `${file} -> ${target}`).not.toThrow(/ENOENT/u);
    }
  }
});

test('docs/configuration.md and config.schema.json are made from the schemas', () => {
  expect(doc('configuration.md')).toBe(configurationPage());
  expect(JSON.parse(doc('config.schema.json'))).toEqual(JSON.parse(JSON.stringify(siteJsonSchema())));
});
