import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { encodeFrame, FrameReader, type Message, type MessageName, MESSAGES, WireError } from '@sekisho/wire';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ChannelError } from './channel-error.ts';
import { ControlConnection, type ControlInit } from './control-connection.ts';
import { makeMesh, type Mesh } from './testing/mesh.ts';
import { tlsPair } from './testing/pair.ts';
import { until } from './testing/wait.ts';

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const PLENTY = { maxPending: 10, maxBufferedBytes: 1024 * 1024 };
type Accepted = 'hello' | 'ping' | 'pong' | 'lease' | 'refuse' | 'welcome' | 'grant' | 'bye';
const ACCEPTS: Accepted[] = ['hello', 'ping', 'pong', 'lease', 'refuse', 'welcome', 'grant', 'bye'];

interface End {
  readonly connection: ControlConnection<Accepted>;
  readonly messages: Message[];
  readonly ends: ChannelError[];
}

/** A connection on one end of a pair; `onMessage` beside what is recorded. */
function over(socket: TLSSocket, init: Partial<ControlInit<Accepted>> = {}, onMessage: (message: Message<Accepted>) => void = () => {}): End {
  const messages: Message[] = [];
  const ends: ChannelError[] = [];
  const connection = new ControlConnection<Accepted>(
    socket,
    { accepts: ACCEPTS, ...PLENTY, ...init },
    {
      onMessage: (message) => {
        messages.push(message);
        onMessage(message);
      },
      onClose: (error) => void ends.push(error),
    },
  );
  return { connection, messages, ends };
}

/** A connection, and at its other end a bare socket whose frames are read. */
async function withPeer(init: Partial<ControlInit<Accepted>> = {}, onMessage?: (message: Message<Accepted>) => void) {
  const { client, server } = await tlsPair(mesh);
  const heard: Message[] = [];
  const reader = new FrameReader(Object.keys(MESSAGES) as MessageName[]);
  client.on('error', () => {}).on('data', (chunk: Buffer) => heard.push(...reader.push(chunk)));
  return { ...over(server, init, onMessage), peer: client, heard };
}

const ping = (id: number): Message<'ping'> => ({ type: 'ping', id });
const pong = (id: number): Buffer => encodeFrame({ type: 'pong', id });

describe('questions and answers', () => {
  test('answers find their questions, in any order', async () => {
    const { connection, peer, heard, messages } = await withPeer();
    const asked = [1, 2, 3].map(() => connection.ask<'ping'>({ type: 'ping' }, 10_000));
    await until(() => heard.length === 3);
    const ids = heard.map((message) => ('id' in message ? message.id : 0));
    expect(new Set(ids).size).toBe(3);
    for (const id of ids.toReversed()) peer.write(pong(id));
    expect(await Promise.all(asked)).toMatchObject(ids.map((id) => ({ type: 'pong', id })));
    expect(messages).toEqual([]);
  });

  test('a refusal is an answer, too', async () => {
    const { connection, peer, heard } = await withPeer();
    const asked = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await until(() => heard.length === 1);
    peer.write(encodeFrame({ type: 'refuse', id: 1, code: 14, text: 'slower' }));
    expect(await asked).toMatchObject({ type: 'refuse', code: 14, text: 'slower' });
    expect(connection.closed).toBe(false);
  });

  test('both ends may ask with the same ids at the same time', async () => {
    const { client, server } = await tlsPair(mesh);
    const answering = (end: () => End) => (message: Message<Accepted>) => {
      if (message.type === 'ping') end().connection.send({ type: 'pong', id: message.id });
    };
    const one: End = over(client, {}, answering(() => one));
    const two: End = over(server, {}, answering(() => two));
    const asked = [one, two].flatMap(({ connection }) => [1, 2].map(() => connection.ask<'ping'>({ type: 'ping' }, 10_000)));
    expect(await Promise.all(asked)).toMatchObject([1, 2, 1, 2].map((id) => ({ type: 'pong', id })));
  });

  test('no answer: TIMEOUT; the connection goes on, and the late answer is dropped', async () => {
    const { connection, peer, heard, messages } = await withPeer();
    await expect(connection.ask<'ping'>({ type: 'ping' }, 50)).rejects.toMatchObject({ code: 'TIMEOUT' });
    peer.write(pong(1));
    const second = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await until(() => heard.length === 2);
    peer.write(pong(2));
    expect(await second).toMatchObject({ id: 2 });
    expect(messages).toEqual([]);
  });

  test('the same answer twice, and an answer to nothing, are dropped; id 0 is a push', async () => {
    const { connection, peer, heard, messages } = await withPeer();
    const asked = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await until(() => heard.length === 1);
    peer.write(Buffer.concat([pong(1), pong(1), pong(99), pong(0xffff_ffff)]));
    peer.write(encodeFrame({ type: 'refuse', id: 0, code: 21, text: 'stopping' }));
    await asked;
    await until(() => messages.length > 0);
    expect(messages).toMatchObject([{ type: 'refuse', id: 0, code: 21 }]);
  });

  test('maxPending questions wait, one more is BUSY, an answer makes room', async () => {
    const { connection, peer, heard } = await withPeer({ maxPending: 2 });
    const first = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    const second = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await expect(connection.ask<'ping'>({ type: 'ping' }, 10_000)).rejects.toMatchObject({ code: 'BUSY' });
    await until(() => heard.length === 2);
    peer.write(pong(1));
    await first;
    const third = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await until(() => heard.length === 3);
    peer.write(Buffer.concat([pong(2), pong(3)]));
    expect(await Promise.all([second, third])).toMatchObject([{ id: 2 }, { id: 3 }]);
  });

  test('a question out of bounds throws at once and leaves nothing behind', async () => {
    const { connection, peer, heard } = await withPeer({ maxPending: 1 });
    const question = { type: 'hello', versions: Buffer.alloc(0), software: 'x'.repeat(65), avoid: [] } as const;
    expect(() => void connection.ask<'hello'>(question, 50)).toThrow(WireError);
    const asked = connection.ask<'ping'>({ type: 'ping' }, 10_000);
    await until(() => heard.length === 1);
    expect(heard).toEqual([ping(1)]);
    peer.write(pong(1));
    await asked;
  });
});

describe('the end', () => {
  test('every open question fails with the reason; onClose once; nothing after it', async () => {
    const { connection, peer, ends, messages, heard } = await withPeer();
    const asked = [1, 2].map(() => connection.ask<'ping'>({ type: 'ping' }, 10_000).catch((error: unknown) => error));
    await until(() => heard.length === 2);
    peer.end();
    expect(await Promise.all(asked)).toMatchObject([{ code: 'CLOSED' }, { code: 'CLOSED' }]);
    connection.close();
    await until(() => connection.socket.closed);
    expect(ends).toMatchObject([{ code: 'CLOSED', message: 'the peer closed the connection' }]);
    connection.send(ping(7));
    await expect(connection.ask<'ping'>({ type: 'ping' }, 10_000)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(messages).toEqual([]);
  });

  test('what was sent before close() still arrives', async () => {
    const { connection, peer, heard } = await withPeer();
    for (let id = 1; id <= 500; id += 1) connection.send(ping(id));
    connection.close();
    await until(() => peer.closed);
    expect(heard).toHaveLength(500);
  });

  test('messages behind the one at which the handler closed are not delivered', async () => {
    let end: End | undefined;
    end = await withPeer({}, () => end?.connection.close());
    const { peer, messages, ends } = end as Awaited<ReturnType<typeof withPeer>>;
    peer.write(Buffer.concat([1, 2, 3].map((id) => encodeFrame(ping(id)))));
    await until(() => ends.length > 0 && peer.closed);
    expect(messages).toEqual([ping(1)]);
    expect(ends).toHaveLength(1);
  });

  test('a socket that had ended before is told as closed', async () => {
    const { client, server } = await tlsPair(mesh);
    client.destroy();
    server.resume();
    await until(() => server.closed);
    const { ends } = over(server);
    await until(() => ends.length > 0);
    expect(ends).toMatchObject([{ code: 'CLOSED' }]);
  });
});

describe('a bad peer', () => {
  test.each<[string, Buffer]>([
    ['a type that nobody knows', Buffer.from('0001ff', 'hex')],
    ['a type of the data channel', encodeFrame({ type: 'admit', version: 1, ttlMs: 1, maxSessions: 1 })],
    ['a frame longer than its type may be', Buffer.from('ffff06', 'hex')],
    ['a frame without a type', Buffer.from('000006', 'hex')],
    ['a missing field', Buffer.from('000106', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('%s: what came before is delivered, then REFUSE with PROTOCOL, then the end', async (_what, bytes) => {
    const { connection, peer, heard, messages, ends } = await withPeer();
    peer.write(Buffer.concat([encodeFrame(ping(5)), bytes, encodeFrame(ping(6))]));
    await until(() => peer.closed && ends.length > 0);
    expect(messages).toEqual([ping(5)]);
    expect(heard).toMatchObject([{ type: 'refuse', id: 0, code: 2 }]);
    expect(ends).toMatchObject([{ code: 'PROTOCOL' }]);
    expect(connection.closed).toBe(true);
  });

  test('one that asks and does not read is cut off', async () => {
    const { client, server } = await tlsPair(mesh);
    client.pause();
    const maxBufferedBytes = 128 * 1024;
    let most = 0;
    const end: End = over(server, { maxBufferedBytes }, (message) => {
      if (message.type !== 'ping') return;
      end.connection.send({ type: 'bye', session: Buffer.alloc(16), outcome: 'x'.repeat(64), bytesUp: 1, bytesDown: 1, durationMs: 1 });
      most = Math.max(most, server.writableLength);
    });
    const questions = Buffer.concat(Array.from({ length: 1000 }, (_, id) => encodeFrame(ping(id))));
    const asking = setInterval(() => client.writable && client.writableLength < questions.length && client.write(questions), 1);
    try {
      await until(() => end.ends.length > 0);
    } finally {
      clearInterval(asking);
    }
    expect(end.ends).toMatchObject([{ code: 'BUSY' }]);
    expect(most).toBeLessThan(2 * maxBufferedBytes);
    // It is not kept until the peer reads, either.
    await until(() => server.destroyed);
  });

  test('an error of the handler is not taken for one of the peer', async () => {
    const wrong = { type: 'bye', session: Buffer.alloc(1) } as unknown as Message<'bye'>;
    let thrown: unknown;
    const end: Awaited<ReturnType<typeof withPeer>> = await withPeer({}, () => {
      try {
        end.connection.send(wrong);
      } catch (error) {
        thrown = error;
      }
    });
    // As the event loop would see it.
    end.peer.write(encodeFrame(ping(1)));
    await until(() => thrown !== undefined);
    expect(thrown).toBeInstanceOf(WireError);
    expect(end.connection.closed).toBe(false);

    const throwing = over((await tlsPair(mesh)).server, {}, () => {
      throw new WireError('TOO_LONG', 'ours');
    });
    const { socket } = throwing.connection;
    expect(() => socket.emit('data', encodeFrame(ping(1)))).toThrow('ours');
    expect(throwing.ends).toEqual([]);
    expect(throwing.connection.closed).toBe(false);
  });
});

test('property: the bytes may be cut anywhere', async () => {
  const { client, server } = await tlsPair(mesh);
  const { messages, ends } = over(server);
  const session = randomBytes(16);
  const sent: Message[] = [
    ping(1),
    { type: 'bye', session, outcome: 'ok', bytesUp: 2 ** 40, bytesDown: 0, durationMs: 1, relay: 's1' },
    { type: 'hello', id: 9, versions: Buffer.from([1]), software: 'x', mac: Buffer.alloc(6), avoid: ['s1', 's2'] } as unknown as Message,
    ping(2),
  ];
  const bytes = Buffer.concat(sent.map((message) => encodeFrame(message)));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 8 }), async (cuts) => {
      messages.length = 0;
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      // Emitted, because TCP and TLS would put small pieces together again.
      for (let i = 1; i < places.length; i += 1) server.emit('data', bytes.subarray(places[i - 1], places[i]));
      expect(messages).toMatchObject(sent);
      expect(ends).toEqual([]);
    }),
    { numRuns: 200 },
  );
  for (const byte of bytes) client.write(Buffer.from([byte]));
  await until(() => messages.length === 2 * sent.length);
});

describe('a connection that sends in batches', () => {
  /** Writes to the socket, and the frames in each. */
  function watched(socket: TLSSocket): number[] {
    const writes: number[] = [];
    const write = socket.write.bind(socket);
    socket.write = (chunk: Buffer) => {
      writes.push(new FrameReader(ACCEPTS).push(chunk).length);
      return write(chunk);
    };
    return writes;
  }

  test('what is said in one turn is one write at its end, in order', async () => {
    const { connection, heard } = await withPeer({ isBatched: true });
    const writes = watched(connection.socket);
    for (let id = 1; id <= 50; id += 1) connection.send(ping(id));
    expect(writes).toEqual([]);
    await until(() => heard.length === 50);
    connection.send(ping(51));
    await until(() => heard.length === 51);
    expect(writes).toEqual([50, 1]);
    expect(heard).toEqual(Array.from({ length: 51 }, (_, index) => ({ type: 'ping', id: index + 1 })));
  });

  test('of much, only the last piece waits for the end of the turn', async () => {
    const { connection, heard } = await withPeer({ isBatched: true, maxBufferedBytes: 1024 * 1024 });
    const writes = watched(connection.socket);
    const grant = (id: number): Message<'grant'> => ({ type: 'grant', id, ticket: Buffer.alloc(1000), ttlMs: 1000 });
    for (let id = 1; id <= 200; id += 1) connection.send(grant(id));
    expect(writes).toEqual([65, 65, 65]);
    await until(() => heard.length === 200);
    expect(writes).toEqual([65, 65, 65, 5]);
    expect(heard.map((message) => ('id' in message ? message.id : 0))).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  });

  test('what was said before it is closed goes out first, and only once', async () => {
    const { connection, heard, peer } = await withPeer({ isBatched: true });
    const writes = watched(connection.socket);
    connection.send(ping(1));
    connection.close();
    connection.send(ping(2));
    await until(() => peer.readableEnded);
    expect(heard).toEqual([ping(1)]);
    expect(writes).toEqual([1]);
  });

  test('what waits for the end of the turn counts against the limit', async () => {
    const { connection, ends } = await withPeer({ isBatched: true, maxBufferedBytes: 1000 });
    for (let id = 1; !connection.closed && id < 1000; id += 1) connection.send(ping(id));
    expect(ends).toMatchObject([{ code: 'BUSY', message: expect.stringContaining('the peer does not read') }]);
  });
});
