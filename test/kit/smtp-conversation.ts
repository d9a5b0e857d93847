import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** The server said no, or the conversation broke off; `reply` is what it said last, if anything. */
export class SmtpReplyError extends Error {
  override name = 'SmtpReplyError';
  readonly reply: string | undefined;

  constructor(message: string, reply?: string) {
    super(message);
    this.reply = reply;
  }
}

/** Longer than any decision of an agent, so that its answer is seen instead of this. */
const SILENCE_MS = 20_000;

/** An SMTP client that is led by the hand: a conversation can be held open at any point, and each reply is seen. */
export class SmtpConversation {
  /** Our end, `address:port`, by which the agent's line about this session is found. */
  readonly client: string;
  readonly #socket: Socket;
  #received = '';
  #failure: Error | undefined;
  #wake: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.client = `${socket.localAddress}:${socket.localPort}`;
    this.#socket = socket;
    const fail = (error: Error): void => {
      this.#failure ??= error;
      this.#wake();
    };
    socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`nothing from the server in ${SILENCE_MS} ms`)));
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the server closed the connection')));
  }

  /** Connects; nothing was said yet. */
  static async open(port: number, host = '127.0.0.1'): Promise<SmtpConversation> {
    const socket = connect({ host, port, noDelay: true });
    await once(socket, 'connect');
    return new SmtpConversation(socket);
  }

  /** The next reply, all its lines. @throws {SmtpReplyError} when it begins with another code, or none comes */
  async expect(code: number): Promise<string> {
    for (;;) {
      const reply = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/u.exec(this.#received)?.[0];
      if (reply !== undefined) {
        this.#received = this.#received.slice(reply.length);
        if (!reply.startsWith(String(code))) throw new SmtpReplyError(`${reply.trim()} instead of ${code}`, reply);
        return reply;
      }
      if (this.#failure !== undefined) throw new SmtpReplyError(`${this.#failure.message} instead of ${code}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async command(line: string, code: number): Promise<string> {
    await this.write(`${line}\r\n`);
    return this.expect(code);
  }

  /** From the greeting to the server's go-ahead for the message. */
  async untilData(): Promise<void> {
    await this.expect(220);
    await this.begin();
  }

  /** From EHLO to the server's go-ahead for the message. */
  async begin(): Promise<void> {
    await this.command('EHLO client.example.com', 250);
    await this.command('MAIL FROM:<office@office.example>', 250);
    await this.command('RCPT TO:<friend@mail.example>', 250);
    await this.command('DATA', 354);
  }

  /** Resolves when there is room for more. */
  async write(bytes: string): Promise<void> {
    if (this.#failure !== undefined) throw new SmtpReplyError(this.#failure.message);
    if (!this.#socket.write(bytes)) await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]);
  }

  /** After DATA: a message, and its end. */
  async message(subject: string): Promise<void> {
    await this.command(`Subject: ${subject}\r\n\r\nKonnichiwa.\r\n.`, 250);
  }

  /** After DATA: a message, its end, and QUIT. */
  async finish(subject: string): Promise<void> {
    await this.message(subject);
    await this.command('QUIT', 221);
    this.close();
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A mail that was accepted. */
export interface Sent {
  /** The client's end of the connection. */
  readonly client: string;
  /** From connect() to the destination's greeting, and to its 250 for the message. */
  readonly greetingMs: number;
  readonly acceptedMs: number;
}

/** Sends one small mail and measures. @throws {SmtpReplyError} when it is not accepted */
export async function sendMail(port: number, subject: string): Promise<Sent> {
  const startedAt = performance.now();
  const conversation = await SmtpConversation.open(port);
  try {
    await conversation.expect(220);
    const greetingMs = performance.now() - startedAt;
    await conversation.begin();
    await conversation.message(subject);
    const acceptedMs = performance.now() - startedAt;
    await conversation.command('QUIT', 221);
    return { client: conversation.client, greetingMs, acceptedMs };
  } finally {
    conversation.close();
  }
}
