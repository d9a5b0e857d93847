import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MESSAGES, REFUSALS } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { FAILURE_OF } from '../../packages/agent/src/control-session.ts';
import { OUTCOMES as AGENT_OUTCOMES } from '../../packages/agent/src/agent-metrics.ts';
import { MANAGER_FAILURES } from '../../packages/agent/src/manager-set.ts';
import { DIRECT_REASONS } from '../../packages/agent/src/route.ts';
import { REJECTIONS as AUTH_REJECTIONS } from '../../packages/auth/src/auth-metrics.ts';
import { PKI_ERROR_CODES } from '../../packages/auth/src/pki/pki-error.ts';
import { CHANNEL_ERROR_CODES } from '../../packages/channel/src/channel-error.ts';
import { REJECT_REASONS as LISTENER_REASONS } from '../../packages/channel/src/listener.ts';
import { configurationPage, siteJsonSchema } from '../../packages/cli/src/config/document.ts';
import { EXIT } from '../../packages/cli/src/exit-codes.ts';
import { ADMIN_ERRORS } from '../../packages/manager/src/admin-error.ts';
import { REJECTIONS as MANAGER_REJECTIONS } from '../../packages/manager/src/manager-metrics.ts';
import { PAGE_ERRORS } from '../../packages/manager/src/page/page-error.ts';
import { OUTCOMES as RELAY_OUTCOMES } from '../../packages/relay/src/stream/outcome.ts';
import { REJECT_REASONS as RELAY_REJECTIONS } from '../../packages/relay/src/tally.ts';
import { STORE_ERROR_CODES } from '../../packages/store/src/store-error.ts';
import { MUX_REFUSALS, MUX_VIOLATIONS } from '../../packages/wire/src/yamux/error.ts';
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

const section = (name: string, heading: string): string[][] => {
  const text = doc(name).split(/^## /mu).find((part) => part.startsWith(`${heading}\n`));
  if (text === undefined) throw new Error(`${name} has no section ${heading}`);
  // Its tables begin with a line of headings and one of dashes.
  return text
    .split(/\n(?=\|.+\n\|---)/u)
    .slice(1)
    .flatMap((table) => rows(table).slice(1));
};
const cells = (heading: string, count: number): string[][] =>
  section('errors.md', heading).map((row) => row.slice(0, count));

test('docs/errors.md has the other closed sets that an operator meets', () => {
  const names = (list: readonly string[]): string[][] => list.map((name) => [name]);
  expect(cells('How a session ended: agent', 1)).toEqual(names(AGENT_OUTCOMES));
  expect(cells('How a session ended: relay', 1)).toEqual(names(RELAY_OUTCOMES));
  expect(cells('Why the agent connected directly', 1)).toEqual(names(DIRECT_REASONS));
  expect(cells('Why a manager was not used', 1)).toEqual(names(MANAGER_FAILURES));
  expect(cells('Channels', 2)).toEqual(CHANNEL_ERROR_CODES.map((code) => [code, FAILURE_OF[code]]));
  expect(cells('Multiplexer', 1)).toEqual(names([...MUX_VIOLATIONS, ...MUX_REFUSALS]));
  expect(cells('Stores', 2)).toEqual(
    Object.entries(STORE_ERROR_CODES).map(([code, { temporary }]) => [code, temporary ? 'temporary' : 'permanent']),
  );
  expect(cells('Certificates and the operator\'s directory', 1)).toEqual(names(PKI_ERROR_CODES));
  expect(cells('Administration of a manager', 2)).toEqual(Object.entries(ADMIN_ERRORS).map(([code, status]) => [code, String(status)]));
  expect(cells('Status page of a manager', 2)).toEqual(Object.entries(PAGE_ERRORS).map(([code, status]) => [code, String(status)]));
  expect(cells('Exit codes', 2)).toEqual(Object.entries(EXIT).map(([name, code]) => [name, String(code)]));
});

test('docs/errors.md says which role turns connections away for what', () => {
  const documented = cells('Why a connection was turned away', 4);
  const roles: readonly (readonly string[])[] = [MANAGER_REJECTIONS, RELAY_REJECTIONS, AUTH_REJECTIONS];
  const reasons = [...new Set(roles.flat())];
  expect(new Set(documented.map(([reason]) => reason))).toEqual(new Set(reasons));
  expect(documented).toEqual(
    documented.map(([reason = '']) => [reason, ...roles.map((list) => (list.includes(reason) ? 'yes' : ''))]),
  );
  for (const reason of LISTENER_REASONS) expect(roles.every((list) => list.includes(reason)), reason).toBe(true);
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

test('docs/operations.md names the rights that the store was tested with, for the ACL of Redis', () => {
  const tested = readFileSync(join(root, 'packages/store/src/open-store.test.ts'), 'utf8');
  const rights = (text: string): string[] => [...text.matchAll(/(?<=[ '`\n])\+[a-z]+/gu)].map(([right]) => right);
  const [, commands = ''] = /const ACL_COMMANDS =([^;]+);/u.exec(tested) ?? [];
  expect(rights(commands).length).toBeGreaterThan(10);
  expect(rights(doc('operations.md'))).toEqual(rights(commands));
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
