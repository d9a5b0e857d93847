import { expect, test } from 'vitest';
import type { Figure } from '../../bench/figure.ts';
import { type RunFacts, toJson, toMarkdown, toText } from '../../bench/report.ts';
import { TARGETS, verdicts } from '../../bench/targets.ts';

const FACTS: RunFacts = { date: '2026-11-21', machine: 'a machine', versions: { Node: 'v26' }, notes: ['all TLS: 1.3'] };
const sessions: Figure = {
  name: 'relay.cpu_per_1k_sessions',
  unit: 's/1000',
  values: { ours: 0.3, haproxy_tls: 0.55, nginx: 0.2123456 },
};
const firstByte: Figure = { name: 'chain.added_ttfb_p50', unit: 'ms', values: { ours: 0.8, haproxy_tls: 2 } };

test('each target has its own verdict', () => {
  expect(verdicts(sessions)).toEqual([
    { target: { against: 'haproxy_tls', atMost: 0.5 }, measured: 0.3 / 0.55, reached: false },
    { target: { against: 'nginx', atMost: 1.5 }, measured: 0.3 / 0.2123456, reached: true },
  ]);
  expect(verdicts(firstByte)).toEqual([{ target: { atMost: 1 }, measured: 0.8, reached: true }]);
});

test('a bound is reached at the bound, from the right side', () => {
  const figure: Figure = { name: 'x', unit: '', values: { ours: 10, haproxy: 5 } };
  const reached = (target: object): boolean | undefined => verdicts(figure, [target])[0]?.reached;
  expect([reached({ atMost: 10 }), reached({ atMost: 9.9 }), reached({ atLeast: 10 }), reached({ atLeast: 10.1 })]).toEqual([true, false, true, false]);
  expect([reached({ against: 'haproxy', atMost: 2 }), reached({ against: 'haproxy', atLeast: 2.1 })]).toEqual([true, false]);
});

test('what was not measured is not judged', () => {
  expect(verdicts({ ...sessions, values: { ours: 0.3, nginx: 0.2 } }).map(({ target }) => target.against)).toEqual(['nginx']);
  expect(verdicts({ ...sessions, values: { haproxy_tls: 0.3 } })).toEqual([]);
});

test('--json has candidates as keys of a figure', () => {
  expect(toJson([sessions], FACTS)).toEqual({
    figures: [
      {
        name: 'relay.cpu_per_1k_sessions',
        ours: 0.3,
        haproxy_tls: 0.55,
        nginx: 0.2123,
        unit: 's/1000',
        targets: [
          { against: 'haproxy_tls', atMost: 0.5, measured: 0.5455, reached: false },
          { against: 'nginx', atMost: 1.5, measured: 1.413, reached: true },
        ],
      },
    ],
    ...FACTS,
  });
});

test('a table has columns only for those that were measured, ratios and verdicts', () => {
  const [head, first, second, , facts] = toText([sessions, firstByte], FACTS).split('\n');
  expect(head).toMatch(/^figure +ours +haproxy_tls +nginx +unit +ours is +target$/u);
  expect(first).toMatch(/0\.30 +0\.55 +0\.21 +s\/1000 +0\.55 x haproxy_tls, 1\.41 x nginx +<= 0\.50 x haproxy_tls, <= 1\.50 x nginx +NO, yes$/u);
  expect(second).toMatch(/0\.80 +2\.00 +- +ms +0\.40 x haproxy_tls +<= 1\.00 +yes$/u);
  expect(facts).toBe('2026-11-21, a machine; Node v26');
});

test('every row of Markdown has as many cells', () => {
  const table = toMarkdown([sessions, firstByte], FACTS).split('\n').filter((line) => line.startsWith('|'));
  expect(table).toHaveLength(4);
  expect(new Set(table.map((line) => line.split('|').length))).toEqual(new Set([10]));
  expect(table[1]).toBe('|---|--:|--:|--:|---|---|---|---|');
});

test('every target bounds something', () => {
  for (const target of Object.values(TARGETS).flat()) expect(target.atMost ?? target.atLeast).toBeGreaterThan(0);
});
