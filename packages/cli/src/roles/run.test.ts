import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { runRole } from './run.ts';

test('a role whose port for metrics is taken ends, and does not go on half started', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const closed: string[] = [];
  const running = { drain: async () => {}, close: () => void closed.push('closed') };
  const init = { role: 'auth', level: 'silent', metricsAddress: '127.0.0.1', metricsPort: port, start: async () => running } as const;
  await expect(runRole(init)).rejects.toMatchObject({ name: 'CommandError', exitCode: 69, message: `auth, metrics: 127.0.0.1:${port} is in use by another process.` });
  expect(closed).toEqual(['closed']);
  taken.close();
});
