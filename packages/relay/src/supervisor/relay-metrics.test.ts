import { Metrics } from '@sekisho/telemetry';
import { expect, test } from 'vitest';
import type { Unable, WorkerReport } from '../worker.ts';
import { RelayMetrics, type RelayNow } from './relay-metrics.ts';

const report = (unable?: Unable): WorkerReport => ({
  sessions: { preamble: 0, connecting: 1, streaming: 2, scanning: 0, closing: 0 },
  devices: 1,
  loopDelayUs: 0,
  unable,
  counts: { bytesUp: 0, bytesDown: 0, outcomes: {}, refusals: {}, rejects: {}, connectMs: [] },
});

test('what is now is read at each export, from all workers', async () => {
  const metrics = new Metrics();
  let now: RelayNow = { reports: [report(), report('destination DNS dead')], ready: 2, detectionsWaiting: 3 };
  const relay = new RelayMetrics(metrics, () => now, { certificateExpiresAtMs: 1_800_000_000_000, configDigest: 2 ** 48 - 1 });
  relay.restarted();
  const text = await metrics.text();
  expect(text).toContain('sekisho_relay_certificate_expires_timestamp_seconds 1800000000');
  expect(text).toContain('sekisho_relay_unable_workers{reason="dns"} 1');
  expect(text).toContain('sekisho_relay_unable_workers{reason="descriptors"} 0');
  expect(text).toContain('sekisho_relay_worker_restarts_total 1');
  expect(text).toContain('sekisho_relay_sessions{state="streaming"} 4');
  expect(text).toContain('sekisho_relay_detections_waiting 3');
  now = { reports: [report('no descriptors left')], ready: 1, detectionsWaiting: 0 };
  expect(await metrics.text()).toContain('sekisho_relay_unable_workers{reason="descriptors"} 1');
  expect(await metrics.text()).toContain('sekisho_relay_unable_workers{reason="dns"} 0');
});
