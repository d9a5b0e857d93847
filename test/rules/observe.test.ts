import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { runProcess } from '../kit/process.ts';
import { exportedMetrics, type Metric } from './exported-metrics.ts';

/** What deploy/observe ships goes together with what the roles export and with the documents, and Prometheus accepts it. */

const root = join(import.meta.dirname, '../..');
const observe = join(root, 'deploy/observe');
const prometheus = join(observe, 'prometheus');
const read = (path: string): string => readFileSync(path, 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly action: string };
}

interface RuleTest {
  readonly name: string;
  readonly input_series: readonly { readonly series: string }[];
  readonly promql_expr_test?: readonly { readonly expr: string; readonly exp_samples: readonly { readonly labels: string }[] }[];
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[] };
}

const rules = (parse(read(join(prometheus, 'sekisho.rules.yml'))) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);
const testFiles = readdirSync(prometheus).filter((name) => name.endsWith('.test.yml'));
const ruleTests = testFiles.flatMap((name) => (parse(read(join(prometheus, name))) as { tests: RuleTest[] }).tests);
const dashboard = JSON.parse(read(join(observe, 'grafana/sekisho.json'))) as Dashboard;
const shown = [...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))), ...dashboard.annotations.list.map(({ expr }) => ({ where: 'annotation', expr }))];
const metrics = await exportedMetrics();

/** Labels that Prometheus gives to what it scrapes, or makes itself. */
const TARGET_LABELS = ['site', 'server', 'role', 'office', 'instance', 'job', 'le'];

/** What an expression names that nobody exports. */
function unknownIn(expr: string): string[] {
  const selectors = [...expr.matchAll(/(?<name>\bsekisho_\w+)?(?:\{(?<matchers>[^}]*)\})?/gu)].flatMap(({ groups }) =>
    groups?.['name'] === undefined && groups?.['matchers'] === undefined ? [] : [{ name: groups['name'], matchers: groups['matchers'] ?? '' }],
  );
  return selectors.flatMap(({ name, matchers }) => {
    const wanted = [...matchers.matchAll(/(?<label>\w+)(?<operator>=~|!=|!~|=)"(?<value>[^"]*)"/gu)].map(({ groups }) => groups as { label: string; operator: string; value: string });
    const pattern = wanted.find(({ label }) => label === '__name__')?.value;
    const meant = metrics.filter((metric) => (pattern === undefined ? names(metric).includes(name ?? '') : new RegExp(`^(?:${pattern})$`, 'u').test(metric.name)));
    if (meant.length === 0) return name === undefined && pattern === undefined ? [] : [`${name ?? pattern}`];
    return wanted
      .filter(({ label }) => label !== '__name__' && !TARGET_LABELS.includes(label))
      .flatMap(({ label, operator, value }) => (operator.endsWith('~') ? value.split('|') : [value]).map((one) => ({ label, one })))
      .filter(({ label, one }) => !meant.some((metric) => metric.labels[label]?.includes(one) === true))
      .map(({ label, one }) => `${name ?? ''}{${label}="${one}"}`);
  });
}

function names({ name, type }: Metric): string[] {
  return type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name];
}

/** Why the tests that need promtool are skipped, if they are. */
const lacking = (process.env['PATH'] ?? '').split(':').some((place) => existsSync(join(place, 'promtool')))
  ? undefined
  : 'promtool is not installed (Debian package prometheus)';

async function promtool(...args: string[]): Promise<string> {
  const { code, output } = await runProcess({ command: 'promtool', args, cwd: prometheus });
  return `${code} ${output}`;
}

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sekisho-observe-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test('docs/metrics.md has the alerts of the rules file: the same expressions, times and severities', () => {
  const section = read(join(root, 'docs/metrics.md')).split(/^## /mu).find((part) => part.startsWith('Alerts\n')) ?? '';
  const documented = [...section.matchAll(/^\| (?<alert>\w+) \| (?<severity>\w+) \| `(?<expr>.+)` \| (?<time>\d+(?: \w+)?) \|$/gmu)].map(({ groups }) => ({
    alert: groups?.['alert'],
    severity: groups?.['severity'],
    expr: groups?.['expr']?.replaceAll('\\|', '|'),
    time: groups?.['time']?.replace(' min', 'm').replace(' ', ''),
  }));
  expect(rules.length).toBeGreaterThan(15);
  expect(documented).toEqual(rules.map(({ alert, labels, expr, for: time = '0' }) => ({ alert, severity: labels.severity, expr, time })));
});

test('each alert says how grave it is, what has happened, and what to do', () => {
  for (const { alert, labels, annotations } of rules) {
    expect(labels.severity, alert).toMatch(/^(?:critical|warning)$/u);
    expect(annotations.summary, alert).toMatch(/\{\{ \$labels\.\w+ \}\}/u);
    expect(annotations.action.length, alert).toBeGreaterThan(30);
  }
  const wanted = ['DirectFallback', 'RelayMarked', 'NoRelay', 'ScannerDown', 'SignaturesOld', 'RedundancyLost', 'TicketClockSkew', 'CertificateExpiry', 'StoreDown', 'ConfigDrift'];
  expect(rules.map(({ alert }) => alert)).toEqual(expect.arrayContaining(wanted));
});

test('rules, their tests and the dashboard name only metrics and label values that are exported', () => {
  const used = [
    ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
    ...ruleTests.flatMap(({ name, input_series }) => input_series.map(({ series }) => ({ where: `test of ${name}`, expr: series }))),
    ...shown,
  ];
  expect(used.length).toBeGreaterThan(100);
  const invented = ['s1', 's2'];
  const unknown = used.flatMap(({ where, expr }) => unknownIn(expr).map((one) => `${where}: ${one}`));
  expect(unknown.filter((one) => !invented.some((name) => one.endsWith(`="${name}"}`)))).toEqual([]);
  expect(unknownIn('rate(sekisho_relay_nothing[5m])')).toEqual(['sekisho_relay_nothing']);
  expect(unknownIn('sekisho_relay_sessions{state=~"streaming|sleeping"}')).toEqual(['sekisho_relay_sessions{state="sleeping"}']);
});

test('each alert is tested: firing for what is bad, silent for what is good beside it and before its time', () => {
  for (const { alert } of rules) {
    const [first, second] = ruleTests.find(({ name }) => name === alert)?.promql_expr_test ?? [];
    expect(first?.exp_samples, alert).toEqual([]);
    expect(second?.exp_samples.length, alert).toBeGreaterThan(0);
    for (const one of [first, second]) expect(one?.expr).toContain(`alertname="${alert}",alertstate="firing"`);
    const { input_series: series } = ruleTests.find(({ name }) => name === alert) ?? { input_series: [] };
    expect(series.some((one) => /="good/u.test(one.series)), alert).toBe(true);
  }
});

test.skipIf(lacking !== undefined)(`promtool accepts rules, their tests and the configuration${lacking === undefined ? '' : ` (skipped: ${lacking})`}`, async () => {
  const outcomes = await Promise.all([promtool('check', 'config', 'prometheus.yml'), ...testFiles.map((file) => promtool('test', 'rules', file))]);
  for (const outcome of outcomes) expect(outcome).toMatch(/^0 [^]*SUCCESS/u);
});

test.skipIf(lacking !== undefined)(`promtool can read every expression of the dashboard${lacking === undefined ? '' : ` (skipped: ${lacking})`}`, async () => {
  const file = join(directory, 'dashboard.rules.yml');
  const records = shown.map(({ expr }, index) => ({ record: `panel:${index}`, expr: expr.replaceAll('$site', 'tokyo-1') }));
  writeFileSync(file, stringify({ groups: [{ name: 'dashboard', rules: records }] }));
  expect(await promtool('check', 'rules', file)).toContain(`SUCCESS: ${records.length} rules found`);
});

test('the dashboard can be loaded: ids are unique, panels do not overlap, and all ask the chosen Prometheus', () => {
  const { panels, templating } = dashboard;
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  expect(templating.list.map(({ name, type }) => `${name} ${type}`)).toEqual(['datasource datasource', 'site query']);
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        expect(taken.get(`${x} ${y}`), `${title} lies on another panel`).toBeUndefined();
        taken.set(`${x} ${y}`, title);
      }
  }
  for (const { type, title, datasource, targets = [] } of panels) {
    expect(targets.length > 0, title).toBe(type !== 'row');
    if (type !== 'row') expect([datasource, ...targets.map((target) => target.datasource)].map((one) => one?.uid), title).toEqual(Array.from({ length: targets.length + 1 }, () => '${datasource}'));
  }
});
