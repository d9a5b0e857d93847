import { expect, test } from 'vitest';
import { z } from 'zod';
import { yamlFile } from '../testing/yaml-file.ts';
import { noticesSchema } from './notices-schema.ts';

const file = yamlFile();
const schema = z.strictObject({ notices: noticesSchema });
const yaml = (...lines: string[]): string => ['notices:', ...lines.map((line) => `  ${line}`)].join('\n');
const LISTEN = 'listen: 192.0.2.11:2525';
const ALLOW = 'allow: [192.0.2.7]';

test('an address and a gateway are enough', () => {
  file.write(yaml(LISTEN, 'allow: [192.0.2.7, 10.1.0.0/16, "2001:db8::7", "2001:db8:1::/48"]'));
  expect(file.load(schema).notices).toEqual({
    listen: { host: '192.0.2.11', port: 2525 },
    allow: ['192.0.2.7/32', '10.1.0.0/16', '2001:db8::7/128', '2001:db8:1::/48'],
    maxBytes: 256_000,
    maxPerMinute: 30_000,
    patterns: [],
    builtInPatterns: true,
    maxKept: 1000,
    maxKeptBytes: 50_000_000,
  });
});

test('a pattern as in the documentation', () => {
  file.write(
    yaml('listen: "[::1]:2525"', 'usersFile: users', 'patterns:', '  - name: amavis', '    from: "amavis@*"', '    lines: ["VIRUS ({signature}) in mail FROM [{client}]"]'),
  );
  expect(file.load(schema).notices).toMatchObject({
    listen: { host: '::1', port: 2525 },
    patterns: [{ name: 'amavis', from: 'amavis@*', requires: [], lines: ['VIRUS ({signature}) in mail FROM [{client}]'], until: [] }],
  });
});

const pattern = (lines: string, ...more: string[]): string => yaml(LISTEN, ALLOW, 'patterns:', '  - name: x', `    lines: ${lines}`, ...more);

test.each([
  ['nobody', yaml(LISTEN), 'notices.allow', /^names nobody, and there is no usersFile/u],
  ['everybody', yaml(LISTEN, 'allow: [0.0.0.0/0]'), 'notices.allow.0', /^lets everybody bring notices/u],
  ['everybody of IPv6', yaml(LISTEN, 'allow: ["::/0"]'), 'notices.allow.0', /^lets everybody/u],
  ['a network that is none', yaml(LISTEN, 'allow: [192.0.2.0/33]'), 'notices.allow.0', /^an address or a network is needed/u],
  ['a name for an address', yaml(LISTEN, 'allow: [gw.example.com]'), 'notices.allow.0', /^an address or a network is needed/u],
  ['an address with a zone', yaml(LISTEN, 'allow: ["fe80::1%eth0"]'), 'notices.allow.0', /^an address or a network is needed/u],
  ['no port', yaml('listen: 192.0.2.11', ALLOW), 'notices.listen', /^an address and a port are needed/u],
  ['port 0', yaml('listen: 192.0.2.11:0', ALLOW), 'notices.listen', /from 1 to 65535/u],
  ['port 65536', yaml('listen: 192.0.2.11:65536', ALLOW), 'notices.listen', /from 1 to 65535/u],
  ['no address', yaml('listen: 192.0.2.256:25', ALLOW), 'notices.listen', /an address and a port/u],
  ['a name to listen on', yaml('listen: localhost:25', ALLOW), 'notices.listen', /an address and a port/u],
  ['passwords in clear text', yaml(LISTEN, 'usersFile: users'), 'notices.usersFile', /^needs certFile and keyFile, or listen on loopback/u],
  ['a certificate without its key', yaml(LISTEN, ALLOW, 'certFile: c.pem'), 'notices.certFile', /^needs its key/u],
  ['a key without its certificate', yaml(LISTEN, ALLOW, 'keyFile: k.pem'), 'notices.keyFile', /^needs its certificate/u],
  ['too much', yaml(LISTEN, ALLOW, 'maxBytes: 5MB'), 'notices.maxBytes', /from 16KB to 4MB/u],
  ['a place that does not exist', pattern('["Virus: {virus}"]'), 'notices.patterns.0.lines.0', /^has \{virus\}, which is no place/u],
  ['two places side by side', pattern('["{signature}", "{signature}{client} x"]'), 'notices.patterns.0.lines.1', /nothing between them/u],
  ['no place for the signature', pattern('["Client: {client}"]'), 'notices.patterns.0.lines', /must have \{signature\}/u],
  ['no line', pattern('[]'), 'notices.patterns.0.lines', /.+/u],
  ['a bad condition', pattern('["Virus: {signature}"]', '    requires: ["{any}"]'), 'notices.patterns.0.requires.0', /no text of its own/u],
  ['a bad end', pattern('["Virus: {signature}"]', '    until: ["{"]'), 'notices.patterns.0.until.0', /a brace without its partner/u],
  ['a name twice', pattern('["Virus: {signature}"]', '  - name: x', '    lines: ["Virus {signature}"]'), 'notices.patterns.1.name', /^x is already the name of patterns\.0/u],
  ['a name that is none', pattern('["Virus: {signature}"]').replace('name: x', 'name: "x y"'), 'notices.patterns.0.name', /^a name is 1 to 63/u],
  ['an unknown key', yaml(LISTEN, ALLOW, 'relay: true'), 'notices.relay', /no such key/u],
])('%s is an error that says where and what', (_, text, key, message) => {
  const problems = file.problems(text, schema);
  expect(problems.filter((problem) => problem.key === key)).toMatchObject([{ key, message: expect.stringMatching(message) }]);
});

test('every key is described', () => {
  const described = (node: unknown): string[] => {
    const { properties = {}, items } = node as { properties?: Record<string, { description?: string }>; items?: unknown };
    return [...Object.entries(properties).flatMap(([name, one]) => [...(one.description === undefined ? [name] : []), ...described(one)]), ...(items === undefined ? [] : described(items))];
  };
  expect(described(z.toJSONSchema(noticesSchema, { io: 'input', unrepresentable: 'any' }))).toEqual([]);
});
