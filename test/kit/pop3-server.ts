import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { closeServer, listenOn } from './loopback-listen.ts';
import type { Mailbox, StoredMail } from './mailbox.ts';
import { endsWithCrlf, stuffDots } from './mails.ts';

export interface Pop3ServerInit {
  mailbox: Mailbox;
  /** Name to password; all of them see the same mailbox. */
  users: Readonly<Record<string, string>>;
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** Default 0, a free one. */
  port?: number;
}

/** RFC 2449 section 4: a command line has at most 255 octets. */
const MAX_COMMAND_BYTES = 255;
const CAPABILITIES = ['USER', 'UIDL', 'TOP', 'PIPELINING', 'RESP-CODES', 'IMPLEMENTATION Sekisho-test-kit'];
const END_OF_LINES = '.\r\n';

/** POP3 (RFC 1939, CAPA of RFC 2449) over a mailbox in memory. It does not lock: sessions see it as it was at PASS. */
export class Pop3Server {
  readonly address: string;
  readonly port: number;
  #server: Server;
  #sockets: Set<Socket>;

  constructor(components: { server: Server; sockets: Set<Socket> }, init: { address: string; port: number }) {
    this.address = init.address;
    this.port = init.port;
    this.#server = components.server;
    this.#sockets = components.sockets;
  }

  /** Breaks what is open and stops listening. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

/**
 * Starts the POP3 server.
 *
 * @throws an error with code EADDRINUSE when the port given is taken
 */
export async function startPop3Server(init: Pop3ServerInit): Promise<Pop3Server> {
  const address = init.address ?? '127.0.0.1';
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(socket, new Pop3Session(init));
  });
  const port = await listenOn(server, address, init.port ?? 0);
  return new Pop3Server({ server, sockets }, { address, port });
}

function serve(socket: Socket, session: Pop3Session): void {
  let pending = '';
  socket.on('error', () => socket.destroy());
  socket.write('+OK Sekisho test POP3 server\r\n');
  socket.on('data', (chunk: Buffer) => {
    pending += chunk.toString('latin1');
    // Several commands in one segment are answered in order (PIPELINING).
    for (let end = pending.indexOf('\r\n'); end !== -1; end = pending.indexOf('\r\n')) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 2);
      socket.write(session.answer(line));
      if (session.ended) {
        socket.end();
        return;
      }
    }
    if (pending.length > MAX_COMMAND_BYTES) socket.end('-ERR line too long\r\n');
  });
}

/** One conversation: commands in, answers out, the state of RFC 1939 between them. */
class Pop3Session {
  ended = false;
  #init: Pop3ServerInit;
  #user = '';
  #mails: StoredMail[] | undefined;
  #deleted = new Set<string>();

  constructor(init: Pop3ServerInit) {
    this.#init = init;
  }

  answer(line: string): Buffer {
    const [verb = '', ...args] = line.split(' ');
    const command = verb.toUpperCase();
    if (command === 'CAPA') return linesAnswer('capabilities', CAPABILITIES);
    if (command === 'QUIT') return this.#quit();
    if (this.#mails === undefined) return this.#authorize(command, line);
    return this.#transact(command, args, this.#mails);
  }

  #quit(): Buffer {
    this.ended = true;
    this.#init.mailbox.remove(this.#deleted);
    return ok('bye');
  }

  #authorize(command: string, line: string): Buffer {
    const argument = line.slice(command.length + 1);
    if (command === 'USER') {
      this.#user = argument;
      return ok('password?');
    }
    if (command !== 'PASS') return err('not logged in');
    if (this.#user === '' || this.#init.users[this.#user] !== argument) return err('[AUTH] wrong name or password');
    this.#mails = this.#init.mailbox.list();
    return ok(`${this.#mails.length} messages`);
  }

  #transact(command: string, args: string[], mails: StoredMail[]): Buffer {
    switch (command) {
      case 'NOOP':
        return ok('');
      case 'RSET':
        this.#deleted.clear();
        return ok('nothing deleted');
      case 'STAT': {
        const live = mails.filter((mail) => !this.#deleted.has(mail.uid));
        return ok(`${live.length} ${live.reduce((octets, mail) => octets + wireForm(mail.raw).length, 0)}`);
      }
      case 'LIST':
        return this.#listing(args[0], mails, (mail) => String(wireForm(mail.raw).length));
      case 'UIDL':
        return this.#listing(args[0], mails, (mail) => mail.uid);
      case 'RETR':
      case 'TOP':
      case 'DELE':
        return this.#single(command, args, mails);
      default:
        return err('unknown command');
    }
  }

  #single(command: 'RETR' | 'TOP' | 'DELE', args: string[], mails: StoredMail[]): Buffer {
    const mail = this.#find(args[0], mails);
    if (mail === undefined) return err('no such message');
    if (command === 'DELE') {
      this.#deleted.add(mail.uid);
      return ok('deleted');
    }
    const whole = wireForm(mail.raw);
    if (command === 'RETR') return contentAnswer(whole);
    const count = /^\d+$/.test(args[1] ?? '') ? Number(args[1]) : undefined;
    return count === undefined ? err('TOP needs a number of lines') : contentAnswer(topOf(whole, count));
  }

  #listing(number: string | undefined, mails: StoredMail[], value: (mail: StoredMail) => string): Buffer {
    if (number !== undefined) {
      const mail = this.#find(number, mails);
      return mail === undefined ? err('no such message') : ok(`${number} ${value(mail)}`);
    }
    const rows = mails.map((mail, index) => (this.#deleted.has(mail.uid) ? '' : `${index + 1} ${value(mail)}`));
    return linesAnswer('', rows.filter((row) => row !== ''));
  }

  #find(number: string | undefined, mails: StoredMail[]): StoredMail | undefined {
    if (number === undefined || !/^[1-9]\d*$/.test(number)) return undefined;
    const mail = mails[Number(number) - 1];
    return mail === undefined || this.#deleted.has(mail.uid) ? undefined : mail;
  }
}

/** A multi-line answer consists of whole lines: a message without an end of its last line is given one. */
function wireForm(raw: Buffer): Buffer {
  return raw.length === 0 || endsWithCrlf(raw) ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
}

/** The headers, the empty line, and that many lines of the body. */
function topOf(whole: Buffer, bodyLines: number): Buffer {
  const headerEnd = whole.indexOf('\r\n\r\n');
  if (headerEnd === -1) return whole;
  let end = headerEnd + 4;
  for (let line = 0; line < bodyLines && end < whole.length; line += 1) end = whole.indexOf('\r\n', end) + 2;
  return whole.subarray(0, end);
}

function contentAnswer(content: Buffer): Buffer {
  return Buffer.concat([ok(`${content.length} octets`), stuffDots(content), Buffer.from(END_OF_LINES)]);
}

function linesAnswer(text: string, rows: readonly string[]): Buffer {
  return Buffer.concat([ok(text), Buffer.from(rows.map((row) => `${row}\r\n`).join('')), Buffer.from(END_OF_LINES)]);
}

function ok(text: string): Buffer {
  return Buffer.from(text === '' ? '+OK\r\n' : `+OK ${text}\r\n`);
}

function err(text: string): Buffer {
  return Buffer.from(`-ERR ${text}\r\n`);
}
