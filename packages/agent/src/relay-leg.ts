import { FrameReader, MuxError, type MuxStream, type RefusalCode, refusalCode, WireError } from '@sekisho/wire';
import type { RelayLink } from './relay-link.ts';

export interface RelayLegHandler {
  onAck(): void;
  /**
   * The relay has reached the destination; the stream's handler is to be replaced now.
   * @param rest what the destination has already said
   */
  onConnected(stream: MuxStream, rest: Buffer, destination: { readonly address: string; readonly connectMs: number }): void;
  onRefused(code: RefusalCode): void;
  /** No answer will come. */
  onLost(): void;
}

/** One attempt to open a session through one relay, up to the relay's answer. It calls nothing back from its constructor. */
export class RelayLeg {
  readonly link: RelayLink;
  readonly #handler: RelayLegHandler;
  readonly #preamble: Buffer;
  readonly #reader = new FrameReader(['connected', 'refuse']);
  #stream: MuxStream | undefined;
  #callOff: (() => void) | undefined;
  #isOver = false;

  constructor(components: { readonly link: RelayLink; readonly handler: RelayLegHandler }, preamble: Buffer) {
    this.link = components.link;
    this.#handler = components.handler;
    this.#preamble = preamble;
    if (this.link.state === 'opening') this.#callOff = this.link.whenOpen((isOpen) => (isOpen ? this.#open() : this.#lose()));
    else if (!this.#open()) queueMicrotask(() => this.#lose());
  }

  /** Nobody waits for the answer any more. */
  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#callOff?.();
    this.#stream?.reset();
    if (this.#stream !== undefined) this.link.release();
  }

  #open(): boolean {
    if (this.#isOver) return true;
    try {
      this.#stream = this.link.open();
    } catch (error) {
      if (!(error instanceof MuxError)) throw error;
      if (this.#callOff !== undefined) this.#lose();
      return false;
    }
    this.#stream.handler = {
      onAck: () => this.#handler.onAck(),
      onData: (chunk) => this.#onData(chunk),
      onEnd: () => this.#lose('INTERNAL'),
      onReset: () => this.#lose('FULL'),
      onDrain: () => {},
    };
    this.#stream.write(this.#preamble);
    return true;
  }

  #onData(chunk: Buffer): void {
    const stream = this.#stream;
    if (this.#isOver || stream === undefined) return;
    try {
      const answer = this.#reader.pushOne(chunk);
      stream.consumed(chunk.length - (answer?.rest.length ?? 0));
      if (answer === undefined) return;
      const { message, rest } = answer;
      if (message.type === 'connected') {
        this.#isOver = true;
        this.#handler.onConnected(stream, rest, message);
      } else this.#refuse(refusalCode(message.code));
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#lose('INTERNAL');
    }
  }

  #refuse(code: RefusalCode): void {
    this.cancel();
    this.#handler.onRefused(code);
  }

  /**
   * The connection to the relay may have ended because of its no to the ticket: then that is the answer. A relay that lives
   * and ends the stream is not silent either: it has more streams than it takes, or makes mistakes.
   */
  #lose(code: RefusalCode = 'FULL'): void {
    if (this.#isOver) return;
    this.cancel();
    const { refused, gone, state } = this.link;
    if (refused !== undefined) this.#handler.onRefused(refused);
    else if (gone || state === 'draining') this.#handler.onLost();
    else this.#handler.onRefused(code);
  }
}
