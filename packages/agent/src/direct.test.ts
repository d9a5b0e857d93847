import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DirectConnection, idleMsOf } from './direct.ts';
import type { ConnectionEnd } from './relayed.ts';
import { clientPair } from './testing/client-pair.ts';
import { atEnd, destination, until } from './testing/world.ts';

/** A client's connection to its destination, without an agent around it. */

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
/** More than the kernel hands over to somebody who does not read. */
const LAST_WORDS = randomBytes(400_000);

interface Scene {
  /** The two ends. */
  readonly client: Socket;
  readonly server: Socket;
  readonly connection: DirectConnection;
  readonly ends: ConnectionEnd[];
}

async function scene(idleMs = 60_000): Promise<Scene> {
  const arrived = Promise.withResolvers<Socket>();
  const { host, port } = await destination((socket) => arrived.resolve(socket.pause()));
  const [client, accepted] = await clientPair();
  const ends: ConnectionEnd[] = [];
  const connected = Promise.withResolvers<void>();
  const connection = new DirectConnection(
    {
      client: accepted,
      handler: { onConnected: () => connected.resolve(), onFailed: (code) => connected.reject(new Error(code)), onEnded: (end) => ends.push(end) },
    },
    { host, port, timeoutMs: 5000, idleMs, dnsServers: [] },
  );
  atEnd(() => connection.abort());
  await connected.promise;
  return { client, server: await arrived.promise, connection, ends };
}

/** What a socket that reads late gets, and how that ends. */
async function readAll(socket: Socket): Promise<{ readonly sha: string; readonly end: string }> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  const end = await Promise.race([once(socket, 'end').then(() => 'end'), once(socket, 'close').then(() => 'close')]);
  return { sha: sha256(Buffer.concat(chunks)), end };
}

/** One side says its last words, ends, and answers what it is still told with RST. */
async function endAndReset(gone: Socket, other: Socket): Promise<void> {
  gone.end(LAST_WORDS);
  await once(gone, 'finish');
  await sleep(50);
  gone.resetAndDestroy();
  for (let count = 0; count < 5; count += 1) {
    other.write('more and more');
    await sleep(10);
  }
}

test('the last words of a server that ends and then resets reach a client that reads late, and so does the end', async () => {
  const { client, server, ends } = await scene();
  await endAndReset(server, client);
  expect(ends).toEqual([]);
  expect(await readAll(client)).toEqual({ sha: sha256(LAST_WORDS), end: 'end' });
  // However much the client still says, it goes nowhere and does not get stuck.
  client.end(Buffer.alloc(3_000_000));
  await until(() => ends.length > 0);
  expect([ends, client.errored]).toEqual([['destination_aborted'], null]);
});

test('the last words of a client that ends and then resets reach the server, and so does the end', async () => {
  const { client, server, ends } = await scene();
  await endAndReset(client, server);
  expect(ends).toEqual([]);
  expect(await readAll(server)).toEqual({ sha: sha256(LAST_WORDS), end: 'end' });
  server.end('250 ok\r\n');
  await until(() => ends.length > 0);
  expect([ends, server.errored]).toEqual([['client_aborted'], null]);
});

test('both have ended: it is over when the last words have reached a client that reads late', async () => {
  const { client, server, ends } = await scene();
  client.end('QUIT\r\n');
  server.resume();
  await once(server, 'end');
  server.end(LAST_WORDS);
  await once(server, 'close');
  expect(await readAll(client)).toEqual({ sha: sha256(LAST_WORDS), end: 'end' });
  await until(() => ends.length > 0);
  expect(ends).toEqual(['completed']);
});

test('no end before the reset: the other side is reset', async () => {
  for (const from of ['client', 'server'] as const) {
    const made = await scene();
    const other = from === 'client' ? made.server : made.client;
    made[from].write('half a li');
    await once(other.resume(), 'data');
    const broken = once(other, 'error');
    made[from].resetAndDestroy();
    expect(await broken).toMatchObject([{ code: 'ECONNRESET' }]);
    expect(made.ends).toEqual([from === 'client' ? 'client_aborted' : 'destination_aborted']);
  }
});

test.each<[string, (scene: Scene) => unknown]>([
  ['nobody speaks', () => {}],
  ['the server is gone and the client says and reads nothing', ({ server, client }) => endAndReset(server, client)],
  ['the client is gone and the server says and reads nothing', ({ server, client }) => endAndReset(client, server)],
])('idle, as %s: both are reset', async (_name, happen) => {
  const made = await scene(300);
  await happen(made);
  await until(() => made.ends.length > 0, 5000);
  expect(made.ends).toEqual(['destination_aborted']);
  for (const socket of [made.client, made.server]) {
    socket.resume();
    await until(() => socket.destroyed);
  }
});

test('the idle time is that of the protocol, with TLS or without', () => {
  const minutes = (['smtp', 'smtps', 'pop3', 'pop3s', 'imap', 'imaps'] as const).map((protocol) => idleMsOf(protocol) / 60_000);
  expect(minutes).toEqual([11, 11, 30, 30, 31, 31]);
});
