import { yamux, type YamuxMuxerInit } from '@chainsafe/libp2p-yamux';
import type { MessageStream, Stream as TheirStream, StreamMuxer } from '@libp2p/interface';
import { afterEach, describe, expect, test } from 'vitest';
import { Mux, type MuxHandler } from './mux.ts';
import type { MuxStream, MuxStreamHandler } from './stream.ts';

// Our multiplexer against one that nobody here wrote, over a duplex in memory that cuts the bytes at odd places.

const KIB = 1024;
const PIECE_BYTES = [1, 11, 12, 13, 700, 4096, 65_536, 30_011];

class MessageEvent extends Event {
  readonly data: Uint8Array;
  constructor(data: Uint8Array) {
    super('message');
    this.data = data;
  }
}

interface Log {
  (): void;
  error: () => void;
  trace: () => void;
  newScope: () => Log;
}

const silent: Log = Object.assign(() => {}, { error: () => {}, trace: () => {}, newScope: () => silent });

/** What libp2p takes for a connection. */
class TheirTransport extends EventTarget {
  readonly direction: 'inbound' | 'outbound';
  readonly log = silent;
  status = 'open';
  abortedWith: Error | undefined;
  deliver: (bytes: Buffer) => void = () => {};

  constructor(direction: 'inbound' | 'outbound') {
    super();
    this.direction = direction;
  }

  send(data: { subarray: () => Uint8Array }): boolean {
    this.deliver(Buffer.from(data.subarray()));
    return true;
  }

  abort(error: Error): void {
    this.abortedWith = error;
  }
}

class OurStream implements MuxStreamHandler {
  readonly stream: MuxStream;
  readonly received: Buffer[] = [];
  acks = 0;
  ends = 0;
  resets = 0;
  drains = 0;

  constructor(stream: MuxStream) {
    this.stream = stream;
    stream.handler = this;
    stream.accept();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  onAck(): void {
    this.acks += 1;
  }
  onData(chunk: Buffer): void {
    this.received.push(Buffer.from(chunk));
    this.stream.consumed(chunk.length);
  }
  onEnd(): void {
    this.ends += 1;
  }
  onReset(): void {
    this.resets += 1;
  }
  onDrain(): void {
    this.drains += 1;
  }
}

class Ours implements MuxHandler {
  readonly mux: Mux;
  readonly streams: OurStream[] = [];
  readonly pongs: number[] = [];
  readonly goAways: number[] = [];
  readonly errors: Error[] = [];
  deliver: (bytes: Buffer) => void = () => {};

  constructor(role: 'client' | 'server', windowBytes: number) {
    this.mux = new Mux({ role, windowBytes, maxStreams: 4, maxFrameBytes: 16 * KIB }, this);
  }

  open(): OurStream {
    return new OurStream(this.mux.open());
  }

  write(buffers: Uint8Array[]): void {
    this.deliver(Buffer.concat(buffers));
  }
  scheduleFlush(): void {
    setImmediate(() => {
      this.mux.flush();
    });
  }
  onStream(stream: MuxStream): void {
    this.streams.push(new OurStream(stream));
  }
  onPong(opaque: number): void {
    this.pongs.push(opaque);
  }
  onGoAway(code: number): void {
    this.goAways.push(code);
  }
  onError(error: Error): void {
    this.errors.push(error);
  }
}

/** Delivers later and in order, in pieces of PIECE_BYTES. */
function pipe(receive: (piece: Buffer) => void): (bytes: Buffer) => void {
  let piece = 0;
  return (bytes) => {
    setImmediate(() => {
      for (let at = 0; at < bytes.length; piece += 1) {
        const size = PIECE_BYTES[piece % PIECE_BYTES.length] ?? 1;
        receive(bytes.subarray(at, at + size));
        at += size;
      }
    });
  };
}

/** A stream of theirs and what came to it. */
class Seen {
  readonly stream: TheirStream;
  hasEnded = false;
  readonly #chunks: Uint8Array[] = [];

  constructor(stream: TheirStream) {
    this.stream = stream;
    stream.addEventListener('message', (event) => {
      this.#chunks.push(Buffer.from(event.data.subarray()));
    });
    stream.addEventListener('remoteCloseWrite', () => {
      this.hasEnded = true;
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

let toClose: { ours: Ours; theirs: StreamMuxer }[] = [];

afterEach(() => {
  for (const { ours, theirs } of toClose) {
    theirs.abort(new Error('end of test'));
    ours.mux.abort();
  }
  toClose = [];
});

interface Pair {
  ours: Ours;
  theirs: StreamMuxer & { ping(): Promise<number> };
  theirStreams: Seen[];
  transport: TheirTransport;
}

function connect(role: 'client' | 'server', windowBytes: number, init: YamuxMuxerInit = {}): Pair {
  const ours = new Ours(role, windowBytes);
  const transport = new TheirTransport(role === 'client' ? 'inbound' : 'outbound');
  const theirs = yamux({ enableKeepAlive: false, ...init })().createStreamMuxer(transport as unknown as MessageStream);
  const theirStreams: Seen[] = [];
  theirs.addEventListener('stream', (event) => {
    theirStreams.push(new Seen((event as CustomEvent<TheirStream>).detail));
  });
  ours.deliver = pipe((bytes) => transport.dispatchEvent(new MessageEvent(bytes)));
  transport.deliver = pipe((bytes) => {
    ours.mux.receive(bytes);
  });
  toClose.push({ ours, theirs });
  return { ours, theirs, theirStreams, transport };
}

function pattern(bytes: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8) * 7) & 0xff));
}

async function sendAll(stream: TheirStream, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += 50_000) {
    if (!stream.send(bytes.subarray(at, at + 50_000))) await stream.onDrain();
  }
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 2 }).toBe(true);
}

describe.each([
  ['client', 256 * KIB],
  ['client', 1024 * KIB],
  ['server', 256 * KIB],
  ['server', 1024 * KIB],
] as const)('as %s, window %i', (role, windowBytes) => {
  const large = pattern(3 * 1024 * KIB + 17);

  test('our stream carries more than the window both ways and half-closes', async () => {
    const { ours, theirStreams } = connect(role, windowBytes);
    const stream = ours.open();
    expect(stream.stream.write(large)).toBe(false);
    stream.stream.end();
    await until(() => theirStreams[0]?.hasEnded === true);
    const seen = theirStreams[0]!;
    expect(seen.bytes.equals(large)).toBe(true);
    expect([stream.acks, stream.ends]).toEqual([1, 0]);

    await sendAll(seen.stream, large);
    await seen.stream.close();
    await until(() => stream.ends === 1);
    expect(stream.bytes.equals(large)).toBe(true);
    expect([ours.mux.streamCount, stream.resets, ours.errors]).toEqual([0, 0, []]);
  });

  test('their stream does the same', async () => {
    const { ours, theirs } = connect(role, windowBytes);
    const seen = new Seen(await theirs.createStream());
    await sendAll(seen.stream, large);
    await seen.stream.close();
    await until(() => ours.streams[0]?.ends === 1);
    const [stream] = ours.streams;
    expect(stream!.bytes.equals(large)).toBe(true);
    expect(stream!.stream.write(large)).toBe(false);
    await until(() => stream!.drains === 1);
    stream!.stream.end();
    await until(() => seen.hasEnded);
    expect(seen.bytes.equals(large)).toBe(true);
    expect([ours.mux.streamCount, stream!.resets, ours.errors]).toEqual([0, 0, []]);
  });

  test('streams at the same time stay apart', async () => {
    const { ours, theirs, theirStreams } = connect(role, windowBytes);
    const mine = [ours.open(), ours.open()];
    const opened = [await theirs.createStream(), await theirs.createStream()];
    const mails = [4, 3000, 70_000, 600_000].map(pattern);
    for (const [index, { stream }] of mine.entries()) {
      stream.write(mails[index]!);
      stream.end();
    }
    await Promise.all(
      opened.map(async (stream, index) => {
        await sendAll(stream, mails[index + 2]!);
        await stream.close();
      }),
    );
    await until(() => theirStreams.filter((each) => each.hasEnded).length === 2);
    await until(() => ours.streams.filter((each) => each.ends === 1).length === 2);
    const received = [...theirStreams, ...ours.streams].map((each) => each.bytes);
    expect(received.map((bytes, index) => bytes.equals(mails[index]!))).toEqual([true, true, true, true]);
  });

  test('a reset is understood by the other side', async () => {
    const { ours, theirs, theirStreams } = connect(role, windowBytes);
    const stream = ours.open();
    stream.stream.write(Buffer.from('before'));
    stream.stream.reset();
    await until(() => theirStreams[0]?.stream.status === 'reset');
    expect(theirStreams[0]?.bytes.toString()).toBe('before');

    const theirStream = await theirs.createStream();
    theirStream.send(pattern(1000));
    await until(() => ours.streams[0]?.bytes.length === 1000);
    theirStream.abort(new Error('no more'));
    await until(() => ours.streams[0]?.resets === 1);
    expect([ours.mux.streamCount, ours.streams[0]?.ends, ours.errors]).toEqual([0, 0, []]);
  });

  test('a stream over either limit is reset, the others live', async () => {
    const { ours, theirs, theirStreams } = connect(role, windowBytes, { maxInboundStreams: 1 });
    const [kept, refused] = [ours.open(), ours.open()];
    await until(() => refused.resets === 1);
    const opened = [await theirs.createStream(), await theirs.createStream(), await theirs.createStream()];
    const last = await theirs.createStream();
    await until(() => last.status === 'reset');
    kept.stream.write(Buffer.from('still here'));
    await until(() => theirStreams[0]?.bytes.toString() === 'still here');
    expect([opened.map((stream) => stream.status), ours.streams.length]).toEqual([['open', 'open', 'open'], 3]);
  });

  test('pings are answered in both directions', async () => {
    const { ours, theirs } = connect(role, windowBytes);
    expect(await theirs.ping()).toBeGreaterThanOrEqual(0);
    expect(await theirs.ping()).toBeGreaterThanOrEqual(0);

    // It answers ours, and would call a pong that nobody asked for a protocol error.
    ours.mux.ping(0xfedc_ba98);
    await until(() => ours.pongs.length === 1);
    expect(ours.pongs).toEqual([0xfedc_ba98]);
  });

  test('go away ends the session at the other side', async () => {
    const first = connect(role, windowBytes);
    first.ours.mux.goAway(0);
    await until(() => first.theirs.status === 'closed');
    expect(first.transport.abortedWith).toBeUndefined();

    const second = connect(role, windowBytes);
    await second.theirs.close();
    await until(() => second.ours.goAways.length === 1);
    expect(second.ours.goAways).toEqual([0]);
    expect(() => second.ours.mux.open()).toThrow(/GOING_AWAY/);
  });
});
