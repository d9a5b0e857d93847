import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metrics } from '@sekisho/telemetry';
import { REFUSALS } from '@sekisho/wire';
import { expect, test } from 'vitest';
import { agentMetrics } from '../../packages/agent/src/agent-metrics.ts';
import { authMetrics } from '../../packages/auth/src/auth-metrics.ts';
import { managerMetrics } from '../../packages/manager/src/manager-metrics.ts';
import { InspectionMetrics } from '../../packages/relay/src/supervisor/inspection-metrics.ts';
import { noticeMetrics } from '../../packages/outbreak/src/notices/notice-metrics.ts';
import { outbreakMetrics } from '../../packages/outbreak/src/outbreak-metrics.ts';
import { RelayMetrics } from '../../packages/relay/src/supervisor/relay-metrics.ts';

/** docs/metrics.md says what the roles export, and what they export says nothing about anybody. */

const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');

/** Label values that the page names by where they come from. */
const RELAYS = ['s1', 's2'];
const AUTHS = ['s1'];
const SCANNERS = ['1', '2'];
const LISTS: Readonly<Record<string, readonly string[]>> = {
  'any code of [errors](errors.md)': Object.keys(REFUSALS),
  'the relays of the table, by name': RELAYS,
  'the auths of the site, by name': AUTHS,
  'the scanners of `relay.inspect.clamd`, by their place in the list': SCANNERS,
};

interface Metric {
  readonly role: string;
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

const REGISTER: Readonly<Record<string, (metrics: Metrics) => unknown>> = {
  agent: (metrics) =>
    agentMetrics(metrics, {
      sessions: () => 0,
      managers: () => 0,
      leaseIsValid: () => true,
      isDirect: () => false,
      certificateExpiresAtMs: () => 0,
    }),
  manager: (metrics) =>
    managerMetrics(
      metrics,
      {
        agents: () => 0,
        agentsDirect: () => 0,
        pushesPending: () => 0,
        storeUp: () => true,
        authUp: () => true,
        scannersDown: () => 0,
        table: () => ({ policy: 'least-load', panic: false, relays: [] }),
        certificateExpiresAtMs: () => 0,
        configDigest: () => 0,
        servers: () => 0,
      },
      { relays: RELAYS, auths: AUTHS },
    ),
  relay: (metrics) => {
    const relay = new RelayMetrics(metrics, () => ({ reports: [], ready: 0, detectionsWaiting: 0 }), { certificateExpiresAtMs: 0, configDigest: 0 });
    return [relay, new InspectionMetrics(metrics, () => ({ scanners: [], spoolBytes: 0, differsForMs: 0 }), { scanners: SCANNERS.length })];
  },
  outbreak: (metrics) => [
    outbreakMetrics(metrics, { open: () => 0, waiting: () => 0, untold: () => 0, submissionUp: () => true, storeUp: () => true }),
    noticeMetrics(metrics, { kept: () => 0 }),
  ],
  auth: (metrics) =>
    authMetrics(metrics, {
      managers: () => 0,
      registeredDevices: () => 0,
      corruptDevices: () => 0,
      storeUp: () => true,
      macOnly: () => false,
      revocationsAgeMs: () => undefined,
      revocationsOverdue: () => false,
      certificateExpiresAtMs: () => 0,
      configDigest: () => 0,
    }),
};

async function exported(role: string): Promise<Metric[]> {
  const metrics = new Metrics();
  REGISTER[role]!(metrics);
  return (await metrics.registry.getMetricsAsJSON()).map(({ name, type, values }) => {
    const labels: Record<string, string[]> = {};
    for (const sample of values) {
      for (const [label, value] of Object.entries(sample.labels)) {
        if (label === 'le') continue;
        const known = (labels[label] ??= []);
        if (!known.includes(String(value))) known.push(String(value));
      }
    }
    return { role, name, type: String(type), labels };
  });
}

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

const all = (await Promise.all(Object.keys(REGISTER).map((role) => exported(role)))).flat();
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
