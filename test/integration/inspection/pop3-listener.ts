import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A POP3 client by hand: what it writes, in what pieces, is the test's, and how long it heard nothing is measured. */
export class Pop3Listener {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #tail = Buffer.alloc(0);
  #heardAtMs = performance.now();
  #isOver = false;
  #failure: Error | undefined;
  #wake: () => void = () => undefined;
  /** The longest that nothing came while an answer was waited for. */
  longestSilenceMs = 0;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', (error) => (this.#failure ??= error));
    socket.on('close', () => {
      this.#isOver = true;
      this.#wake();
    });
  }

  /** @param timeoutMs of silence, after which it gives up, as mail clients do */
  static async open(port: number, timeoutMs = 30_000): Promise<Pop3Listener> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const listener = new Pop3Listener(socket, timeoutMs);
    await once(socket, 'connect');
    return listener;
  }

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get bytes(): number {
    return this.#bytes;
  }

  write(text: string): void {
    this.#heardAtMs = performance.now();
    this.#socket.write(text);
  }

  /** Reads no more until `resume`; what is on its way waits in the kernels. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#heardAtMs = performance.now();
    this.#socket.resume();
  }

  /** Until the last bytes received match. @throws when nothing comes for too long, or nothing more can come */
  async until(tail: RegExp): Promise<void> {
    for (;;) {
      if (tail.test(this.#tail.toString('latin1'))) return;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) throw new Error(`the server closed after ${JSON.stringify(this.#tail.toString('latin1'))}`);
      await this.#next();
    }
  }

  /** Resolves when the server has ended the connection. */
  async over(): Promise<void> {
    while (!this.#isOver) await this.#next();
  }

  close(): void {
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    const nowMs = performance.now();
    this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - this.#heardAtMs);
    this.#heardAtMs = nowMs;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
    this.#wake();
  }

  async #next(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    this.#wake = () => resolve(undefined);
    const timer = setTimeout(() => reject(new Error(`nothing in ${this.#timeoutMs} ms`)), this.#timeoutMs);
    await promise.finally(() => clearTimeout(timer));
  }
}

const TAIL_BYTES = 200;
