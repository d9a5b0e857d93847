import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { startBlackHole, startSilentServer } from './silent-server.ts';

const running: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

/** What became of a connection within the time. */
async function observe(target: { address: string; port: number }, ms: number): Promise<string[]> {
  const events: string[] = [];
  const socket = connect(target.port, target.address);
  for (const event of ['connect', 'data', 'end', 'error', 'close']) socket.on(event, () => events.push(event));
  socket.write('hello');
  await sleep(ms);
  socket.destroy();
  return events;
}

test('a silent server accepts, reads and says nothing', async () => {
  const server = await startSilentServer({ address: '127.0.9.1' });
  running.push(server);
  expect(await observe(server, 200)).toEqual(['connect']);
  expect(server.bytesReceived).toBe(5);
  expect(server.connections).toBe(1);
});

test('a black hole neither accepts nor refuses, again and again, and is gone after stop', async () => {
  const hole = await startBlackHole({ address: '127.0.9.2' });
  running.push(hole);
  // Past the first repetition of the SYN.
  const outcomes = await Promise.all([observe(hole, 1300), observe(hole, 1300), observe(hole, 1300)]);
  expect(outcomes).toEqual([[], [], []]);
  await hole.stop();
  expect(await observe(hole, 100)).toContain('error');
});
