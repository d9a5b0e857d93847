import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { REFUSALS } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { AUTHS, exportedMetrics, FELLOWS, type Metric, RELAYS, SCANNERS } from './exported-metrics.ts';

/** docs/metrics.md says what the roles export, and what they export says nothing about anybody. */

const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

/** Label values that the page names by where they come from. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  'any code of [errors](errors.md)': Object.keys(REFUSALS),
  'the relays of the table, by name': RELAYS,
  'the auths of the site, by name': AUTHS,
  'the other managers of the site, by name': FELLOWS,
  'the scanners of `relay.inspect.clamd`, by their place in the list': SCANNERS,
};

function documented(): Metric[] {
  return page.split(/^## /mu).flatMap((section) => {
    const role = /^\w+/u.exec(section)?.[0] ?? '';
    return section
      .split('\n')
      .filter((line) => line.startsWith('| `sekisho_'))
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .map(([, name = '', type = '', labels = '']) => ({
        role,
        name: name.replaceAll('`', ''),
        type,
        labels: Object.fromEntries(
          labels === ''
            ? []
            : labels.split(' · ').map((text) => {
                const [, label = '', values = ''] = /^`(\w+)`: (.+)$/u.exec(text) ?? [];
                return [label, LISTS[values] ?? values.split(', ')];
              }),
        ),
      }));
  });
}

const all = await exportedMetrics();
const byName = (metrics: readonly Metric[]): Metric[] => [...metrics].sort((a, b) => a.name.localeCompare(b.name));

test('docs/metrics.md has every metric with its type, its labels and all their values, and no other', () => {
  expect(all.length).toBeGreaterThan(40);
  expect(byName(documented())).toEqual(byName(all));
});

test('an alert or a hint of the page names no metric that does not exist', () => {
  const names = new Set(all.flatMap(({ name, type }) => (type === 'histogram' ? [name, `${name}_bucket`] : [name])));
  const used = [...page.matchAll(/\bsekisho_[a-z_]+\b/gu)].map(([name]) => name);
  expect(used.filter((name) => !names.has(name))).toEqual([]);
});

test('no label says who somebody is', () => {
  const forbidden = /mac|device|address|destination|client|host|ip$|session/u;
  expect(all.flatMap(({ name, labels }) => Object.keys(labels).filter((label) => forbidden.test(label)).map((label) => `${name} ${label}`))).toEqual([]);
});

test('names follow the conventions of Prometheus', () => {
  for (const { role, name, type } of all) {
    expect(name, name).toMatch(new RegExp(`^sekisho_${role}_[a-z]+(?:_[a-z]+)*$`, 'u'));
    expect(name.endsWith('_total'), `${name} is a ${type}`).toBe(type === 'counter');
    if (type === 'histogram') expect(name).toMatch(/_seconds$/u);
    // Base units only.
    expect(name).not.toMatch(/_(?:ms|millis|milliseconds|minutes|hours|days|kb|mb|kib|mib|percent)(?:_|$)/u);
    if (/bytes/u.test(name)) expect(name).toMatch(/_bytes(?:_total)?$/u);
  }
});

test('a label has few values: a time series each', () => {
  for (const { name, labels } of all) {
    const series = Object.values(labels).reduce((product, values) => product * values.length, 1);
    expect(series, name).toBeLessThanOrEqual(64);
  }
});
