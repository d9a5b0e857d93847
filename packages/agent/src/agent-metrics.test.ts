import { createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { expect, test } from 'vitest';
import { agentMetrics } from './agent-metrics.ts';
import { RelayPool } from './relay-pool.ts';
import { DEFAULT_LIMITS, DEFAULT_TIMINGS } from './settings.ts';

const NOW = { sessions: () => 0, managers: () => 0, leaseIsValid: () => true, isDirect: () => false };

test('the end of the certificate is exported', async () => {
  const metrics = new Metrics();
  agentMetrics(metrics, { ...NOW, certificateExpiresAtMs: () => 1_800_000_000_000 });
  expect(await metrics.text()).toContain('sekisho_agent_certificate_expires_timestamp_seconds 1800000000');
});

test('a relay that cannot be used is counted by what was wrong with it', async () => {
  const metrics = new Metrics();
  // Whoever answers here speaks no TLS.
  const stranger = createServer((socket) => socket.end('220 who are you\r\n'));
  await new Promise<void>((resolve) => stranger.listen(0, '127.0.0.1', resolve));
  const { port } = stranger.address() as { port: number };
  const pool = new RelayPool(
    {
      clock: performance,
      random: Math.random,
      log: createLogger({ role: 'agent', level: 'silent' }),
      context: createSecureContext(),
      metrics: agentMetrics(metrics, { ...NOW, certificateExpiresAtMs: () => 0 }),
      onTrouble: () => {},
      onChange: () => {},
      onRoundTrip: () => {},
    },
    { ...DEFAULT_TIMINGS, ...DEFAULT_LIMITS },
  );
  try {
    pool.follow({
      site: 'tokyo-1',
      manager: 's1',
      relays: [{ name: 's1', host: '127.0.0.1', port }],
      ticket: Buffer.alloc(65),
      reason: 'least-load',
      expiresAtMs: Number.POSITIVE_INFINITY,
      renewAtMs: Number.POSITIVE_INFINITY,
    });
    await expect
      .poll(() => metrics.text(), { timeout: 5000 })
      .toMatch(/sekisho_agent_relay_failures_total\{cause="tls"\} [1-9]/u);
    expect(await metrics.text()).toContain('sekisho_agent_relay_failures_total{cause="unreachable"} 0');
  } finally {
    pool.close();
    stranger.close();
  }
});
