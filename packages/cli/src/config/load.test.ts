import { mkdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { yamlFile } from '../testing/yaml-file.ts';
import { ConfigError } from './config-error.ts';
import { loadConfig } from './load.ts';
import { duration } from './quantities.ts';

const file = yamlFile();

const schema = z.strictObject({
  name: z.string(),
  relay: z
    .strictObject({
      maxSessions: z.int().min(1).max(1000).default(10),
      workers: z.union([z.literal('auto'), z.int().min(1).max(256)]).default('auto'),
      timeout: duration('1s', { min: '1ms', max: '1m' }),
    })
    .prefault({}),
  table: z.array(z.union([z.string().regex(/^[a-z]\w*$/u, 'a name is needed here'), z.strictObject({ relay: z.string(), weight: z.int().default(1) })])).default([]),
  servers: z.array(z.strictObject({ name: z.string(), address: z.string() })).default([]),
});

test('a file is read, with its defaults', () => {
  file.write('# a comment\nname: a\nrelay: { maxSessions: 5 }\n');
  expect(file.load(schema)).toEqual({
    name: 'a',
    relay: { maxSessions: 5, workers: 'auto', timeout: 1000 },
    table: [],
    servers: [],
  });
});

test.each([
  ['an unknown key', 'name: a\nrelay:\n  maxSesions: 5\n', 3, 'relay.maxSesions', /no such key; see docs\/configuration\.md/u],
  ['an unknown key at the top', 'name: a\n\nrelai: 5\n', 3, 'relai', /no such key/u],
  ['a key that objects have by themselves', 'name: a\n__proto__: { maxSessions: 5 }\n', 2, '__proto__', /no such key/u],
  ['a wrong type', 'name: a\nrelay:\n  maxSessions: many\n', 3, 'relay.maxSessions', /expected number, received string/u],
  ['a text that YAML takes for something else', 'name: 02005e100001\n', 1, 'name', /expected string, received .*; put it in quotes$/u],
  ['a single value for a section', 'name: a\nrelay: 5\n', 2, 'relay', /expected object, received number/u],
  ['out of range', 'name: a\nrelay:\n  # so many\n  maxSessions: 1001\n', 4, 'relay.maxSessions', /<=1000/u],
  ['a duration out of range', 'name: a\nrelay:\n  timeout: 2m\n', 3, 'relay.timeout', /^must be from 1ms to 1m$/u],
  ['a duration without a unit', 'name: a\nrelay:\n  timeout: 2\n', 3, 'relay.timeout', /expected string, received number/u],
  ['a missing key', 'relay: {}\n', 1, 'name', /^is missing: string expected$/u],
  ['a missing key in a list', 'name: a\nservers:\n  - { name: s1, address: x }\n  - name: s2\n', 4, 'servers.1.address', /^is missing/u],
  ['a duplicate key', 'name: a\nrelay:\n  workers: 1\n  timeout: 1s\n  workers: 2\n', 5, 'relay.workers', /second time; remove one/u],
  ['a duplicate key in a list', 'name: a\nservers:\n  - { name: s1, address: x }\n  - name: s2\n    name: s3\n', 5, 'servers.1.name', /second time/u],
  ['a literal or a number: neither', 'name: a\nrelay:\n  workers: many\n', 3, 'relay.workers', /"auto"; or .*number/u],
  ['a literal or a number: out of range', 'name: a\nrelay:\n  workers: 0\n', 3, 'relay.workers', />=1/u],
  ['a union: the text is wrong', 'name: a\ntable:\n  - s1\n  - "%"\n', 4, 'table.1', /^a name is needed here$/u],
  ['a union: unknown key', 'name: a\ntable:\n  - relay: s1\n    wieght: 2\n', 4, 'table.0.wieght', /no such key/u],
  ['a union: wrong type within', 'name: a\ntable:\n  - relay: s1\n    weight: two\n', 4, 'table.0.weight', /expected number/u],
  ['a union: missing within', 'name: a\ntable:\n  - weight: 2\n', 3, 'table.0.relay', /^is missing/u],
  ['a union: neither', 'name: a\ntable: [5]\n', 2, 'table.0', /string.*; or .*object/u],
])('%s', (_what, text, line, key, message) => {
  expect(file.problems(text, schema)).toEqual([{ line, key, message: expect.stringMatching(message) }]);
});

test.each([
  ['a bracket that is not closed', 'name: a\nservers: [\n', 2],
  ['a tab', 'name: a\nrelay:\n\tworkers: 1\n', 3],
  ['a quote that is not closed', 'name: "a\n', 1],
  ['two documents', 'name: a\n---\nname: b\n', 2],
])('YAML: %s', (_what, text, line) => {
  const [problem, ...more] = file.problems(text, schema);
  expect(more).toEqual([]);
  expect(problem).toMatchObject({ key: '', message: expect.stringMatching(/^is not valid YAML: .+/u) });
  expect(problem?.line).toBeGreaterThanOrEqual(line);
  // Of a file with keys in it nothing is repeated.
  expect(problem?.message).not.toContain('\n');
});

test.each(['name: &n a\nrelay: { workers: 1 }\ntable: [*n]\n', 'a: &a b\n\n*a : c\n', 'name: a\n\nrelay: *nobody\n'])('aliases are refused, where they stand: %j', (text) => {
  expect(file.problems(text, schema)).toEqual([{ line: 3, key: '', message: expect.stringMatching(/aliases .* not used here; write the value out/u) }]);
});

test('a small file that would be huge is refused before it is', () => {
  const bomb = ['a: &a [x, x, x, x, x, x, x, x, x]', ...Array.from({ length: 20 }, (_, i) => `${i}: &b${i} [${Array(9).fill(i === 0 ? '*a' : `*b${i - 1}`).join(', ')}]`)].join('\n');
  expect(file.problems(bomb, schema)[0]?.message).toMatch(/aliases/u);
});

test.each([
  ['an empty file', '', /is empty; `sekisho site init`/u],
  ['only a comment', '# nothing\n', /is empty/u],
  ['a text', 'hello\n', /must be keys with values/u],
  ['a list', '- a\n- b\n', /must be keys with values/u],
])('%s', (_what, text, message) => {
  expect(file.problems(text, schema)).toEqual([{ line: 1, key: '', message: expect.stringMatching(message) }]);
});

test('a file that is not there, a directory, one that is too large, one without an end', () => {
  const message = (path: string): string => {
    try {
      loadConfig(path, schema, {});
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as Error).message;
    }
    throw new Error('loaded');
  };
  expect(message(`${file.path}.missing`)).toBe(`${file.path}.missing: there is no such file; \`sekisho site init\` and \`sekisho device enroll\` write one`);
  mkdirSync(`${file.path}.d`);
  expect(message(`${file.path}.d`)).toMatch(/is a directory; name the file in it$/u);
  file.write(`name: a\n#${'x'.repeat(1024 * 1024)}`);
  expect(message(file.path)).toMatch(/larger than 1048576 bytes.*right file/u);
  expect(message('/dev/zero')).toMatch(/larger than 1048576 bytes/u);
});

test('every problem at once, but not without an end', () => {
  const text = 'name: 5\nrelay:\n  maxSessions: 0\n  oops: 1\ntable: [{ relay: 1, weight: a }]\n';
  expect(file.problems(text, schema).map(({ line, key }) => `${line} ${key}`).toSorted()).toEqual(['1 name', '3 relay.maxSessions', '4 relay.oops', '5 table.0.relay', '5 table.0.weight']);
  const many = file.problems(`name: a\n${Array.from({ length: 50 }, (_, i) => `k${i}: 1\n`).join('')}`, schema);
  expect(many).toHaveLength(21);
  expect(many.at(-1)).toEqual({ key: '', line: undefined, message: 'and 30 more; mend these first' });
});

test('an error reads file:line: key: message, one a line', () => {
  file.write('name: a\nrelai: 1\nrelay: { workers: 0 }\n');
  expect(() => file.load(schema)).toThrow(
    new RegExp(`^${file.path}:3: relay\\.workers: .+\n${file.path}:2: relai: there is no such key; see docs/configuration\\.md$`, 'u'),
  );
});

test('what is in the file does not come back in an error', () => {
  const secret = 'MIIEvQIBADANBgkqhkiG9w0';
  file.write(`name: a\nkey: ${secret}\nrelay: { maxSessions: "${secret}", timeout: "${secret}", workers: "${secret}" }\ntable: [{ relay: [${secret}] }]\n`);
  expect(() => file.load(schema)).toThrow(/^(?![\s\S]*MIIEvQ)/u);
});

test('the environment lies over the file', () => {
  file.write('name: a\nrelay: { maxSessions: 5 }\nservers: [{ name: s1, address: x }]\n');
  const environment = {
    SEKISHO__name: '"42"',
    SEKISHO__relay__maxSessions: '900',
    SEKISHO__relay__timeout: '5s',
    SEKISHO__servers__0__address: 'y',
    SEKISHO__table: '[s1, { relay: s2, weight: 3 }]',
    SEKISHO_relay__workers: 'not ours',
  };
  expect(file.load(schema, environment)).toEqual({
    name: '42',
    relay: { maxSessions: 900, workers: 'auto', timeout: 5000 },
    table: ['s1', { relay: 's2', weight: 3 }],
    servers: [{ name: 's1', address: 'y' }],
  });
});

test('a whole section is laid down before a key in it', () => {
  file.write('name: a\n');
  const environment = { SEKISHO__relay__workers: '2', SEKISHO__relay: '{ maxSessions: 7, workers: 9 }' };
  expect(file.load(schema, environment).relay).toMatchObject({ maxSessions: 7, workers: 2 });
});

test.each([
  ['SEKISHO__servers__length', 'servers.length'],
  ['SEKISHO__servers__2__name', 'servers.2.name'],
  ['SEKISHO__servers__999999999__name', 'servers.999999999.name'],
])('environment: %s names no place in a list of one', (variable, key) => {
  const problems = file.problems('name: a\nservers: [{ name: s1, address: x }]\n', schema, { [variable]: 'x' });
  expect(problems).toEqual([expect.objectContaining({ file: `environment ${variable}`, key, message: expect.stringContaining('that list has 1 entries') })]);
});

test('the environment may add one entry to a list', () => {
  file.write('name: a\nservers: [{ name: s1, address: x }]\n');
  const { servers } = file.load(schema, { SEKISHO__servers__1: '{ name: s2, address: y }' });
  expect(servers).toEqual([{ name: 's1', address: 'x' }, { name: 's2', address: 'y' }]);
});

test.each([
  ['a wrong value', { SEKISHO__relay__maxSessions: 'many' }, 'SEKISHO__relay__maxSessions', 'relay.maxSessions', /expected number/u],
  ['nothing', { SEKISHO__relay__maxSessions: '' }, 'SEKISHO__relay__maxSessions', 'relay.maxSessions', /expected number/u],
  ['an unknown key', { SEKISHO__relay__maxsessions: '5' }, 'SEKISHO__relay__maxsessions', 'relay.maxsessions', /no such key/u],
  ['a wrong key within a section', { SEKISHO__relay: '{ workers: 0 }' }, 'SEKISHO__relay', 'relay.workers', />=1/u],
  ['a key below a single value', { SEKISHO__name__x: '5' }, 'SEKISHO__name__x', 'name.x', /what stands before the last __ is a single value/u],
  ['no YAML', { SEKISHO__table: '[s1' }, 'SEKISHO__table', 'table', /is not valid YAML.*quotes/u],
  ['an alias', { SEKISHO__name: '*a' }, 'SEKISHO__name', 'name', /aliases/u],
  ['no key', { SEKISHO__: 'x' }, 'SEKISHO__', '', /no such key/u],
])('environment: %s is blamed on the variable', (_what, environment, variable, key, message) => {
  const problems = file.problems('name: a\n', schema, environment);
  expect(problems).toEqual([expect.objectContaining({ file: `environment ${variable}`, key, message: expect.stringMatching(message) })]);
});
