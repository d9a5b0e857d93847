import { Metrics } from '@sekisho/telemetry';
import { expect, test } from 'vitest';
import { parseSamples, sumOf } from './prometheus-text.ts';

test('what a role exports is read back; what is no sample is left out', async () => {
  const metrics = new Metrics();
  metrics.gauge({ name: 'sekisho_agent_direct', help: 'Direct.' }).set({}, 1);
  const sessions = metrics.gauge({ name: 'sekisho_agent_sessions', help: 'Sessions.', labels: { state: ['a b', 'c,d="e"'] } });
  sessions.set({ state: 'a b' }, 2.5);
  sessions.set({ state: 'c,d="e"' }, 4);
  const samples = parseSamples(`${await metrics.text()}\nnonsense\n{} 3\n`);
  expect(samples).toHaveLength(3);
  expect(sumOf(samples, 'sekisho_agent_direct')).toBe(1);
  expect(sumOf(samples, 'sekisho_agent_sessions')).toBe(6.5);
  expect(sumOf(samples, 'sekisho_agent_sessions', { state: 'a b' })).toBe(2.5);
  expect(sumOf(samples, 'sekisho_agent_managers')).toBeUndefined();
});
