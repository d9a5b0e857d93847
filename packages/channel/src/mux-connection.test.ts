import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';
import { beforeAll, describe, expect, test } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../../../test/kit/fault-proxy.ts';
import type { ChannelError } from './channel-error.ts';
import { MuxConnection, type MuxConnectionInit } from './mux-connection.ts';
import { makeMesh, type Mesh } from './testing/mesh.ts';
import { atEnd, tlsPair } from './testing/pair.ts';
import { until } from './testing/wait.ts';

const WINDOW_BYTES = 256 * 1024;
const PLENTY = { windowBytes: WINDOW_BYTES, maxStreams: 1000, deadAfterMs: 60_000 };

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

interface End {
  readonly connection: MuxConnection;
  readonly ends: ChannelError[];
  readonly roundTripsMs: number[];
  goAways: number;
}

const IGNORE: MuxStreamHandler = { onAck: () => {}, onData: () => {}, onEnd: () => {}, onReset: () => {}, onDrain: () => {} };

function over(
  socket: TLSSocket,
  role: 'client' | 'server',
  onStream: (stream: MuxStream) => void = () => {},
  init: Partial<MuxConnectionInit> = {},
): End {
  const ends: ChannelError[] = [];
  const end: End = {
    connection: new MuxConnection(
      socket,
      { role, ...PLENTY, ...init },
      {
        onStream,
        onGoAway: () => void (end.goAways += 1),
        onPong: (roundTripMs) => void end.roundTripsMs.push(roundTripMs),
        onClose: (error) => void ends.push(error),
      },
    ),
    ends,
    roundTripsMs: [],
    goAways: 0,
  };
  atEnd(() => end.connection.close());
  return end;
}

/** Sends back what comes and reads no faster than its answers leave. */
function echo(stream: MuxStream): void {
  let owed = 0;
  stream.handler = {
    ...IGNORE,
    onData: (chunk) => {
      if (stream.write(chunk)) stream.consumed(chunk.length);
      else owed += chunk.length;
    },
    onDrain: () => {
      stream.consumed(owed);
      owed = 0;
    },
    onEnd: () => stream.end(),
  };
  stream.accept();
}

/** Takes everything; resolves at its end with how much it was and its SHA-256. */
function drained(stream: MuxStream, more: Partial<MuxStreamHandler> = {}): Promise<{ bytes: number; hash: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ bytes: number; hash: string }>();
  const hash = createHash('sha256');
  let bytes = 0;
  stream.handler = {
    ...IGNORE,
    onData: (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
      stream.consumed(chunk.length);
    },
    onEnd: () => resolve({ bytes, hash: hash.digest('hex') }),
    onReset: () => reject(new Error('reset')),
    ...more,
  };
  return promise;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('streams', () => {
  test('many streams are echoed, each its own bytes, both ends opening', async () => {
    const { client, server } = await tlsPair(mesh);
    const agent = over(client, 'client', echo);
    const relay = over(server, 'server', echo);
    const sessions = Array.from({ length: 100 }, (_, index) => {
      const stream = (index % 2 === 0 ? agent : relay).connection.open();
      const text = randomBytes(1 + index * 97);
      const answer = drained(stream);
      stream.write(text);
      stream.end();
      return { text, answer };
    });
    for (const { text, answer } of sessions) expect(await answer).toEqual({ bytes: text.length, hash: sha256(text) });
    await until(() => agent.connection.streamCount === 0 && relay.connection.streamCount === 0);
    expect([...agent.ends, ...relay.ends]).toEqual([]);
  });

  test('25 MB are byte-exact in both directions at once', async () => {
    const { client, server } = await tlsPair(mesh);
    const mail = randomBytes(25 * 1024 * 1024);
    const agent = over(client, 'client');
    const arrived = Promise.withResolvers<MuxStream>();
    over(server, 'server', (stream) => {
      stream.accept();
      stream.handler = IGNORE;
      arrived.resolve(stream);
    });
    const up = agent.connection.open();
    up.handler = IGNORE;
    const down = await arrived.promise;
    const results = [drained(up), drained(down)];
    for (const stream of [up, down]) {
      stream.write(mail);
      stream.end();
    }
    const expected = { bytes: mail.length, hash: sha256(mail) };
    expect(await Promise.all(results)).toEqual([expected, expected]);
  });

  test('half-close: what the other side says after our FIN still comes', async () => {
    const { client, server } = await tlsPair(mesh);
    over(server, 'server', (stream) => {
      stream.accept();
      stream.handler = {
        ...IGNORE,
        onEnd: () =>
          // Later, so that FIN and answer are not one segment.
          void setTimeout(() => {
            stream.write(Buffer.from('221 bye\r\n'));
            stream.end();
          }, 50),
      };
    });
    const stream = over(client, 'client').connection.open();
    const answer = drained(stream);
    stream.write(Buffer.from('QUIT\r\n'));
    stream.end();
    expect(await answer).toEqual({ bytes: 9, hash: sha256(Buffer.from('221 bye\r\n')) });
    expect(stream.closed).toBe(true);
  });

  test('a reader that stops holds its writer at the window, and nobody else', async () => {
    const { client, server } = await tlsPair(mesh);
    const agent = over(client, 'client');
    let stalledBytes = 0;
    let stalled: MuxStream | undefined;
    over(server, 'server', (stream) => {
      stream.accept();
      if (stalled !== undefined) return echo(stream);
      stalled = stream;
      stream.handler = { ...IGNORE, onData: (chunk) => void (stalledBytes += chunk.length) };
    });
    const writer = agent.connection.open();
    let roomLeft = true;
    let written = 0;
    let drains = 0;
    const piece = randomBytes(64 * 1024);
    const fill = (): void => {
      while (roomLeft && written < 100 * piece.length) {
        roomLeft = writer.write(piece);
        written += piece.length;
      }
    };
    writer.handler = {
      ...IGNORE,
      onDrain: () => {
        drains += 1;
        roomLeft = true;
        fill();
      },
    };
    fill();
    await until(() => stalledBytes === WINDOW_BYTES);

    const mail = randomBytes(5 * 1024 * 1024);
    const other = agent.connection.open();
    const answer = drained(other);
    other.write(mail);
    other.end();
    expect(await answer).toEqual({ bytes: mail.length, hash: sha256(mail) });

    expect(stalledBytes).toBe(WINDOW_BYTES);
    // It held to write()'s answer, so one piece waits at most, and nothing of it in the socket.
    expect(written - stalledBytes).toBeLessThanOrEqual(2 * piece.length);
    expect(writer.queuedBytes).toBeLessThanOrEqual(piece.length);
    await until(() => client.writableLength === 0);
    const drainsBefore = drains;
    stalled!.consumed(stalledBytes);
    await until(() => stalledBytes >= 2 * WINDOW_BYTES);
    expect(drains).toBeGreaterThan(drainsBefore);
  });

  test('a peer that reads nothing from its socket does not fill our memory', async () => {
    const { client, server } = await tlsPair(mesh);
    // Every stream has room by its window; only the socket says stop.
    const relay = over(server, 'server', (stream) => {
      stream.accept();
      stream.handler = IGNORE;
    }, { windowBytes: 16 * 1024 * 1024 });
    const agent = over(client, 'client', undefined, { windowBytes: 16 * 1024 * 1024 });
    const streams = Array.from({ length: 20 }, () => agent.connection.open());
    for (const stream of streams) stream.handler = IGNORE;
    await until(() => relay.connection.streamCount === 20 && streams.every(({ acked }) => acked));
    server.pause();
    let most = 0;
    let written = 0;
    for (let round = 0; round < 200; round += 1) {
      for (const stream of streams) {
        if (stream.queuedBytes > 0) continue;
        stream.write(Buffer.alloc(64 * 1024));
        written += 64 * 1024;
      }
      await sleep(1);
      most = Math.max(most, client.writableLength);
    }
    expect(most).toBeLessThan(1024 * 1024);
    expect(written).toBeLessThan(40 * 1024 * 1024);
    server.resume();
    await until(() => streams.every(({ queuedBytes }) => queuedBytes === 0));
  });

  test('maxStreams bounds what a peer may open', async () => {
    const { client, server } = await tlsPair(mesh);
    const relay = over(server, 'server', echo, { maxStreams: 3 });
    const agent = over(client, 'client');
    let resets = 0;
    for (let index = 0; index < 10; index += 1) agent.connection.open().handler = { ...IGNORE, onReset: () => void (resets += 1) };
    await until(() => resets === 7);
    expect(relay.connection.streamCount).toBe(3);
    expect(relay.ends).toEqual([]);
  });

  test('small writes to many streams in one turn leave in one TLS record', async () => {
    const { client, server } = await tlsPair(mesh);
    const agent = over(client, 'client');
    over(server, 'server', echo);
    const streams = Array.from({ length: 20 }, () => agent.connection.open());
    for (const stream of streams) stream.handler = IGNORE;
    await until(() => streams.every(({ acked }) => acked));
    await sleep(50);
    const records: number[] = [];
    server.on('data', (chunk: Buffer) => void records.push(chunk.length));
    for (const stream of streams) for (const text of ['MAIL', ' FROM', ':<>\r\n']) stream.write(Buffer.from(text));
    await until(() => records.length > 0);
    await sleep(50);
    // 12 bytes of header and the text, 60 times.
    expect(records).toEqual([20 * (3 * 12 + 4 + 5 + 5)]);
    // And those that are not copied to stand beside their header.
    for (const stream of streams.slice(0, 10)) stream.write(Buffer.alloc(1000));
    await until(() => records.length > 1);
    await sleep(50);
    expect(records.slice(1)).toEqual([10 * (12 + 1000)]);
  });
});

describe('liveness', () => {
  async function throughProxy(deadAfterMs: number): Promise<{ agent: End; relay: End; proxy: FaultProxy; client: TLSSocket }> {
    const proxies: FaultProxy[] = [];
    const { client, server } = await tlsPair(mesh, async (port) => {
      const made = await startFaultProxy({ upstream: { host: '127.0.0.1', port } });
      atEnd(() => made.stop());
      proxies.push(made);
      return made.port;
    });
    return { agent: over(client, 'client', echo, { deadAfterMs }), relay: over(server, 'server', echo, { deadAfterMs }), proxy: proxies[0]!, client };
  }

  const cut = (proxy: FaultProxy): void => {
    const { toServer, toClient } = proxy.bytesForwarded;
    proxy.set({
      toServer: { stallAfterBytes: toServer, resetAfterBytes: Number.POSITIVE_INFINITY },
      toClient: { stallAfterBytes: toClient, resetAfterBytes: Number.POSITIVE_INFINITY },
    });
  };

  test('an idle connection is kept alive by pings, which say how long the way is', async () => {
    const { agent, relay, proxy } = await throughProxy(400);
    proxy.set({ latencyMs: 30 });
    const before = proxy.bytesForwarded;
    await sleep(1500);
    expect([...agent.ends, ...relay.ends]).toEqual([]);
    for (const { roundTripsMs } of [agent, relay]) expect(Math.min(...roundTripsMs)).toBeGreaterThanOrEqual(58);
    expect(agent.roundTripsMs.length).toBeGreaterThan(2);
    // Small ones, and few: a ping and its answer are 34 bytes each with TLS.
    expect(proxy.bytesForwarded.toServer).toBeGreaterThan(before.toServer);
    expect(proxy.bytesForwarded.toServer - before.toServer).toBeLessThan(3000);
  });

  test('a line that goes silent without a reset is noticed by both ends; streams are reset once', async () => {
    const { agent, relay, proxy } = await throughProxy(600);
    const stream = agent.connection.open();
    let resets = 0;
    stream.handler = { ...IGNORE, onReset: () => void (resets += 1) };
    await until(() => stream.acked);
    cut(proxy);
    const startedAt = performance.now();
    await until(() => agent.ends.length > 0 && relay.ends.length > 0);
    const tookMs = performance.now() - startedAt;
    expect(agent.ends).toMatchObject([{ code: 'TIMEOUT' }]);
    expect(relay.ends).toMatchObject([{ code: 'TIMEOUT' }]);
    expect(resets).toBe(1);
    // Not before it had been asked, and in time but for a busy machine.
    expect(tookMs).toBeGreaterThan(250);
    expect(tookMs).toBeLessThan(2500);
    await until(() => agent.connection.socket.destroyed && relay.connection.socket.destroyed);
  });

  test('a writer on a dead line learns it, too', async () => {
    const { agent, proxy } = await throughProxy(600);
    const stream = agent.connection.open();
    const reset = Promise.withResolvers<undefined>();
    stream.handler = { ...IGNORE, onReset: () => reset.resolve(undefined) };
    await until(() => stream.acked);
    cut(proxy);
    stream.write(Buffer.alloc(1024 * 1024));
    await reset.promise;
    expect(agent.ends).toMatchObject([{ code: 'TIMEOUT' }]);
  });

  test('one that carries bytes all the time in one direction is not taken for dead', async () => {
    const { agent, relay } = await throughProxy(400);
    const stream = agent.connection.open();
    stream.handler = IGNORE;
    const writing = setInterval(() => stream.write(Buffer.from('x')), 10);
    await sleep(1500);
    clearInterval(writing);
    expect([...agent.ends, ...relay.ends]).toEqual([]);
  });
});

describe('the end', () => {
  test('goAway: the peer hears it, new streams are refused, open ones go on', async () => {
    const { client, server } = await tlsPair(mesh);
    const relay = over(server, 'server', echo);
    const agent = over(client, 'client');
    const stream = agent.connection.open();
    const answer = drained(stream);
    await until(() => stream.acked);
    relay.connection.goAway();
    await until(() => agent.goAways === 1);
    expect(() => agent.connection.open()).toThrow(expect.objectContaining({ code: 'GOING_AWAY' }));
    stream.write(Buffer.from('still here'));
    stream.end();
    expect(await answer).toEqual({ bytes: 10, hash: sha256(Buffer.from('still here')) });
    expect(relay.ends).toEqual([]);
  });

  test('close() resets all streams once, tells once, and nothing is written after it', async () => {
    const { client, server } = await tlsPair(mesh);
    const relay = over(server, 'server', echo);
    const agent = over(client, 'client');
    let resets = 0;
    const streams = Array.from({ length: 5 }, () => agent.connection.open());
    for (const stream of streams)
      stream.handler = {
        ...IGNORE,
        onReset: () => {
          resets += 1;
          // What owners do when a session ends, and it must do no harm here.
          stream.reset();
          agent.connection.close();
          expect(() => agent.connection.open()).toThrow(expect.objectContaining({ code: 'MUX_CLOSED' }));
        },
      };
    await until(() => relay.connection.streamCount === 5);
    agent.connection.close();
    agent.connection.close();
    expect(resets).toBe(5);
    expect(agent.ends).toMatchObject([{ code: 'CLOSED' }]);
    expect(agent.connection.closed).toBe(true);
    const written = client.bytesWritten;
    for (const stream of streams) {
      stream.write(Buffer.from('late'));
      stream.end();
    }
    agent.connection.goAway();
    await until(() => relay.ends.length > 0 && client.closed);
    expect(client.bytesWritten).toBe(written);
    expect(relay.ends).toMatchObject([{ code: 'CLOSED', message: 'the peer closed the connection' }]);
    expect(resets).toBe(5);
    expect(agent.ends).toHaveLength(1);
  });

  test('what was written in the same turn as close() still leaves', async () => {
    const { client, server } = await tlsPair(mesh);
    let heard = '';
    over(server, 'server', (stream) => {
      stream.accept();
      stream.handler = { ...IGNORE, onData: (chunk) => void (heard += chunk.toString()) };
    });
    const agent = over(client, 'client');
    const stream = agent.connection.open();
    stream.handler = IGNORE;
    stream.write(Buffer.from('last words'));
    agent.connection.close();
    await until(() => heard === 'last words');
    expect(heard).toBe('last words');
  });

  test.each<[string, Buffer]>([
    ['another version', Buffer.from('010000010000000100000000', 'hex')],
    ['an unknown type', Buffer.from('000900000000000000000000', 'hex')],
    ['a stream that nobody opened', Buffer.from('000000000000000700000001', 'hex')],
    ['a frame larger than the window', Buffer.from('000000010000000140000000', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: example.com\r\n\r\n')],
    ['zeros', Buffer.alloc(1000)],
  ])('a violation (%s) is answered with go away 1 and ends the connection', async (_what, bytes) => {
    const { client, server } = await tlsPair(mesh);
    const relay = over(server, 'server', echo);
    let heard = Buffer.alloc(0);
    client.on('error', () => {}).on('data', (chunk: Buffer) => (heard = Buffer.concat([heard, chunk])));
    client.write(bytes);
    await until(() => relay.ends.length > 0 && client.closed);
    expect(relay.ends).toMatchObject([{ code: 'PROTOCOL' }]);
    expect(heard.subarray(-12).toString('hex')).toBe('000300000000000000000001');
  });

  test('a reset of the connection is told once', async () => {
    const { client, server } = await tlsPair(mesh);
    const relay = over(server, 'server', echo);
    const agent = over(client, 'client');
    const stream = agent.connection.open();
    const answer = drained(stream);
    await until(() => stream.acked);
    server.destroy();
    await expect(answer).rejects.toThrow('reset');
    await until(() => agent.ends.length > 0 && relay.ends.length > 0);
    await until(() => client.closed);
    expect(agent.ends).toHaveLength(1);
    expect(relay.ends).toHaveLength(1);
  });

  test('a socket that had ended before is told as closed', async () => {
    const { client, server } = await tlsPair(mesh);
    client.destroy();
    server.resume();
    await until(() => server.closed);
    const { ends } = over(server, 'server');
    await until(() => ends.length > 0);
    expect(ends).toMatchObject([{ code: 'CLOSED' }]);
  });

  test('a peer that does not read is not waited for', async () => {
    const { client, server } = await tlsPair(mesh);
    server.pause();
    const agent = over(client, 'client');
    const stream = agent.connection.open();
    stream.handler = IGNORE;
    stream.write(Buffer.alloc(256 * 1024));
    agent.connection.close();
    await until(() => client.closed);
    expect(agent.ends).toHaveLength(1);
  });
});
