import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SmtpWireTarget {
  readonly host: string;
  readonly port: number;
  /** An address of 127.0.0.0/8 to come from. */
  readonly localAddress?: string;
  /** The longest silence that is borne; default 20 s. */
  readonly timeoutMs?: number;
}

/** How the server's side ended: FIN, RST, our own time-out, or another error of the socket. */
export type WireEnd = 'end' | 'ECONNRESET' | 'silence' | (string & {});

/** There will be no (further) reply: the conversation broke off. */
class WireBroken extends Error {
  override name = 'WireBroken';
  readonly end: WireEnd;

  constructor(end: WireEnd) {
    super(`the conversation broke off: ${end}`);
    this.end = end;
  }
}

const DEFAULT_TIMEOUT_MS = 20_000;

/** An SMTP client by hand: every byte that is sent, and when, is the test's. POP3 and IMAP greetings can be read, too. */
export class SmtpWire {
  /** All that the server has said. */
  received = '';
  bytesSent = 0;
  /** Resolves when the server's side has ended, whoever began. */
  readonly ended: Promise<WireEnd>;
  readonly localPort: number;
  readonly #socket: Socket;
  #read = 0;
  #end: WireEnd | undefined;
  #wake: () => void = () => undefined;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.localPort = socket.localPort ?? 0;
    const { promise, resolve } = Promise.withResolvers<WireEnd>();
    this.ended = promise;
    const end = (how: WireEnd): void => {
      this.#end ??= how;
      resolve(this.#end);
      this.#wake();
    };
    socket.setNoDelay(true);
    socket.setTimeout(timeoutMs, () => {
      end('silence');
      socket.destroy();
    });
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => end('end'));
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.on('close', () => end('closed'));
  }

  /** The next line without its end, of a reply of several lines the last one. @throws {WireBroken} */
  async reply(): Promise<string> {
    for (;;) {
      const line = this.#line();
      if (line !== undefined && !/^\d{3}-/.test(line)) return line;
      if (line !== undefined) continue;
      if (this.#end !== undefined) throw new WireBroken(this.#end);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** @throws {WireBroken} */
  command(line: string): Promise<string> {
    this.write(Buffer.from(`${line}\r\n`));
    return this.reply();
  }

  write(bytes: Buffer): void {
    this.bytesSent += bytes.length;
    this.#socket.write(bytes);
  }

  /** Resolves when the kernel has taken what was written. */
  async flushed(): Promise<void> {
    while (this.#socket.writableLength > 0 && this.#end === undefined) await sleep(1);
  }

  /** FIN: nothing more will be sent. */
  finish(): void {
    this.#socket.end();
  }

  /** RST, as a client that crashes, or whose machine does. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  #line(): string | undefined {
    const end = this.received.indexOf('\r\n', this.#read);
    if (end === -1) return undefined;
    const line = this.received.slice(this.#read, end);
    this.#read = end + 2;
    return line;
  }
}

/** @throws the error of the socket when nobody accepts */
export async function connectSmtpWire(target: SmtpWireTarget): Promise<SmtpWire> {
  const { host, port, localAddress, timeoutMs = DEFAULT_TIMEOUT_MS } = target;
  const socket = connect({ host, port, allowHalfOpen: true, ...(localAddress === undefined ? {} : { localAddress }) });
  await once(socket, 'connect');
  return new SmtpWire(socket, timeoutMs);
}

/** How far a delivery has come; `content` is somewhere within the message, `dot` all of it sent, `replied` answered. */
export type Stage = 'connected' | 'greeted' | 'mail' | 'rcpt' | 'data' | 'content' | 'dot' | 'replied';

export interface Envelope {
  readonly from: string;
  readonly to: string;
  /** What goes over the line after 354: dots stuffed, the final dot included. */
  readonly content: Buffer;
}

/** Something that happens in the middle of a delivery. */
export interface Interruption {
  readonly at: Stage;
  /** With `content`: after so many bytes of it. */
  readonly offset?: number;
  readonly act: (wire: SmtpWire) => Promise<void> | void;
}

export interface Delivery {
  /** The reply to the final dot, or the refusal before it; undefined when the conversation broke off. */
  readonly reply: string | undefined;
  readonly accepted: boolean;
  /** When the server greeted, on the clock of performance.now(). */
  readonly greetedAtMs: number | undefined;
  readonly end: WireEnd | undefined;
}

/** Delivers one message over one connection as a mail client does: one command at a time, no retry. */
export async function deliver(target: SmtpWireTarget, envelope: Envelope, interruption?: Interruption): Promise<Delivery> {
  let greetedAtMs: number | undefined;
  let wire: SmtpWire | undefined;
  try {
    wire = await connectSmtpWire(target);
    const reply = await converse(wire, envelope, interruption, () => {
      greetedAtMs = performance.now();
    });
    return { reply, accepted: reply.startsWith('250'), greetedAtMs, end: undefined };
  } catch (error) {
    const end = error instanceof WireBroken ? error.end : ((error as NodeJS.ErrnoException).code ?? 'unknown');
    if (end === 'unknown') throw error;
    return { reply: undefined, accepted: false, greetedAtMs, end };
  } finally {
    wire?.close();
  }
}

async function converse(
  wire: SmtpWire,
  { from, to, content }: Envelope,
  interruption: Interruption | undefined,
  onGreeting: () => void,
): Promise<string> {
  const reached = async (stage: Stage): Promise<void> => {
    if (interruption?.at === stage) await interruption.act(wire);
  };
  await reached('connected');
  const greeting = await wire.reply();
  if (!greeting.startsWith('220')) return greeting;
  onGreeting();
  await reached('greeted');
  const steps = [
    [`EHLO client.example.com`, '250', undefined],
    [`MAIL FROM:<${from}>`, '250', 'mail'],
    [`RCPT TO:<${to}>`, '250', 'rcpt'],
    ['DATA', '354', 'data'],
  ] as const;
  for (const [line, wanted, stage] of steps) {
    const reply = await wire.command(line);
    if (!reply.startsWith(wanted)) return reply;
    if (stage !== undefined) await reached(stage);
  }
  const offset = interruption?.at === 'content' ? (interruption.offset ?? 0) : content.length;
  wire.write(content.subarray(0, offset));
  await reached('content');
  wire.write(content.subarray(offset));
  await reached('dot');
  const reply = await wire.reply();
  await reached('replied');
  // The mail is delivered; what becomes of the farewell is nobody's concern.
  if (reply.startsWith('250')) await wire.command('QUIT').catch(() => undefined);
  return reply;
}

