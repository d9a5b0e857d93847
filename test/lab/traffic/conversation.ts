import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from './events.ts';

/** There will be no (further) answer. */
export class BrokenOff extends Error {
  override name = 'BrokenOff';
}

/** Longer than any deadline of the mesh, so that its answer is seen and not ours. */
const SILENCE_MS = 60_000;
const CONNECT_TIMEOUT_MS = 30_000;

/** A client's end of a mail conversation that keeps the time of every wait. */
export class Conversation {
  readonly client: string;
  readonly #socket: Socket;
  readonly #startedAtMs: number;
  #received = Buffer.alloc(0);
  #failure: string | undefined;
  #wake: () => void = () => undefined;
  decisionMs: number | undefined;
  longestWaitMs = 0;

  private constructor(socket: Socket, init: { client: string; startedAtMs: number }) {
    this.#socket = socket;
    this.client = init.client;
    this.#startedAtMs = init.startedAtMs;
    const fail = (why: string): void => {
      this.#failure ??= why;
      this.#wake();
    };
    socket.setNoDelay(true);
    socket.setTimeout(SILENCE_MS, () => {
      fail('silence');
      socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      this.decisionMs ??= Math.round(performance.now() - this.#startedAtMs);
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
    socket.on('end', () => fail('end'));
    socket.on('close', () => fail('closed'));
  }

  /** @param tls its certificate is not verified: that is not what the lab is about. @throws {BrokenOff} */
  static async open(target: Target, init: { tls?: boolean } = {}): Promise<Conversation> {
    const startedAtMs = performance.now();
    const plain = connect({ ...target, allowHalfOpen: false });
    plain.on('error', () => undefined);
    plain.setTimeout(CONNECT_TIMEOUT_MS, () => plain.destroy(new Error('no connection')));
    await ready(plain, 'connect');
    const client = `${plain.localAddress?.includes(':') === true ? `[${plain.localAddress}]` : plain.localAddress}:${plain.localPort}`;
    if (init.tls !== true) return new Conversation(plain, { client, startedAtMs });
    const secure = connectTls({ socket: plain, rejectUnauthorized: false });
    // The handshake is the destination's: its end is where a decision shows.
    try {
      await ready(secure, 'secureConnect');
    } catch (error) {
      throw Object.assign(error as Error, { client });
    }
    return new Conversation(secure, { client, startedAtMs });
  }

  /** From the connection to the first answer, or until now if there was none. */
  get decidedAfterMs(): number {
    return this.decisionMs ?? Math.round(performance.now() - this.#startedAtMs);
  }

  write(bytes: Buffer | string): void {
    if (this.#failure === undefined) this.#socket.write(bytes);
  }

  /** Resolves when the kernel has taken what was written, or the conversation has broken off. */
  async flushed(): Promise<void> {
    if (this.#socket.writableNeedDrain && this.#failure === undefined) await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]);
  }

  /** The next reply of SMTP, its last line. @throws {BrokenOff} */
  async reply(): Promise<string> {
    for (;;) {
      const line = await this.line();
      if (!/^\d{3}-/u.test(line)) return line;
    }
  }

  async command(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** The next line, without its end. @throws {BrokenOff} */
  async line(): Promise<string> {
    const end = await this.#until(() => this.#received.indexOf('\r\n'));
    return this.#take(end + 2).toString('latin1').slice(0, -2);
  }

  /** The next so many bytes. @throws {BrokenOff} */
  async bytes(count: number): Promise<Buffer> {
    await this.#until(() => (this.#received.length >= count ? count : -1));
    return this.#take(count);
  }

  /** All up to and with these bytes. @throws {BrokenOff} */
  async through(mark: string): Promise<Buffer> {
    const at = await this.#until(() => this.#received.indexOf(mark));
    return this.#take(at + mark.length);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(count: number): Buffer {
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  async #until(position: () => number): Promise<number> {
    const startedAtMs = performance.now();
    const isGreeting = this.decisionMs === undefined;
    for (;;) {
      const at = position();
      if (at >= 0 || this.#failure !== undefined) {
        if (!isGreeting) this.longestWaitMs = Math.max(this.longestWaitMs, Math.round(performance.now() - startedAtMs));
        if (at >= 0) return at;
        throw new BrokenOff(this.#failure);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function ready(socket: Socket, event: string): Promise<void> {
  try {
    await Promise.race([
      once(socket, event),
      once(socket, 'close').then(() => Promise.reject(new BrokenOff('closed'))),
    ]);
  } catch (error) {
    socket.destroy();
    throw new BrokenOff((error as NodeJS.ErrnoException).code ?? (error as Error).message);
  }
}
