import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { MuxConnection } from '@sekisho/channel';
import type { MuxStream } from '@sekisho/wire';
import { beforeAll, expect, test } from 'vitest';
import { makeMesh, type Mesh } from '../../channel/src/testing/mesh.ts';
import { atEnd, tlsPair } from '../../channel/src/testing/pair.ts';
import { until } from '../../channel/src/testing/wait.ts';
import { type ConnectionEnd, RelayedConnection } from './relayed.ts';
import { clientPair } from './testing/client-pair.ts';

/** The agent's end of a session whose relay never ends anything by itself. */

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const IDLE_MS = 300;

interface Scene {
  readonly client: Socket;
  /** The relay's end. */
  readonly stream: MuxStream;
  readonly seen: { bytes: number; wasReset: boolean };
  readonly ends: ConnectionEnd[];
  readonly connection: RelayedConnection;
  readonly startedAtMs: number;
}

async function scene(): Promise<Scene> {
  const { client: near, server: far } = await tlsPair(mesh);
  const init = { windowBytes: 256 * 1024, maxStreams: 4, deadAfterMs: 60_000 };
  const arrived = Promise.withResolvers<MuxStream>();
  const seen = { bytes: 0, wasReset: false };
  const relay = new MuxConnection(far, { role: 'server', ...init }, {
    onStream: (stream) => {
      stream.handler = {
        onAck: () => {},
        onData: (chunk) => {
          seen.bytes += chunk.length;
          stream.consumed(chunk.length);
        },
        onEnd: () => stream.end(),
        onReset: () => (seen.wasReset = true),
        onDrain: () => {},
      };
      stream.accept();
      arrived.resolve(stream);
    },
    onGoAway: () => {},
    onClose: () => {},
  });
  const agent = new MuxConnection(near, { role: 'client', ...init }, { onStream: (stream) => stream.reset(), onGoAway: () => {}, onClose: () => {} });
  atEnd(() => (agent.close(), relay.close()));
  const [client, accepted] = await clientPair();
  const ends: ConnectionEnd[] = [];
  const startedAtMs = performance.now();
  const connection = new RelayedConnection({ client: accepted, stream: agent.open(), onEnded: (end) => ends.push(end) }, { idleMs: IDLE_MS });
  connection.start(Buffer.alloc(0));
  return { client, stream: await arrived.promise, seen, ends, connection, startedAtMs };
}

test('a session in which no byte moves is reset on both sides, a little later than the relay would have done it', async () => {
  const { client, seen, ends, startedAtMs } = await scene();
  const broken = once(client, 'error');
  client.resume();
  await until(() => ends.length > 0);
  expect(performance.now() - startedAtMs).toBeGreaterThan(IDLE_MS);
  expect(performance.now() - startedAtMs).toBeLessThan(2 * IDLE_MS);
  expect(await broken).toMatchObject([{ code: 'ECONNRESET' }]);
  await until(() => seen.wasReset);
  await sleep(IDLE_MS / 4);
  expect(ends).toEqual(['destination_aborted']);
});

test.each<[string, (scene: Scene) => void]>([
  ['client', ({ client }) => client.write('x')],
  ['destination', ({ stream }) => stream.write(Buffer.from('x'))],
])('a byte of the %s now and then keeps it, and silence afterwards ends it', async (_name, speak) => {
  const made = await scene();
  made.client.resume();
  for (let turn = 0; turn < 6; turn += 1) {
    await sleep(IDLE_MS / 3);
    speak(made);
  }
  expect(made.ends).toEqual([]);
  const spokenAtMs = performance.now();
  await until(() => made.ends.length > 0);
  expect(performance.now() - spokenAtMs).toBeGreaterThan(IDLE_MS);
});

test.each<[string, (scene: Scene) => void, readonly ConnectionEnd[]]>([
  ['has ended', ({ client }) => client.end(), ['completed']],
  ['was broken off', ({ stream }) => stream.reset(), ['destination_aborted']],
  ['was given up', ({ connection }) => connection.abort(), []],
])('nothing is looked after when the session %s', async (_name, end, ends) => {
  const made = await scene();
  made.client.resume();
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  end(made);
  await until(() => made.ends.length === ends.length && made.client.closed);
  expect(made.ends).toEqual(ends);
  expect(timers()).toBeLessThan(before);
});
