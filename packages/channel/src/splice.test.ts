import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MuxStream, MuxStreamHandler } from '@sekisho/wire';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { MuxConnection } from './mux-connection.ts';
import { Splice, type SpliceEnd } from './splice.ts';
import { makeMesh, type Mesh } from './testing/mesh.ts';
import { atEnd, tlsPair } from './testing/pair.ts';
import { until } from './testing/wait.ts';

/** Stream, splice and socket as at a relay: the far end of the stream is the agent, that of the socket the mail server. */

const WINDOW_BYTES = 256 * 1024;
const MEGABYTE = 1024 * 1024;
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

/** The agent's end of the stream: what came, and how it ended. */
class Far implements MuxStreamHandler {
  readonly chunks: Buffer[] = [];
  ended = false;
  wasReset = false;
  isReading = true;
  #unread = 0;
  #onDrain: (() => void) | undefined;
  readonly stream: MuxStream;

  constructor(stream: MuxStream) {
    this.stream = stream;
    stream.handler = this;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async send(bytes: Buffer): Promise<void> {
    if (!this.stream.write(bytes)) await new Promise<void>((resolve) => (this.#onDrain = resolve));
  }

  read(): void {
    this.isReading = true;
    this.stream.consumed(this.#unread);
  }

  onAck(): void {}
  onData(chunk: Buffer): void {
    this.chunks.push(chunk);
    if (this.isReading) this.stream.consumed(chunk.length);
    else this.#unread += chunk.length;
  }
  onEnd(): void {
    this.ended = true;
  }
  onReset(): void {
    this.wasReset = true;
  }
  onDrain(): void {
    this.#onDrain?.();
  }
}

interface Scene {
  readonly far: Far;
  /** The mail server's end of the socket, with everything it has received in `received`. */
  readonly server: Socket;
  readonly received: Buffer[];
  readonly splice: Splice;
  readonly socket: Socket;
  readonly agent: MuxConnection;
  readonly ends: SpliceEnd[];
  readonly counts: { toSocket: number; toStream: number; halfCloses: number };
  /** The most bytes at once that had come from the stream and that the kernel had not taken. */
  readonly peakHeldBytes: () => number;
}

interface SceneInit {
  readonly early?: readonly Buffer[];
  /** The mail server does not read until it is resumed. */
  readonly paused?: boolean;
  /** The mail server is behind a UNIX socket, in which the kernel keeps less than a window. */
  readonly local?: boolean;
}

async function scene({ early = [], paused = false, local = false }: SceneInit = {}): Promise<Scene> {
  const { client, server: tls } = await tlsPair(mesh);
  const init = { windowBytes: WINDOW_BYTES, maxStreams: 10, deadAfterMs: 60_000 };
  const ignore = { onGoAway: () => {}, onClose: () => {} };
  const arrived = Promise.withResolvers<MuxStream>();
  const relay = new MuxConnection(tls, { role: 'server', ...init }, {
    ...ignore,
    onStream: (stream) => {
      stream.handler = new Far(stream);
      stream.accept();
      arrived.resolve(stream);
    },
  });
  const agent = new MuxConnection(client, { role: 'client', ...init }, { ...ignore, onStream: (stream) => stream.reset() });
  atEnd(() => (agent.close(), relay.close()));
  const far = new Far(agent.open());
  const [server, socket] = await (local ? localPair() : tcpPair());
  const received: Buffer[] = [];
  server.on('data', (chunk: Buffer) => received.push(chunk));
  if (paused) server.pause();
  const stream = await arrived.promise;
  const ends: SpliceEnd[] = [];
  const counts = { toSocket: 0, toStream: 0, halfCloses: 0 };
  let peakHeldBytes = 0;
  const splice = new Splice({
    stream,
    socket,
    owner: {
      onBytesToSocket: (bytes) => {
        counts.toSocket += bytes;
        // bytesWritten is what write() was given, and writableLength what of this waits.
        peakHeldBytes = Math.max(peakHeldBytes, counts.toSocket - socket.bytesWritten + socket.writableLength);
      },
      onBytesToStream: (bytes) => (counts.toStream += bytes),
      onHalfClosed: () => (counts.halfCloses += 1),
      onSpliceEnd: (end) => ends.push(end),
    },
  });
  // As if the stream had brought them before: their credit has not been given back.
  if (early.length > 0) {
    const wanted = Buffer.concat(early).length;
    const held = stream.handler as Far;
    held.isReading = false;
    far.stream.write(Buffer.concat(early));
    await until(() => held.bytes.length === wanted);
  }
  splice.start(early);
  return { far, server, received, splice, socket, agent, ends, counts, peakHeldBytes: () => peakHeldBytes };
}

async function tcpPair(): Promise<[Socket, Socket]> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return connected(listener, { port: address.port, host: '127.0.0.1' });
}

async function localPair(): Promise<[Socket, Socket]> {
  // In Linux' abstract name space: there is no file.
  const path = `\0sekisho-splice-${randomBytes(8).toString('hex')}`;
  const listener = createServer({ allowHalfOpen: true }).listen(path);
  await once(listener, 'listening');
  return connected(listener, { path });
}

async function connected(listener: Server, to: NetConnectOpts): Promise<[Socket, Socket]> {
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const socket = connect({ ...to, allowHalfOpen: true });
  await once(socket, 'connect');
  const [server] = await accepted;
  server.on('error', () => {});
  atEnd(() => {
    server.destroy();
    socket.destroy();
    listener.close();
  });
  return [server, socket];
}

const text = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString();
const isOver = (server: Socket): Promise<string> =>
  new Promise((resolve) => {
    server.once('end', () => resolve('end'));
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });

let openBefore = 0;
const openSockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
beforeEach(() => {
  openBefore = openSockets();
});

describe('bytes', () => {
  test('both ways, counted, and an end on each side', async () => {
    const { far, server, received, ends, counts } = await scene();
    far.stream.write(Buffer.from('EHLO x\r\n'));
    await until(() => text(received) === 'EHLO x\r\n');
    server.write('250 ok\r\n');
    await until(() => far.bytes.toString() === '250 ok\r\n');
    far.stream.end();
    await until(() => server.readableEnded);
    expect([far.ended, ends.length]).toEqual([false, 0]);
    server.end('late words');
    await until(() => ends.length === 1);
    expect(ends).toEqual(['completed']);
    await until(() => far.ended);
    expect(far.bytes.toString()).toBe('250 ok\r\nlate words');
    expect(counts).toEqual({ toSocket: 8, toStream: 18, halfCloses: 2 });
  });

  test('the server ends first, and still hears the client', async () => {
    const { far, server, received, ends } = await scene();
    server.end('221 bye\r\n');
    await until(() => far.ended);
    far.stream.write(Buffer.from('late words'));
    far.stream.end();
    await until(() => ends.length === 1 && server.readableEnded);
    expect([ends[0], text(received), far.bytes.toString()]).toEqual(['completed', 'late words', '221 bye\r\n']);
  });

  test('what came early goes first, and its credit comes back', async () => {
    const early = [Buffer.from('a'), randomBytes(WINDOW_BYTES / 2), Buffer.from('b')];
    const { far, received, server } = await scene({ early });
    const more = randomBytes(3 * WINDOW_BYTES);
    await far.send(more);
    far.stream.end();
    await once(server, 'end');
    expect(sha256(Buffer.concat(received))).toBe(sha256(Buffer.concat([...early, more])));
  });

  test('25 MB both ways at once, in pieces of every size', async () => {
    const { far, server, received, ends } = await scene();
    const up = randomBytes(25 * MEGABYTE);
    const down = randomBytes(25 * MEGABYTE);
    server.end(down);
    for (let at = 0, turn = 0; at < up.length; turn += 1) {
      const size = [1, 100, 4095, 4096, 20_000, 200_000][turn % 6]!;
      await far.send(up.subarray(at, at + size));
      at += size;
    }
    far.stream.end();
    await until(() => ends.length === 1, 30_000);
    expect(ends).toEqual(['completed']);
    await until(() => far.ended && server.readableEnded, 30_000);
    expect([sha256(Buffer.concat(received)), sha256(far.bytes)]).toEqual([sha256(up), sha256(down)]);
  }, 40_000);
});

describe('large chunks of one turn', () => {
  const large = [randomBytes(16_384), randomBytes(16_384), randomBytes(10)];

  test('wait for its end, and the small one behind them too', async () => {
    const { socket, received } = await scene({ early: large });
    expect(socket.bytesWritten).toBe(0);
    await until(() => Buffer.concat(received).length === 32_778);
    expect(Buffer.concat(received).equals(Buffer.concat(large))).toBe(true);
  });

  test('are not written when the session is broken off in the same turn', async () => {
    const { splice, server, received } = await scene({ early: large });
    const closed = new Promise((resolve) => void server.on('error', () => {}).on('close', resolve));
    splice.abort();
    await closed;
    expect(received).toEqual([]);
  });

  test('come before the end that was said in the same turn', async () => {
    const { far, server, received } = await scene();
    const ended = once(server, 'end');
    void far.send(Buffer.concat(large));
    far.stream.end();
    await ended;
    expect(Buffer.concat(received).equals(Buffer.concat(large))).toBe(true);
  });
});

describe('back-pressure', () => {
  test('a server that does not read is held within the window, and then gets everything and its end, in order', async () => {
    const { far, server, received, counts, ends } = await scene({ paused: true });
    const up = randomBytes(25 * MEGABYTE);
    const pieces = Array.from({ length: 400 }, (_, index) => up.subarray(index * 65_536, (index + 1) * 65_536));
    for (const piece of pieces) far.stream.write(piece);
    far.stream.end();
    let last = -1;
    await until(() => {
      const isStill = counts.toSocket === last;
      last = counts.toSocket;
      return isStill && last > 0;
    });
    // Buffers of the kernel take some megabytes on loopback.
    expect(counts.toSocket).toBeLessThan(20 * MEGABYTE);
    expect([server.readableEnded, ends.length]).toEqual([false, 0]);
    const ended = once(server, 'end');
    server.resume();
    await ended;
    expect(sha256(Buffer.concat(received))).toBe(sha256(Buffer.concat(pieces)));
    expect(server.errored).toBeNull();
  }, 30_000);

  test('never more than the window is held, also when the server reads a little now and then', async () => {
    const { far, server, received, peakHeldBytes } = await scene({ paused: true, local: true });
    const up = randomBytes(2 * MEGABYTE);
    far.stream.write(up);
    far.stream.end();
    // A window behind what the kernel has, which is then written in one piece and not taken in one.
    const pause = (): void => void server.pause();
    server.on('data', pause);
    for (let turn = 0; turn < 12; turn += 1) {
      await sleep(10);
      server.resume();
    }
    server.off('data', pause);
    expect(peakHeldBytes()).toBeGreaterThan(WINDOW_BYTES - 65_536);
    expect(peakHeldBytes()).toBeLessThanOrEqual(WINDOW_BYTES);
    const ended = once(server, 'end');
    server.resume();
    await ended;
    expect(sha256(Buffer.concat(received))).toBe(sha256(up));
    expect(peakHeldBytes()).toBeLessThanOrEqual(WINDOW_BYTES);
  });

  test('an end does not overtake what the server has not read yet, nor is it one before', async () => {
    const { far, server, received, socket, counts, ends } = await scene({ paused: true });
    server.end();
    await until(() => far.ended);
    const pieces: Buffer[] = [];
    const send = async (bytes: number): Promise<void> => {
      const piece = randomBytes(bytes);
      pieces.push(piece);
      const wanted = counts.toSocket + bytes;
      far.stream.write(piece);
      await until(() => counts.toSocket === wanted);
    };
    // Until the kernel takes no more; then there is room in the window still.
    while (socket.writableLength === 0) await send(32_768);
    for (const bytes of [1, 5000, 100, 5000]) await send(bytes);
    far.stream.end();
    await until(() => counts.halfCloses === 2);
    await sleep(100);
    expect([server.readableEnded, ends.length]).toEqual([false, 0]);
    const ended = once(server, 'end');
    server.resume();
    await ended;
    expect(sha256(Buffer.concat(received))).toBe(sha256(Buffer.concat(pieces)));
    await until(() => ends.length === 1);
    expect(ends).toEqual(['completed']);
  }, 30_000);

  test('an agent that does not read stops the server, and then gets everything and its end', async () => {
    const { far, server, counts, ends } = await scene();
    far.stream.end();
    far.isReading = false;
    const down = randomBytes(25 * MEGABYTE);
    server.end(down);
    await until(() => counts.toStream >= WINDOW_BYTES);
    await sleep(200);
    expect(counts.toStream).toBeLessThan(2 * WINDOW_BYTES);
    expect(far.ended).toBe(false);
    far.read();
    await until(() => far.ended, 20_000);
    expect(sha256(far.bytes)).toBe(sha256(down));
    expect(ends).toEqual(['completed']);
  }, 30_000);

  test('the session is not over while its last bytes wait for the agent', async () => {
    const { far, server, counts, ends, socket } = await scene();
    far.isReading = false;
    far.stream.end();
    server.end(randomBytes(WINDOW_BYTES + 1000));
    await until(() => counts.toStream === WINDOW_BYTES + 1000 && socket.closed);
    expect([far.ended, ends]).toEqual([false, []]);
    far.read();
    await until(() => far.ended && ends.length === 1);
    expect([far.bytes.length, ends]).toEqual([WINDOW_BYTES + 1000, ['completed']]);
  });
});

describe('what was broken off never looks like an end', () => {
  test.each<[string, (scene: Scene) => void]>([
    ['the stream is reset', ({ far }) => far.stream.reset()],
    ['the connection of the stream is gone', ({ agent }) => agent.socket.destroy()],
    ['the owner gives up', ({ splice }) => splice.abort()],
  ])('%s: the server is reset, in the middle of what it gets', async (name, breakOff) => {
    const made = await scene();
    made.far.stream.write(Buffer.from('DATA of a mail'));
    await until(() => text(made.received) === 'DATA of a mail');
    const over = isOver(made.server);
    breakOff(made);
    expect(await over).toBe('ECONNRESET');
    await until(() => made.socket.closed);
    // Who gives up need not be told.
    expect(made.ends).toEqual(name === 'the owner gives up' ? [] : ['stream_reset']);
  });

  test('the socket is closed by somebody else: the stream is reset', async () => {
    const { far, socket, ends } = await scene();
    socket.destroy();
    await until(() => far.wasReset);
    expect([far.ended, ends]).toEqual([false, ['socket_reset']]);
  });

  test('the stream is reset while the server does not read: not one byte more, and no end', async () => {
    const { far, server, counts, ends, received } = await scene({ paused: true });
    far.stream.write(randomBytes(25 * MEGABYTE));
    await until(() => counts.toSocket > MEGABYTE);
    far.stream.end();
    far.stream.reset();
    await until(() => ends.length === 1);
    expect(ends).toEqual(['stream_reset']);
    const over = isOver(server);
    server.resume();
    expect(await over).toBe('ECONNRESET');
    expect(Buffer.concat(received).length).toBeLessThan(25 * MEGABYTE);
  });

  test.each<[string, (server: Socket) => void]>([
    ['it resets', (server) => server.resetAndDestroy()],
    ['it resets in the middle of an answer', (server) => server.write('+OK 1000 octets\r\nhalf', () => server.resetAndDestroy())],
  ])('the server is gone: %s, and so the stream', async (_name, breakOff) => {
    const { far, server, ends, socket } = await scene();
    breakOff(server);
    await until(() => far.wasReset);
    expect([far.ended, ends]).toEqual([false, ['socket_reset']]);
    expect(socket.destroyed).toBe(true);
  });

  test('the end and the reset of the stream in one write: the socket is closed, and its descriptor with it', async () => {
    const { far, server, agent, ends, socket } = await scene();
    far.stream.write(Buffer.from('QUIT\r\n'));
    far.stream.end();
    far.stream.reset();
    await until(() => ends.length === 1);
    expect(ends).toEqual(['stream_reset']);
    await until(() => socket.closed);
    agent.close();
    server.destroy();
    await until(() => openSockets() <= openBefore);
  });
});

describe('last words', () => {
  test('the server says them, ends, and resets what is still sent: they arrive, with their end', async () => {
    const { far, server, ends } = await scene();
    server.end('421 closing\r\n');
    await until(() => far.ended);
    server.destroy();
    // To somebody who is gone; the first write is answered with RST, the next one fails.
    for (let count = 0; count < 20 && ends.length === 0; count += 1) {
      if (!far.stream.closed) far.stream.write(Buffer.from('more and more'));
      await sleep(5);
    }
    // Whatever the client still says is taken and thrown away, however much it is.
    await far.send(Buffer.alloc(MEGABYTE));
    far.stream.end();
    await until(() => ends.length === 1);
    expect([ends[0], far.bytes.toString(), far.wasReset]).toEqual(['socket_reset', '421 closing\r\n', false]);
  });

  test('what comes in the turn in which the socket breaks, behind a large chunk, is given back to the window', async () => {
    const { far, server, ends, splice, socket } = await scene();
    server.end('421 closing\r\n');
    await until(() => far.ended);
    // In which order a turn brings these cannot be caused from outside: the break comes behind the first chunk.
    const onData = splice.onData.bind(splice);
    splice.onData = (chunk) => {
      onData(chunk);
      if (!socket.destroyed) splice.takeSocketError();
      socket.destroy();
    };
    // Four windows: what is not given back in the first is missing for good.
    await far.send(randomBytes(4 * WINDOW_BYTES));
    far.stream.end();
    await until(() => ends.length === 1);
    expect([ends[0], far.wasReset]).toEqual(['socket_reset', false]);
  });

  test('they wait in the stream for an agent that reads late, while the socket breaks', async () => {
    const { far, server, counts, ends, socket } = await scene();
    far.isReading = false;
    // More than the window: the rest is queued behind it.
    const words = randomBytes(WINDOW_BYTES + 1000);
    server.end(words);
    await until(() => counts.toStream === words.length && socket.readableEnded);
    server.destroy();
    for (let count = 0; count < 20 && !socket.destroyed; count += 1) {
      far.stream.write(Buffer.from('more and more'));
      await sleep(5);
    }
    await until(() => socket.destroyed);
    expect([far.ended, far.wasReset]).toEqual([false, false]);
    far.read();
    await until(() => far.ended);
    expect(sha256(far.bytes)).toBe(sha256(words));
    far.stream.end();
    await until(() => ends.length === 1);
    expect(ends).toEqual(['socket_reset']);
  });
});

test('the owner hears one end, and nothing of what comes after', async () => {
  const { far, server, socket, ends, splice, agent, counts } = await scene();
  far.stream.end();
  far.stream.reset();
  await until(() => ends.length > 0);
  const before = { ...counts };
  // Until its FIN has gone out the socket cannot be reset, and what the server says meanwhile is still read.
  socket.emit('data', Buffer.from('late'));
  socket.emit('end');
  server.resetAndDestroy();
  agent.close();
  splice.abort();
  await sleep(50);
  expect(ends).toEqual(['stream_reset']);
  expect(counts).toEqual(before);
});
