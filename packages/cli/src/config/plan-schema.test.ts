import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { yamlFile } from '../testing/yaml-file.ts';
import { planScenario } from './plan-scenario.ts';
import { bitRate, planSchema, timeOfDay } from './plan-schema.ts';

const file = yamlFile();
const page = readFileSync(new URL('../../../../docs/plan.md', import.meta.url), 'utf8');

/** What of a JSON Schema is read here. */
interface Schema {
  /** A list's or an object's is not looked at. */
  readonly default?: string | number | boolean | readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

function keysOf(schema: Schema, prefix = ''): string[][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const key = `${prefix}${name}`;
    const list = property.items ?? property.anyOf?.find(({ items }) => items !== undefined)?.items;
    if (property.properties !== undefined) return keysOf(property, `${key}.`);
    const standard = property.default === undefined || typeof property.default === 'object' ? '' : `${property.default}`;
    return [[key, standard], ...(list === undefined ? [] : keysOf(list, `${key}[].`))];
  });
}

test('docs/plan.md has every key of a scenario with its default', () => {
  const [, section = ''] = /^## A scenario$(.*?)^## /msu.exec(page) ?? [];
  const documented = section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
    .map(([, key = '', standard = '']) => [key, standard === 'required' || standard === 'not set' ? '' : standard]);
  const keys = keysOf(z.toJSONSchema(planSchema, { io: 'input', unrepresentable: 'any' }) as Schema);
  expect(keys.length).toBeGreaterThan(40);
  expect(documented).toEqual(keys);
});

test('an empty mesh is the usual one; a site may be copied, its relays counted or listed', () => {
  const usual = planScenario(planSchema.parse({}));
  expect(usual.sites.map(({ name, relays }) => [name, relays.length])).toEqual([['site-1', 5], ['site-2', 5], ['site-3', 5]]);
  expect([usual.agents.count, usual.dns.ttlMs, usual.leaseTtlMs, usual.faults]).toEqual([8000, 1_200_000, 600_000, []]);
  file.write('sites: [{ name: a, relays: 2, line: 1Gbps }, { name: b, copies: 2, relays: [{ name: x, weight: 3 }] }]\nagents: { count: 5, load: flat }\n');
  const { sites, agents, dns } = planScenario(file.load(planSchema));
  expect(sites.map(({ name, relays, lineBitsPerSecond }) => [name, relays.map((relay) => `${relay.name} ${relay.weight}`).join(), lineBitsPerSecond])).toEqual([
    ['a', 's1 1,s2 1', 1e9],
    ['b-1', 'x 3', 1e8],
    ['b-2', 'x 3', 1e8],
  ]);
  expect([new Set(agents.hours).size, dns.caches]).toEqual([1, 5]);
});

test('failures, in the order of their times', () => {
  file.write(`failures:
  - { at: "12:00", site: a, is: down, how: reset }
  - { at: "10:00", site: a, relay: s1, is: down }
  - { at: "10:00:30", site: a, manager: 2, is: silent }
  - { at: "11:00", site: a, line: 0.5 }
  - { at: "34:00", site: a, is: joined }
  - { at: "13:00", site: a, is: up }
  - { at: "14:00", site: a, is: drained }
  - { at: "15:00", site: a, relay: s1, is: up }
  - { at: "16:00", site: a, manager: 2, is: back }
`);
  const hour = 3_600_000;
  expect(planScenario(file.load(planSchema)).faults).toMatchObject([
    { atMs: 10 * hour, kind: 'relayDown', relay: 's1', how: 'silent' },
    { atMs: 10 * hour + 30_000, kind: 'managerSilent', manager: 2 },
    { atMs: 11 * hour, kind: 'line', factor: 0.5 },
    { atMs: 12 * hour, kind: 'siteDown', how: 'reset' },
    { atMs: 13 * hour, kind: 'siteUp' },
    { atMs: 14 * hour, kind: 'drain' },
    { atMs: 15 * hour, kind: 'relayUp', relay: 's1' },
    { atMs: 16 * hour, kind: 'managerBack', manager: 2 },
    { atMs: 34 * hour, kind: 'join' },
  ]);
});

test.each([
  ['agents:\n  count: 0\n', 2, 'agents.count', 'Too small'],
  ['agents:\n  count: 1000001\n', 2, 'agents.count', '1000000'],
  ['agents:\n  load: [1, 2]\n', 2, 'agents.load', '24 numbers'],
  ['sites:\n  - name: a\n    line: 100\n', 3, 'sites.0.line', 'put it in quotes'],
  ['sites:\n  - name: a\n    line: fast\n', 3, 'sites.0.line', 'a rate is a number with a unit'],
  ['sites:\n  - name: a\n    relays: 33\n', 3, 'sites.0.relays', '32'],
  ['dns:\n  colour: red\n', 2, 'dns.colour', 'there is no such key'],
  ['failures:\n  - { at: 10:61, site: a, is: down }\n', 2, 'failures.0.at', 'a time is HH:MM'],
  ['failures:\n  - { at: "10:00", site: a, relay: s1, is: silent }\n', 2, 'failures.0.is', 'say what is to happen'],
  ['failures:\n  - { at: "10:00", site: a, relay: s1, manager: 1, is: down }\n', 2, 'failures.0.is', 'say what is to happen'],
  ['failures:\n  - { at: "10:00", site: a, line: 0.5, is: down }\n', 2, 'failures.0.is', 'say what is to happen'],
  ['failures:\n  - { at: "10:00", site: a }\n', 2, 'failures.0', 'say what is to happen'],
])('a mistake is named with its line and key: %j', (text, line, key, because) => {
  const [problem] = file.problems(text, planSchema);
  expect(problem?.line).toBe(line);
  expect(problem?.key).toContain(key);
  expect(problem?.message).toContain(because);
});

test('times and rates', () => {
  expect([timeOfDay().parse('00:00'), timeOfDay().parse('23:59:59'), timeOfDay().parse('167:00')]).toEqual([0, 86_399_000, 601_200_000]);
  expect([bitRate().parse('512Kbps'), bitRate().parse('1.5Mbps'), bitRate().parse('10Gbps')]).toEqual([512_000, 1.5e6, 1e10]);
  for (const text of ['1:2', '10:60', '24', '-1:00', '']) expect(timeOfDay().safeParse(text).success, text).toBe(false);
  for (const text of ['0Mbps', '1mbps', '100', 'Mbps', '-1Mbps']) expect(bitRate().safeParse(text).success, text).toBe(false);
});
