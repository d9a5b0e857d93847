import {
  encodeFrame,
  FrameReader,
  type Message,
  type MuxStream,
  type MuxStreamHandler,
  Refusal,
  REFUSALS,
  PROTOCOL_VERSIONS,
  WireError,
} from '@sekisho/wire';

export interface SignallingHandler {
  onTicket(message: Message<'ticket'>): void;
  /** The agent's word on a session that ended. Nothing depends on it. */
  onBye(message: Message<'bye'>): void;
  /** Not of the protocol: nothing more is read. */
  onViolation(refusal: Refusal): void;
}

/** Stream 1 of a device's connection: tickets in, answers out. */
export class Signalling implements MuxStreamHandler {
  readonly #stream: MuxStream;
  readonly #handler: SignallingHandler;
  readonly #reader = new FrameReader(['ticket', 'bye']);
  #isDead = false;

  constructor(stream: MuxStream, handler: SignallingHandler) {
    this.#stream = stream;
    this.#handler = handler;
    stream.handler = this;
    stream.accept();
  }

  /** Says that a ticket holds for so long, and how many sessions the device may have. */
  admit(answer: { readonly version: number; readonly ttlMs: number; readonly maxSessions: number }): void {
    this.#stream.write(encodeFrame({ type: 'admit', ...answer }));
  }

  refuse(refusal: Refusal): void {
    const { number } = REFUSALS[refusal.code];
    this.#stream.write(
      encodeFrame({
        type: 'refuse',
        id: 0,
        code: number,
        text: refusal.message,
        ...(refusal.code === 'VERSION' ? { versions: Buffer.from(PROTOCOL_VERSIONS) } : {}),
        ...(refusal.retryAfterMs > 0 ? { retryAfterMs: refusal.retryAfterMs } : {}),
      }),
    );
  }

  onData(chunk: Buffer): void {
    if (this.#isDead) return;
    try {
      for (const message of this.#reader.push(chunk)) {
        if (message.type === 'ticket') this.#handler.onTicket(message);
        else this.#handler.onBye(message);
      }
      this.#stream.consumed(chunk.length);
    } catch (error) {
      this.#isDead = true;
      if (!(error instanceof WireError)) throw error;
      this.#handler.onViolation(new Refusal('PROTOCOL', error.message));
    }
  }

  onAck(): void {}

  // An agent that closes the stream says no more; its sessions go on until the connection or the ticket ends.
  onEnd(): void {}

  onReset(): void {}

  onDrain(): void {}
}
