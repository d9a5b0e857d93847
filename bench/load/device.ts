import { randomBytes } from 'node:crypto';
import type { SecureContext, TLSSocket } from 'node:tls';
import { type ChannelError, connectEndpoint, MuxConnection, type SessionStore } from '@sekisho/channel';
import { DATA_ALPN, encodeFrame, FrameReader, type MuxStream, refusalCode } from '@sekisho/wire';
import { SmtpDialogue } from './smtp-dialogue.ts';

const TIMEOUT_MS = 20_000;
/** As an agent's. */
const WINDOW_BYTES = 256 * 1024;
const MAX_STREAMS = 64;
const SMTP = 0;

export interface DeviceInit {
  readonly port: number;
  readonly context: SecureContext;
  readonly ticket: Buffer;
  /** Of this device: with what is in it, TLS sessions are resumed. */
  readonly sessions: SessionStore;
}

/** As much of an agent as a relay sees: a warm connection with a ticket, and sessions on it. Thousands fit in a process. */
export class Device {
  isResumed = false;
  readonly #mux: MuxConnection;
  #isClosing = false;

  /** Resolves when the relay has accepted the ticket. */
  static async connect({ ticket, ...init }: DeviceInit): Promise<Device> {
    const socket = await connectEndpoint({ host: '127.0.0.1', alpn: DATA_ALPN, expect: { role: 'relay' }, timeoutMs: TIMEOUT_MS, ...init });
    const device = new Device(socket);
    device.isResumed = socket.isSessionReused();
    await device.#show(ticket);
    return device;
  }

  private constructor(socket: TLSSocket) {
    this.#mux = new MuxConnection(
      socket,
      { role: 'client', windowBytes: WINDOW_BYTES, maxStreams: MAX_STREAMS, deadAfterMs: 10_000 },
      { onStream: (stream) => stream.reset(), onGoAway: () => {}, onClose: (error) => this.#onClose(error) },
    );
  }

  /** One session with one mail of 4 KiB, up to the good-bye. */
  send(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const stream = this.#mux.open();
    const reader = new FrameReader(['connected', 'refuse']);
    const dialogue = new SmtpDialogue();
    let isConnected = false;
    const talk = (chunk: Buffer): void => {
      const next = chunk.length === 0 ? undefined : dialogue.received(chunk);
      if (next === 'done') stream.end();
      else if (next !== undefined) stream.write(next);
    };
    const take = (chunk: Buffer): void => {
      if (isConnected) return talk(chunk);
      const answer = reader.pushOne(chunk);
      if (answer === undefined) return;
      if (answer.message.type === 'refuse') throw new Error(`the relay refused a session: ${refusalCode(answer.message.code)}`);
      isConnected = true;
      talk(answer.rest);
    };
    stream.handler = {
      onAck() {},
      onData: (chunk) => {
        stream.consumed(chunk.length);
        try {
          take(chunk);
        } catch (error) {
          stream.reset();
          reject(error);
        }
      },
      onEnd: () => {
        stream.end();
        resolve();
      },
      onReset: () => reject(new Error('the relay reset a session')),
      onDrain() {},
    };
    stream.write(encodeFrame({ type: 'connect', session: randomBytes(16), protocol: SMTP, host: '127.0.0.1', port, client: '192.0.2.7:50123' }));
    return promise;
  }

  close(): void {
    this.#isClosing = true;
    this.#mux.close();
  }

  #show(ticket: Buffer): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const signalling: MuxStream = this.#mux.open();
    const reader = new FrameReader(['admit', 'refuse']);
    signalling.handler = {
      onAck() {},
      onData(chunk) {
        signalling.consumed(chunk.length);
        for (const message of reader.push(chunk)) {
          if (message.type === 'admit') resolve();
          else reject(new Error(`the relay refused a ticket: ${refusalCode(message.code)}`));
        }
      },
      onEnd() {},
      onReset: () => reject(new Error('the relay hung up')),
      onDrain() {},
    };
    signalling.write(encodeFrame({ type: 'ticket', versions: Buffer.from([1]), software: 'bench', ticket }));
    return promise;
  }

  #onClose(error: ChannelError): void {
    if (!this.#isClosing) console.error(`a device lost its connection: ${error.message}`);
  }
}
