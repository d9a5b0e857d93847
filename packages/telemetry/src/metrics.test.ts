import { expect, test } from 'vitest';
import { Metrics } from './metrics.ts';

test('every label value is exported from the start', async () => {
  const metrics = new Metrics();
  const total = metrics.counter({ name: 'sekisho_test_total', help: 'x', labels: { result: ['ok', 'failed'] } });
  total.inc({ result: 'failed' }, 3);
  const text = await metrics.text();
  expect(text).toContain('sekisho_test_total{result="ok"} 0');
  expect(text).toContain('sekisho_test_total{result="failed"} 3');
});

test('a label value outside the list throws', () => {
  const total = new Metrics().counter({ name: 'sekisho_test_total', help: 'x', labels: { result: ['ok'] } });
  // @ts-expect-error the list is part of the type, too
  expect(() => total.inc({ result: '02:00:5e:10:00:01' })).toThrow(/result may not be/u);
});

test('names follow the conventions', () => {
  const metrics = new Metrics();
  expect(() => metrics.counter({ name: 'sekisho_test', help: 'x' })).toThrow(/_total/u);
  expect(() => metrics.histogram({ name: 'sekisho_test_ms', help: 'x' })).toThrow(/_seconds/u);
});

test('a gauge can be computed when it is asked for', async () => {
  const metrics = new Metrics();
  let value = 1;
  metrics.gauge({ name: 'sekisho_now', help: 'x' }, (gauge) => gauge.set({}, value));
  value = 7;
  expect(await metrics.text()).toContain('sekisho_now 7');
});

test('a histogram counts in buckets', async () => {
  const metrics = new Metrics();
  const seconds = metrics.histogram({ name: 'sekisho_wait_seconds', help: 'x', labels: { leg: ['relay'] } });
  seconds.observe({ leg: 'relay' }, 0.25);
  expect(await metrics.text()).toContain('sekisho_wait_seconds_bucket{le="0.3",leg="relay"} 1');
});
