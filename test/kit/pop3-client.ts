import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { unstuffDots } from './mails.ts';

export interface Pop3ClientInit {
  host: string;
  port: number;
  user: string;
  password: string;
  /** The longest silence that is borne at any point; default 10 s. */
  timeoutMs?: number;
}

/** The server said -ERR, or the conversation broke off; `reply` is the server's line if there was one. */
export class Pop3Error extends Error {
  override name = 'Pop3Error';
  readonly reply: string | undefined;

  constructor(message: string, reply?: string) {
    super(message);
    this.reply = reply;
  }
}

const END_OF_LINES = Buffer.from('\r\n.\r\n');

/** A minimal POP3 client: one command at a time, so that an answer ends where the bytes received end. */
export class Pop3Client {
  #socket: Socket;
  #chunks: Buffer[] = [];
  #wake: () => void = () => undefined;
  #failure: Pop3Error | undefined;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    const fail = (error: Pop3Error): void => {
      this.#failure ??= error;
      this.#wake();
    };
    socket.setTimeout(timeoutMs, () => {
      fail(new Pop3Error(`nothing from the server in ${timeoutMs} ms`));
      socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    socket.on('error', (error) => fail(new Pop3Error(error.message)));
    socket.on('close', () => fail(new Pop3Error('the server closed the connection')));
  }

  /** Waits for the greeting, then logs in. */
  async login(user: string, password: string): Promise<void> {
    await this.#answer(false);
    await this.command(`USER ${user}`);
    await this.command(`PASS ${password}`);
  }

  /** Sends a command and returns the text after +OK. @throws {Pop3Error} on -ERR, silence or a broken connection */
  async command(line: string): Promise<string> {
    this.#socket.write(`${line}\r\n`);
    const answer = await this.#answer(false);
    return answer.toString('latin1').slice('+OK '.length).trimEnd();
  }

  /** Sends a command with an answer of several lines and returns those, dots un-stuffed, without the status line. */
  async multiline(line: string): Promise<Buffer> {
    this.#socket.write(`${line}\r\n`);
    const answer = await this.#answer(true);
    const start = answer.indexOf('\r\n') + 2;
    return unstuffDots(answer.subarray(start, answer.length - '.\r\n'.length));
  }

  async quit(): Promise<void> {
    await this.command('QUIT');
    this.#socket.destroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  async #answer(multiline: boolean): Promise<Buffer> {
    for (;;) {
      const answer = this.#complete(multiline);
      if (answer !== undefined) return answer;
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #complete(multiline: boolean): Buffer | undefined {
    // The tail decides whether anything has to be joined at all: 25 MiB come in hundreds of chunks.
    const tail = Buffer.concat(this.#chunks.slice(-END_OF_LINES.length)).subarray(-END_OF_LINES.length);
    if (tail.subarray(-2).toString('latin1') !== '\r\n') return undefined;
    const refused = this.#chunks[0]?.[0] === '-'.charCodeAt(0);
    if (multiline && !refused && !tail.equals(END_OF_LINES)) return undefined;
    const answer = Buffer.concat(this.#chunks);
    this.#chunks = [];
    if (answer.subarray(0, 3).toString('latin1') === '+OK') return answer;
    const reply = answer.toString('latin1').trimEnd();
    throw new Pop3Error(`the server refused: ${reply}`, reply);
  }
}

/** Connects and logs in. @throws {Pop3Error} when the server refuses; the error of the socket when it can't connect */
export async function connectPop3(init: Pop3ClientInit): Promise<Pop3Client> {
  const socket = connect({ host: init.host, port: init.port, noDelay: true });
  const client = new Pop3Client(socket, init.timeoutMs ?? 10_000);
  try {
    await once(socket, 'connect');
    await client.login(init.user, init.password);
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}

/** Fetches every message, deletes them on the server if asked to, and says QUIT. */
export async function fetchAllPop3(init: Pop3ClientInit & { remove?: boolean }): Promise<Buffer[]> {
  const client = await connectPop3(init);
  try {
    const [count = '0'] = (await client.command('STAT')).split(' ');
    const mails: Buffer[] = [];
    for (let number = 1; number <= Number(count); number += 1) {
      mails.push(await client.multiline(`RETR ${number}`));
      if (init.remove === true) await client.command(`DELE ${number}`);
    }
    await client.quit();
    return mails;
  } finally {
    client.close();
  }
}
