import { END_OF_STREAM, instreamFrames } from './instream-frames.ts';
import { quoted } from './clamd-reply.ts';
import { ReplyFirstSocket } from './reply-first-socket.ts';
import type { ScannerAddress } from './scanner-address.ts';

/** The longest real one is a signature's name and a few words. */
export const MAX_REPLY_BYTES = 1024;
const NUL = 0;
const LF = 0x0a;

export interface ExchangeInit {
  readonly address: ScannerAddress;
  readonly command: 'PING' | 'VERSION' | 'INSTREAM';
  /** With INSTREAM only. */
  readonly content?: AsyncIterable<Buffer>;
  readonly connectMs: number;
  /** For the scanner to take one chunk of the content. */
  readonly stallMs: number;
  /** For all of it; without, until the signal. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type Answer =
  /** `isEarly`: the content had not been sent whole. */
  | { readonly kind: 'reply'; readonly text: string; readonly isEarly: boolean }
  | { readonly kind: 'failed'; readonly why: string }
  | { readonly kind: 'unreadable'; readonly why: string };

/** Asks clamd one thing over a connection of its own. Never rejects. */
export function askClamd(init: ExchangeInit): Promise<Answer> {
  return new Promise((resolve) => {
    new Exchange(init, resolve).start();
  });
}

/** One connection, one command, one reply (clamd(8), "COMMANDS"). */
class Exchange {
  readonly #init: ExchangeInit;
  readonly #settle: (answer: Answer) => void;
  readonly #socket = new ReplyFirstSocket();
  readonly #onAbort = (): void => this.#fail('nobody waits for it any more');
  #reply = Buffer.alloc(0);
  #isConnected = false;
  #isSent = false;
  #isOver = false;
  #stepTimer: NodeJS.Timeout | undefined;
  #totalTimer: NodeJS.Timeout | undefined;
  #onTaken: (() => void) | undefined;

  constructor(init: ExchangeInit, settle: (answer: Answer) => void) {
    this.#init = init;
    this.#settle = settle;
  }

  start(): void {
    const { address, connectMs, timeoutMs, signal } = this.#init;
    if (signal?.aborted === true) return this.#onAbort();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    this.#limitStep(connectMs, `no connection in ${connectMs} ms`);
    if (timeoutMs !== undefined) this.#totalTimer = setTimeout(() => this.#fail(`no answer in ${timeoutMs} ms`), timeoutMs);
    const socket = this.#socket;
    socket.on('connect', () => this.#onConnect());
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => this.#onError(error));
    // Over TCP the end of the stream would else wait for what is before it to be acknowledged.
    socket.setNoDelay(true);
    socket.connect(address);
  }

  #onConnect(): void {
    this.#isConnected = true;
    clearTimeout(this.#stepTimer);
    this.#send().catch((error: unknown) => this.#finish({ kind: 'unreadable', why: error instanceof Error ? error.message : String(error) }));
  }

  async #send(): Promise<void> {
    const { command, content } = this.#init;
    // The z says that command and reply end with NUL.
    let lead = [Buffer.from(`z${command}\0`)];
    if (content !== undefined) {
      for await (const frame of instreamFrames(content)) {
        if (this.#isOver) return;
        // The command leaves with the first chunk.
        await this.#write([...lead, ...frame]);
        lead = [];
      }
      lead.push(END_OF_STREAM);
    }
    if (this.#isOver) return;
    this.#isSent = true;
    await this.#write(lead);
  }

  /** Resolves when the kernel has taken all, or there will be no next. */
  async #write(parts: readonly Buffer[]): Promise<void> {
    const socket = this.#socket;
    const last = parts.at(-1);
    if (last === undefined) return;
    // The content's buffers are used again, so it is not enough that there is room for the next.
    const taken = new Promise<void>((resolve) => (this.#onTaken = resolve));
    socket.cork();
    for (const part of parts.slice(0, -1)) socket.write(part);
    socket.write(last, () => this.#onTaken?.());
    socket.uncork();
    if (socket.writableLength === 0) return taken;
    const { stallMs } = this.#init;
    this.#limitStep(stallMs, `it took nothing for ${stallMs} ms`);
    await taken;
    clearTimeout(this.#stepTimer);
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#reply = Buffer.concat([this.#reply, chunk]);
    const end = this.#reply.findIndex((byte) => byte === NUL || byte === LF);
    if (this.#reply.length > MAX_REPLY_BYTES) return this.#fail(`it answered more than ${MAX_REPLY_BYTES} bytes`);
    if (end === -1) return;
    const text = this.#reply.toString('latin1', 0, end);
    if (end !== this.#reply.length - 1) return this.#fail(`it said more after ${quoted(text)}`);
    this.#finish({ kind: 'reply', text, isEarly: !this.#isSent });
  }

  #onEnd(): void {
    const begun = this.#reply.toString('latin1');
    this.#fail(begun === '' ? 'it closed without an answer' : `it closed in the middle of an answer: ${quoted(begun)}`);
  }

  #onError(error: NodeJS.ErrnoException): void {
    const errno = error.code ?? error.message;
    this.#fail(this.#isConnected ? `connection lost: ${errno}` : `no connection: ${errno}`);
  }

  #limitStep(timeoutMs: number, why: string): void {
    clearTimeout(this.#stepTimer);
    this.#stepTimer = setTimeout(() => this.#fail(why), timeoutMs);
  }

  #fail(why: string): void {
    this.#finish({ kind: 'failed', why });
  }

  #finish(answer: Answer): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#stepTimer);
    clearTimeout(this.#totalTimer);
    this.#init.signal?.removeEventListener('abort', this.#onAbort);
    this.#socket.destroy();
    this.#onTaken?.();
    this.#settle(answer);
  }
}
