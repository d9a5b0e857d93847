// What the multiplexer itself costs, two of them joined in memory: node bench/yamux.ts [--json]
import { Mux, type MuxHandler, type MuxInit } from '../packages/wire/src/yamux/mux.ts';
import type { MuxStream, MuxStreamHandler } from '../packages/wire/src/yamux/stream.ts';

const INIT: Omit<MuxInit, 'role'> = { windowBytes: 1024 * 1024, maxStreams: 256, maxFrameBytes: 64 * 1024 };
const ROUNDS = 5;
const MAIL = Buffer.alloc(4 * 1024, 0x6d);

/** Half of a joined pair: what one mux writes, the other is given when both have had their turn. */
class Side implements MuxHandler {
  readonly mux: Mux;
  readonly adopt: (stream: MuxStream) => MuxStreamHandler;
  inbox: Uint8Array[] = [];
  peer: Side | undefined;

  constructor(role: 'client' | 'server', adopt: (stream: MuxStream) => MuxStreamHandler) {
    this.mux = new Mux({ role, ...INIT }, this);
    this.adopt = adopt;
  }

  /** One turn: what has arrived is taken, what it caused is written. */
  turn(): void {
    const chunks = this.inbox;
    this.inbox = [];
    for (const chunk of chunks) this.mux.receive(chunk as Buffer);
    this.mux.flush();
  }

  write(buffers: Uint8Array[]): void {
    for (const buffer of buffers) this.peer?.inbox.push(buffer);
  }

  scheduleFlush(): void {}
  onStream(stream: MuxStream): void {
    stream.handler = this.adopt(stream);
    stream.accept();
  }
  onPong(): void {}
  onGoAway(): void {}
  onError(error: Error): void {
    throw error;
  }
}

/** Counts what arrives and answers FIN with FIN; the server's also sends a mail back first. */
class Session implements MuxStreamHandler {
  static receivedBytes = 0;
  static ended = 0;
  readonly stream: MuxStream;
  readonly answer: Buffer | undefined;

  constructor(stream: MuxStream, answer?: Buffer) {
    this.stream = stream;
    this.answer = answer;
  }

  onAck(): void {}
  onData(chunk: Buffer): void {
    Session.receivedBytes += chunk.length;
    this.stream.consumed(chunk.length);
  }
  onEnd(): void {
    if (this.answer !== undefined) this.stream.write(this.answer);
    this.stream.end();
    Session.ended += 1;
  }
  onReset(): void {}
  onDrain(): void {}
}

function joined(): { client: Side; server: Side } {
  const client = new Side('client', (stream) => new Session(stream));
  const server = new Side('server', (stream) => new Session(stream, MAIL));
  client.peer = server;
  server.peer = client;
  return { client, server };
}

/** Sessions of SYN, 4 KiB each way, FIN from both; microseconds of CPU for both muxes together, a session. */
function sessions(total: number, atOnce: number): number {
  const { client, server } = joined();
  Session.ended = 0;
  const begin = process.cpuUsage();
  for (let opened = 0; opened < total; opened += atOnce) {
    for (let index = 0; index < atOnce; index += 1) {
      const stream = client.mux.open();
      stream.handler = new Session(stream);
      stream.write(MAIL);
      stream.end();
    }
    client.mux.flush();
    server.turn();
    client.turn();
    server.turn();
    client.turn();
  }
  const used = process.cpuUsage(begin);
  if (Session.ended !== 2 * total || client.mux.streamCount + server.mux.streamCount !== 0) throw new Error('lost sessions');
  return (used.user + used.system) / total;
}

/** One way through `streams` streams in chunks of this size; gigabytes a CPU second of both muxes together. */
function bulk(totalBytes: number, chunkBytes: number, streams: number): number {
  const { client, server } = joined();
  const chunk = Buffer.alloc(chunkBytes, 0x6d);
  const open = Array.from({ length: streams }, () => {
    const stream = client.mux.open();
    stream.handler = new Session(stream);
    return stream;
  });
  Session.receivedBytes = 0;
  const begin = process.cpuUsage();
  for (let sent = 0; sent < totalBytes; sent += chunkBytes * streams) {
    for (const stream of open) stream.write(chunk);
    client.mux.flush();
    server.turn();
    client.turn();
  }
  const used = process.cpuUsage(begin);
  if (Session.receivedBytes < totalBytes) throw new Error(`${Session.receivedBytes} of ${totalBytes} bytes arrived`);
  return Session.receivedBytes / 1e3 / (used.user + used.system);
}

function median(measure: () => number): number {
  measure();
  const values = Array.from({ length: ROUNDS }, measure).sort((a, b) => a - b);
  return Number(values[ROUNDS >> 1]?.toFixed(3));
}

const report = {
  node: process.version,
  sessionAloneUs: median(() => sessions(50_000, 1)),
  session20AtOnceUs: median(() => sessions(100_000, 20)),
  bulk64KiBGBPerS: median(() => bulk(4e9, 64 * 1024, 1)),
  bulk64KiB50StreamsGBPerS: median(() => bulk(4e9, 64 * 1024, 50)),
  bulk16KiBGBPerS: median(() => bulk(2e9, 16 * 1024, 1)),
  bulk1KiBGBPerS: median(() => bulk(2e8, 1024, 1)),
};

if (process.argv.includes('--json')) {
  console.log(JSON.stringify(report));
} else {
  console.log(`yamux in memory, both sides in one process, median of ${ROUNDS} runs, ${report.node}
session (SYN, 4 KiB each way, FIN both), alone    ${report.sessionAloneUs} us CPU
  20 at once                                      ${report.session20AtOnceUs} us CPU
one way, 64 KiB chunks, 1 stream                  ${report.bulk64KiBGBPerS} GB per CPU second
  50 streams                                      ${report.bulk64KiB50StreamsGBPerS} GB per CPU second
one way, 16 KiB chunks                            ${report.bulk16KiBGBPerS} GB per CPU second
one way, 1 KiB chunks                             ${report.bulk1KiBGBPerS} GB per CPU second`);
}
