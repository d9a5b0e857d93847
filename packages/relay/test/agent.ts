import { randomBytes } from 'node:crypto';
import { type ChannelError, connectEndpoint, MuxConnection, secureContext, type SessionStore } from '@sekisho/channel';
import {
  DATA_ALPN,
  encodeFrame,
  FrameReader,
  MAIL_PROTOCOLS,
  type MailProtocol,
  type Message,
  type MuxStream,
  refusalCode,
} from '@sekisho/wire';
import type { TestDevice } from './site.ts';

type Answer = Message<'admit' | 'refuse'>;

/** The smallest agent there can be: a connection to a relay, tickets, sessions. */
export class TestAgent {
  readonly mux: MuxConnection;
  readonly closed: Promise<ChannelError>;
  goneAway = false;
  readonly #signalling: MuxStream;
  readonly #answers: Answer[] = [];
  readonly #waiting: ((answer: Answer) => void)[] = [];

  static async connect(device: TestDevice, port: number, sessions?: SessionStore): Promise<TestAgent> {
    const socket = await connectEndpoint({
      host: '127.0.0.1',
      port,
      context: secureContext(device.credentials),
      alpn: DATA_ALPN,
      expect: { role: 'relay' },
      timeoutMs: 5000,
      sessions,
    });
    return new TestAgent(socket);
  }

  private constructor(socket: ConstructorParameters<typeof MuxConnection>[0]) {
    const { promise, resolve } = Promise.withResolvers<ChannelError>();
    this.closed = promise;
    this.mux = new MuxConnection(
      socket,
      { role: 'client', windowBytes: 256 * 1024, maxStreams: 1000, deadAfterMs: 10_000 },
      { onStream: (stream) => stream.reset(), onGoAway: () => (this.goneAway = true), onClose: resolve },
    );
    const reader = new FrameReader(['admit', 'refuse']);
    this.#signalling = this.mux.open();
    this.#signalling.handler = {
      onAck() {},
      onData: (chunk) => {
        this.#signalling.consumed(chunk.length);
        for (const message of reader.push(chunk)) this.#answered(message);
      },
      onEnd() {},
      onReset() {},
      onDrain() {},
    };
  }

  /** Sends a ticket and waits for the answer: `admit`, or the code of the refusal. */
  async show(ticket: Buffer, versions = [1]): Promise<string> {
    this.#signalling.write(
      encodeFrame({ type: 'ticket', versions: Buffer.from(versions), software: 'test', ticket }),
    );
    const answer = this.#answers.shift() ?? (await new Promise<Answer>((resolve) => this.#waiting.push(resolve)));
    return answer.type === 'admit' ? 'admit' : refusalCode(answer.code);
  }

  /** Bytes on the signalling stream that are no ticket. */
  signal(bytes: Buffer): void {
    this.#signalling.write(bytes);
  }

  bye(session: Buffer): void {
    this.#signalling.write(
      encodeFrame({ type: 'bye', session, outcome: 'completed', bytesUp: 1, bytesDown: 2, durationMs: 3 }),
    );
  }

  session(init: SessionInit): TestSession {
    return new TestSession(this.mux.open(), init);
  }

  close(): void {
    this.mux.close();
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#answers.push(answer);
    else waiting(answer);
  }
}

export interface SessionInit {
  readonly port: number;
  readonly host?: string;
  readonly protocol?: MailProtocol;
  readonly client?: string;
  /** Sent in the place of a preamble. */
  readonly raw?: Buffer;
  /** Right behind the preamble, which an agent must not do. */
  readonly early?: Buffer;
  /** Nothing is given back to the window until read() is called. */
  readonly reading?: boolean;
}

/** One session of a TestAgent. */
export class TestSession {
  readonly id = randomBytes(16);
  readonly stream: MuxStream;
  readonly chunks: Buffer[] = [];
  receivedBytes = 0;
  acked = false;
  /** `end`, `reset`, or undefined while it is open. */
  ended: 'end' | 'reset' | undefined;
  /** Even after its end: what a client has not read yet is lost then. */
  wasReset = false;
  readonly #reader = new FrameReader(['connected', 'refuse']);
  readonly #answer = Promise.withResolvers<string>();
  readonly #over = Promise.withResolvers<'end' | 'reset'>();
  #isAnswered = false;
  #isReading: boolean;
  #unreadBytes = 0;
  #onDrain: (() => void) | undefined;
  connected: Message<'connected'> | undefined;

  constructor(stream: MuxStream, init: SessionInit) {
    this.stream = stream;
    this.#isReading = init.reading ?? true;
    stream.handler = {
      onAck: () => (this.acked = true),
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => this.#end('end'),
      onReset: () => this.#end('reset'),
      onDrain: () => this.#onDrain?.(),
    };
    stream.write(init.raw ?? this.#preamble(init));
    if (init.early !== undefined) stream.write(init.early);
  }

  /** `connected`, the code of a refusal, or `reset`. */
  get answer(): Promise<string> {
    return this.#answer.promise;
  }

  get over(): Promise<'end' | 'reset'> {
    return this.#over.promise;
  }

  /** Writes and waits until it has left the stream. */
  async send(bytes: Buffer): Promise<void> {
    if (this.stream.write(bytes)) return;
    await new Promise<void>((resolve) => (this.#onDrain = resolve));
  }

  end(): void {
    this.stream.end();
  }

  reset(): void {
    this.stream.reset();
  }

  /** Begins to read, if it did not. */
  read(): void {
    this.#isReading = true;
    this.stream.consumed(this.#unreadBytes);
    this.#unreadBytes = 0;
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks);
  }

  #preamble({ host = '127.0.0.1', port, protocol = 'smtp', client = '192.0.2.7:50123' }: SessionInit): Buffer {
    const number = MAIL_PROTOCOLS.indexOf(protocol);
    return encodeFrame({ type: 'connect', session: this.id, protocol: number, host, port, client });
  }

  #onData(chunk: Buffer): void {
    if (this.#isReading) this.stream.consumed(chunk.length);
    else this.#unreadBytes += chunk.length;
    if (this.#isAnswered) return this.#take(chunk);
    const found = this.#reader.pushOne(chunk);
    if (found === undefined) return;
    this.#isAnswered = true;
    if (found.message.type === 'connected') this.connected = found.message;
    this.#answer.resolve(found.message.type === 'connected' ? 'connected' : refusalCode(found.message.code));
    this.#take(found.rest);
  }

  #take(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    if (chunk.length > 0) this.chunks.push(chunk);
  }

  #end(how: 'end' | 'reset'): void {
    this.ended ??= how;
    this.wasReset ||= how === 'reset';
    this.#answer.resolve('reset');
    this.#over.resolve(how);
    this.#onDrain?.();
  }
}
