import { createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { createLogger } from '@sekisho/telemetry';
import { afterEach, expect, test } from 'vitest';
import { DriftWatch } from './drift-watch.ts';
import { EventLog } from './event-log.ts';
import { Fellows } from './fellows.ts';

const lines: Record<string, unknown>[] = [];
const log = createLogger({ role: 'manager', destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) } });
const events = new EventLog();
let fellows: Fellows | undefined;
afterEach(() => fellows?.close());

/** A port at which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('a manager that was not there from the start is missed a few seconds later, once', async () => {
  let now = 1_000_000;
  const port = await closedPort();
  fellows = new Fellows(
    { log, events, drift: new DriftWatch({ log, events }, {}), clock: { now: () => now }, random: () => 0 },
    { site: 'tokyo-1', fellows: [{ name: 's2', host: '127.0.0.1', port }], context: createSecureContext() },
  );
  fellows.start();
  await expect.poll(() => fellows?.list()[0]?.reason).toBe('ECONNREFUSED');
  fellows.tick();
  const unknown = { name: 's2', host: '127.0.0.1', port, up: false, software: null, config: null, clockOffsetMs: null, reason: 'ECONNREFUSED' };
  expect(fellows.list()).toEqual([{ ...unknown, lostAt: null }]);
  now += 2999;
  fellows.tick();
  expect(events.list()).toEqual([]);
  now += 1;
  fellows.tick();
  now += 1000;
  fellows.tick();
  expect(fellows.list()).toEqual([{ ...unknown, lostAt: 1_003_000 }]);
  expect(events.list().map(({ event, text }) => `${event} ${text}`)).toEqual(['manager_lost s2: ECONNREFUSED']);
  expect(lines).toMatchObject([{ level: 'warn', event: 'manager_lost', manager: 's2', reason: 'ECONNREFUSED' }]);
});
