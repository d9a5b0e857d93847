import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type Credentials, Listener, MuxConnection } from '@sekisho/channel';
import {
  DATA_ALPN,
  encodeFrame,
  FrameReader,
  type Message,
  type MuxStream,
  type RefusalCode,
  REFUSALS,
  type RelayAddress,
} from '@sekisho/wire';

/** What the relay does with a session: `silent` acknowledges nothing, `stuck` acknowledges and then says nothing. */
export type RelayScript =
  | { readonly kind: 'connect' }
  /** Acknowledges and connects so late. */
  | { readonly kind: 'late'; readonly afterMs: number }
  | { readonly kind: 'refuse'; readonly code: RefusalCode }
  | { readonly kind: 'silent' }
  | { readonly kind: 'stuck' }
  /** As when the device has more streams than the relay takes. */
  | { readonly kind: 'reset'; readonly isAcknowledged?: boolean };

export interface FakeRelayInit {
  readonly name: string;
  readonly host: string;
  readonly credentials: Credentials;
}

const quiet = { onAck() {}, onData() {}, onEnd() {}, onReset() {}, onDrain() {} };

/** A relay that answers as it is told to, and really connects to the destination when it is told to do that. */
export class FakeRelay {
  script: RelayScript = { kind: 'connect' };
  ticketScript: RefusalCode | 'admit' = 'admit';
  /** What it says that it takes of one device. */
  maxSessions = 50;
  readonly name: string;
  readonly host: string;
  port = 0;
  tickets = 0;
  readonly connects: Message<'connect'>[] = [];
  readonly byes: Message<'bye'>[] = [];
  connections = 0;
  /** Of them, those with a TLS session from before. */
  resumed = 0;
  /** Streams that the agent has reset. */
  resets = 0;
  readonly #listener: Listener;
  readonly #open = new Set<MuxConnection>();
  readonly #destinations = new Set<Socket>();
  readonly #isSignalled = new WeakSet<MuxConnection>();
  readonly #isAdmitted = new WeakSet<MuxConnection>();

  constructor(init: FakeRelayInit) {
    this.name = init.name;
    this.host = init.host;
    this.#listener = new Listener(
      {
        host: init.host,
        port: 0,
        credentials: init.credentials,
        alpn: DATA_ALPN,
        handshakeTimeoutMs: 10_000,
        maxConnections: 100,
        maxPerAddress: 100,
        sessionKey: randomBytes(48),
      },
      {
        onConnection: (socket) => {
          this.connections += 1;
          if (socket.isSessionReused()) this.resumed += 1;
          const mux: MuxConnection = new MuxConnection(
            socket,
            { role: 'server', windowBytes: 256 * 1024, maxStreams: 100, deadAfterMs: 10_000 },
            {
              onStream: (stream) => this.#onStream(mux, stream),
              onGoAway: () => {},
              onClose: () => this.#open.delete(mux),
            },
          );
          this.#open.add(mux);
        },
        onReject: () => {},
        onError: () => {},
      },
    );
  }

  async listen(): Promise<void> {
    this.port = (await this.#listener.listen()).port;
  }

  get address(): RelayAddress {
    return { name: this.name, host: this.host, port: this.port };
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** Wants no new streams. */
  goAway(): void {
    for (const mux of this.#open) mux.goAway();
  }

  /** As when a worker of it is started again: every connection is gone. */
  disconnect(): void {
    for (const mux of this.#open) mux.socket.destroy();
  }

  /** As when it is killed: nothing listens, every connection is gone. */
  kill(): void {
    this.disconnect();
    this.close();
  }

  /** From now on nothing is read and nothing sent, and nothing is closed: the line is cut. */
  cut(): void {
    for (const { socket } of this.#open) {
      socket.pause();
      socket.removeAllListeners('data');
      socket.on('data', () => {});
      socket.write = () => true;
    }
  }

  close(): void {
    this.#listener.close();
    for (const mux of this.#open) mux.close();
    for (const destination of this.#destinations) destination.destroy();
  }

  #onStream(mux: MuxConnection, stream: MuxStream): void {
    if (!this.#isSignalled.has(mux)) {
      this.#isSignalled.add(mux);
      this.#signal(mux, stream);
      return;
    }
    const reader = new FrameReader(['connect']);
    stream.handler = {
      ...quiet,
      onReset: () => (this.resets += 1),
      onData: (chunk) => {
        const answer = reader.pushOne(chunk);
        stream.consumed(chunk.length);
        if (answer === undefined) return;
        if (answer.rest.length > 0) throw new Error('a client byte before connected');
        this.connects.push(answer.message);
        this.#serve(stream, answer.message);
      },
    };
  }

  #signal(mux: MuxConnection, stream: MuxStream): void {
    const reader = new FrameReader(['ticket', 'bye']);
    stream.handler = {
      ...quiet,
      onData: (chunk) => {
        stream.consumed(chunk.length);
        for (const message of reader.push(chunk)) {
          if (message.type === 'bye') this.byes.push(message);
          else this.#onTicket(mux, stream);
        }
      },
    };
    stream.accept();
  }

  #onTicket(mux: MuxConnection, stream: MuxStream): void {
    this.tickets += 1;
    if (this.ticketScript === 'admit') {
      this.#isAdmitted.add(mux);
      stream.write(encodeFrame({ type: 'admit', version: 1, ttlMs: 600_000, maxSessions: this.maxSessions }));
      return;
    }
    stream.write(encodeFrame({ type: 'refuse', id: 0, code: REFUSALS[this.ticketScript].number, text: 'no' }));
    // A no to a later ticket ends nothing.
    if (!this.#isAdmitted.has(mux)) setTimeout(() => mux.close(), 50);
  }

  #serve(stream: MuxStream, connect: Message<'connect'>): void {
    const { script } = this;
    if (script.kind === 'late') setTimeout(() => this.#answer(stream, connect, { kind: 'connect' }), script.afterMs);
    else this.#answer(stream, connect, script);
  }

  #answer(stream: MuxStream, { host, port }: Message<'connect'>, script: Exclude<RelayScript, { kind: 'late' }>): void {
    // A session is served once the ticket is accepted.
    if (script.kind === 'silent' || this.ticketScript !== 'admit') return;
    if (script.kind === 'reset') {
      if (script.isAcknowledged === true) stream.accept();
      return stream.reset();
    }
    stream.accept();
    if (script.kind === 'stuck') return;
    if (script.kind === 'refuse') {
      stream.write(encodeFrame({ type: 'refuse', id: 0, code: REFUSALS[script.code].number, text: 'no' }));
      stream.end();
      return;
    }
    const destination = connect({ host, port, allowHalfOpen: true });
    this.#destinations.add(destination);
    destination.on('error', () => {});
    destination.once('connect', () => {
      stream.write(encodeFrame({ type: 'connected', address: `${host}:${port}`, connectMs: 1 }));
      splice(stream, destination, () => (this.resets += 1));
    });
    destination.on('close', () => this.#destinations.delete(destination));
  }
}

function splice(stream: MuxStream, socket: Socket, onReset: () => void): void {
  let ended = 0;
  stream.handler = {
    ...quiet,
    onData: (chunk) => void socket.write(chunk, () => stream.consumed(chunk.length)),
    onEnd: () => {
      ended += 1;
      socket.end();
    },
    onReset: () => {
      onReset();
      socket.resetAndDestroy();
    },
    onDrain: () => socket.resume(),
  };
  socket.on('data', (chunk: Buffer) => {
    if (!stream.write(chunk)) socket.pause();
  });
  socket.on('end', () => {
    ended += 1;
    stream.end();
  });
  socket.on('close', () => {
    if (ended < 2) stream.reset();
  });
}
