import { expect, test } from 'vitest';
import { Metrics } from './metrics.ts';
import { startMetricsServer } from './metrics-server.ts';

test('serves the metrics and nothing else', async () => {
  const metrics = new Metrics();
  metrics.counter({ name: 'sekisho_served_total', help: 'x' }).inc({});
  const server = await startMetricsServer({ host: '127.0.0.1', port: 0, text: () => metrics.text() });
  try {
    const url = `http://127.0.0.1:${server.port}`;
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('sekisho_served_total 1');
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(404);
  } finally {
    server.close();
  }
});

test('a port that is taken is an error', async () => {
  const text = () => Promise.resolve('');
  const first = await startMetricsServer({ host: '127.0.0.1', port: 0, text });
  try {
    await expect(startMetricsServer({ host: '127.0.0.1', port: first.port, text })).rejects.toThrow(/EADDRINUSE/u);
  } finally {
    first.close();
  }
});
