import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { EICAR } from '../../../test/kit/clamd.ts';
import { makeTempDir, type TempDir } from '../../../test/kit/temp-dir.ts';

const LENGTH_BYTES = 4;

/** A stream that has come whole. */
export interface Asked {
  readonly content: Buffer;
  readonly socket: Socket;
  /** Each with a NUL, unless it has its end already. */
  readonly answer: (reply: string) => void;
}

/** Speaks clamd's protocol, and does what no real one can be made to do. Made by `startScriptedScanner`. */
export class ScriptedScanner {
  /** What becomes of a stream that has come whole; by default it finds the EICAR test and nothing else. */
  onStream: (asked: Asked) => void = ({ content, answer }) => answer(content.includes(EICAR) ? 'stream: Eicar FOUND' : 'stream: OK');
  /** What becomes of the canary. */
  onCanary: (asked: Asked) => void = ({ answer }) => answer('stream: Eicar FOUND');
  /** Instead of reading on, when a stream other than the canary has so many bytes. */
  interruption: { readonly atByte: number; readonly act: (socket: Socket) => void } | undefined;
  /** Undefined: silence. */
  ping: string | undefined = 'PONG';
  /** Answers to the next PINGs, before `ping`. */
  readonly nextPings: string[] = [];
  version = 'ClamAV 9.9.9/27450/Sat Nov 15 08:23:12 2025';
  /** The streams that came whole, canaries left out. */
  readonly contents: Buffer[] = [];
  /** Open connections with a stream, canaries left out as soon as they are known for such. */
  readonly streams = new Set<Socket>();
  pings = 0;
  canaries = 0;
  readonly #server: Server;
  readonly #dir: TempDir;
  readonly #sockets = new Set<Socket>();

  constructor(dir: TempDir) {
    this.#dir = dir;
    this.#server = createServer((socket) => this.#onConnection(socket));
  }

  get #path(): string {
    return join(this.#dir.path, 'scanner.sock');
  }

  get address(): string {
    return `unix:${this.#path}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#path, resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#dir.remove();
  }

  #onConnection(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.streams.delete(socket);
    });
    let received = Buffer.alloc(0);
    let isOver = false;
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (!isOver) isOver = this.#onBytes(socket, received);
    });
  }

  /** True when nothing more is to be read. */
  #onBytes(socket: Socket, received: Buffer): boolean {
    const end = received.indexOf(0);
    const command = received.toString('latin1', 0, Math.max(end, 0));
    if (command === 'zPING') {
      this.pings += 1;
      const answer = this.nextPings.shift() ?? this.ping;
      if (answer !== undefined) reply(socket, answer);
      return true;
    }
    if (command === 'zVERSION') reply(socket, this.version);
    if (command !== 'zINSTREAM') return end !== -1;
    const { content, isComplete } = unframed(received.subarray(end + 1));
    const isCanary = content.equals(Buffer.from(EICAR));
    if (!isCanary) this.streams.add(socket);
    const { interruption } = this;
    if (interruption !== undefined && content.length >= interruption.atByte && !Buffer.from(EICAR).includes(content)) {
      interruption.act(socket);
      return true;
    }
    if (isComplete) this.#onWhole(socket, content, isCanary);
    return isComplete;
  }

  #onWhole(socket: Socket, content: Buffer, isCanary: boolean): void {
    const asked = { content, socket, answer: (text: string) => reply(socket, text) };
    if (isCanary) {
      this.streams.delete(socket);
      this.canaries += 1;
      return this.onCanary(asked);
    }
    this.contents.push(content);
    this.onStream(asked);
  }
}

/** Starts one on a UNIX socket. */
export async function startScriptedScanner(): Promise<ScriptedScanner> {
  const scanner = new ScriptedScanner(await makeTempDir('scanner'));
  await scanner.listen();
  return scanner;
}

function reply(socket: Socket, text: string): void {
  socket.end(/[\0\n]$/u.test(text) ? text : `${text}\0`, 'latin1');
}

function unframed(bytes: Buffer): { content: Buffer; isComplete: boolean } {
  const parts: Buffer[] = [];
  for (let at = 0; at + LENGTH_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    at += LENGTH_BYTES;
    if (length === 0) return { content: Buffer.concat(parts), isComplete: true };
    parts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return { content: Buffer.concat(parts), isComplete: false };
}
