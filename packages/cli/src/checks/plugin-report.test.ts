import { expect, test } from 'vitest';
import { PluginReport } from './plugin-report.ts';
import { parseRange } from './range.ts';

test('good: the facts, then the figures with their thresholds', () => {
  const report = new PluginReport('RELAY');
  report.fact('3 sessions');
  report.measure({ label: 'sessions', value: 3, min: 0, max: 100 });
  report.measure({ label: 'time', value: 0.012_34, unit: 's', min: 0 }, { warning: parseRange('1'), critical: parseRange('2') }, 'slow');
  report.measure({ label: "o'clock = 1", value: -2.5 });
  expect(report.state).toBe('OK');
  expect(report.line()).toBe("SEKISHO RELAY OK - 3 sessions | 'sessions'=3;;;0;100 'time'=0.012s;1;2;0 'o''clock - 1'=-2.5");
});

test('the worst decides and comes first, and nothing from outside breaks the line', () => {
  const report = new PluginReport('SITE');
  report.fact('fact');
  report.problem('UNKNOWN', 'cannot say');
  report.problem('WARNING', 'a relay\nis | lost \u001b[31m');
  expect(report.state).toBe('WARNING');
  report.measure({ label: 'load', value: 120, unit: '%' }, { warning: parseRange('80'), critical: parseRange('100') }, 'load 120 %');
  expect(report.state).toBe('CRITICAL');
  expect(report.line()).toBe(
    "SEKISHO SITE CRITICAL - load 120 %, a relay\\u000ais / lost \\u001b[31m, cannot say, fact | 'load'=120%;80;100",
  );
});

test('between the thresholds it is a warning; a text without end is cut', () => {
  const report = new PluginReport('AGENT');
  report.measure({ label: 'load', value: 90 }, { warning: parseRange('80'), critical: parseRange('100') }, 'loaded');
  expect(report.state).toBe('WARNING');
  for (let n = 0; n < 100; n += 1) report.fact('x'.repeat(50));
  expect(report.line().length).toBeLessThan(1000);
});
