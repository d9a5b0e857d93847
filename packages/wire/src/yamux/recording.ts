import type { MuxError } from './error.ts';
import { type GoAwayCode, HEADER_BYTES, writeHeader } from './frame.ts';
import { Mux, type MuxHandler, type MuxInit } from './mux.ts';
import type { MuxStream, MuxStreamHandler } from './stream.ts';

// For the tests of this folder: a mux whose events and output are written down.

export function hexToBytes(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
}

/** One frame; `length` is the payload's length unless given. */
export function encodeFrame(type: number, flags: number, id: number, length: number, payload?: Uint8Array): Buffer {
  const frame = Buffer.alloc(HEADER_BYTES + (payload?.length ?? 0));
  writeHeader(new DataView(frame.buffer, frame.byteOffset), 0, type, flags, id, length);
  if (payload !== undefined) frame.set(payload, HEADER_BYTES);
  return frame;
}

const TYPE_NAMES = ['data', 'update', 'ping', 'go-away'];
const FLAG_NAMES = ['syn', 'ack', 'fin', 'rst'];

/** Whole frames in words: `data 1 #4`, `update 3 syn #786432`, `ping 0 ack #7`. */
function describeFrames(bytes: Buffer): string[] {
  const words: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const type = TYPE_NAMES[bytes.readUInt8(at + 1)] ?? '?';
    const flags = FLAG_NAMES.filter((_, bit) => (bytes.readUInt16BE(at + 2) & (1 << bit)) !== 0);
    const length = bytes.readUInt32BE(at + 8);
    words.push([type, bytes.readUInt32BE(at + 4), ...flags, `#${length}`].join(' '));
    at += HEADER_BYTES + (type === 'data' ? length : 0);
  }
  return words;
}

export class RecordedStream implements MuxStreamHandler {
  readonly stream: MuxStream;
  readonly events: string[];
  readonly received: Buffer[] = [];
  acks = 0;
  ends = 0;
  resets = 0;
  drains = 0;

  constructor(stream: MuxStream, events: string[]) {
    this.stream = stream;
    this.events = events;
    stream.handler = this;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  onAck(): void {
    this.acks += 1;
    this.events.push(`${this.stream.id} ack`);
  }

  onData(chunk: Buffer): void {
    this.received.push(chunk);
    this.events.push(`${this.stream.id} data ${chunk.length > 64 ? `of ${chunk.length}` : chunk.toString('hex')}`);
  }

  onEnd(): void {
    this.ends += 1;
    this.events.push(`${this.stream.id} end`);
  }

  onReset(): void {
    this.resets += 1;
    this.events.push(`${this.stream.id} reset`);
  }

  onDrain(): void {
    this.drains += 1;
    this.events.push(`${this.stream.id} drain`);
  }
}

export class RecordedMux implements MuxHandler {
  readonly mux: Mux;
  readonly events: string[] = [];
  readonly streams = new Map<number, RecordedStream>();
  readonly errors: MuxError[] = [];
  writes: Uint8Array[][] = [];
  flushesAsked = 0;
  /** Called at every write, as a driver would look at its socket. */
  afterWrite: (() => void) | undefined;
  /** What to do with a stream of the peer; by default it is recorded and left alone. */
  adopt: (stream: MuxStream) => void = (stream) => {
    this.record(stream);
  };

  constructor(init: Partial<MuxInit> & Pick<MuxInit, 'role'>) {
    this.mux = new Mux({ windowBytes: 1024 * 1024, maxStreams: 2, maxFrameBytes: 64 * 1024, ...init }, this);
  }

  open(): RecordedStream {
    return this.record(this.mux.open());
  }

  record(stream: MuxStream): RecordedStream {
    const recorded = new RecordedStream(stream, this.events);
    this.streams.set(stream.id, recorded);
    return recorded;
  }

  /** Flushes, and takes everything that was written since the last call. */
  takeOutput(): Buffer {
    this.mux.flush();
    const output = Buffer.concat(this.writes.flat());
    this.writes = [];
    this.flushesAsked = 0;
    return output;
  }

  /** takeOutput(), in words. */
  takeFrames(): string[] {
    return describeFrames(this.takeOutput());
  }

  write(buffers: Uint8Array[]): void {
    this.writes.push(buffers);
    this.afterWrite?.();
  }

  scheduleFlush(): void {
    this.flushesAsked += 1;
  }

  onStream(stream: MuxStream): void {
    this.events.push(`stream ${stream.id}`);
    this.adopt(stream);
  }

  onPong(opaque: number): void {
    this.events.push(`pong ${opaque}`);
  }

  onGoAway(code: GoAwayCode): void {
    this.events.push(`go away ${code}`);
  }

  onError(error: MuxError): void {
    this.errors.push(error);
    this.events.push(`error ${error.code}`);
  }
}
