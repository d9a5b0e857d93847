import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import { closeServer, listenOn } from './loopback-listen.ts';
import type { Mailbox } from './mailbox.ts';
import { destinationTls } from './tls.ts';

export interface LedgerMessage {
  /** The content between DATA and the final dot, dots un-stuffed. */
  raw: Buffer;
  /** Of `raw`, hexadecimal. */
  sha256: string;
  /** The reverse-path, empty for the null sender. */
  from: string;
  to: string[];
  receivedAt: Date;
  /** Over TLS, implicit or after STARTTLS. */
  secure: boolean;
  /** Who authenticated, if anybody did. */
  user: string | undefined;
  clientAddress: string;
}

/** Change it at any time; it holds for what begins after the change. */
export interface LedgerBehaviour {
  greetingDelayMs: number;
  /** The message is stored before the delay: a client that gives up meanwhile leaves it delivered. */
  finalReplyDelayMs: number;
  /** Refuse with this reply instead; a message refused at the final reply is not stored. */
  refuse: { at: 'greeting' | 'mail' | 'rcpt' | 'final-reply'; code: number; text: string } | undefined;
}

export interface SmtpLedgerInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** Default 0, a free one. */
  port?: number;
  /** Default none; `starttls` offers it, `implicit` begins with the handshake. */
  tls?: 'none' | 'starttls' | 'implicit';
  /** Name to password: offers AUTH PLAIN and LOGIN, with and without TLS. Without users AUTH is not offered. */
  users?: Readonly<Record<string, string>>;
  /** Refuse MAIL before AUTH; default false. */
  requireAuth?: boolean;
  /** Every message stored is delivered into it as well, whoever it is for. */
  mailbox?: Mailbox;
}

const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const SOCKET_TIMEOUT_MS = 300_000;

/**
 * A fast SMTP destination in this process that remembers every message it said 250 to, and stores it before it says so:
 * what a client believes delivered is in `messages`. The reverse does not hold; a client may vanish before the 250.
 *
 * smtp-server ends lines of commands at a bare LF too, and its DATA stream turns some exotic sequences into others
 * (`LF . . CR LF` loses a dot, as after CRLF). Messages whose lines end with CRLF arrive byte for byte; a test of bare
 * CR or LF compares with Postfix instead. It also waits 100 ms before its greeting, for clients that talk too soon.
 */
export class SmtpLedger {
  readonly address: string;
  readonly port: number;
  readonly messages: LedgerMessage[] = [];
  readonly behaviour: LedgerBehaviour;
  #server: SMTPServer;
  #sockets: Set<Socket>;
  #traffic: { connections: number };

  constructor(components: LedgerComponents, init: { address: string; port: number }) {
    this.address = init.address;
    this.port = init.port;
    this.messages = components.messages;
    this.behaviour = components.behaviour;
    this.#server = components.server;
    this.#sockets = components.sockets;
    this.#traffic = components.traffic;
  }

  /** TCP connections accepted since the start. */
  get connections(): number {
    return this.#traffic.connections;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** SHA-256 of every message, in order of arrival. */
  get hashes(): string[] {
    return this.messages.map((message) => message.sha256);
  }

  /** Resolves once that many messages are stored; rejects after `timeoutMs`, naming how many there are. */
  async waitForMessages(count: number, timeoutMs = 10_000): Promise<LedgerMessage[]> {
    const deadline = performance.now() + timeoutMs;
    while (this.messages.length < count) {
      if (performance.now() > deadline) {
        throw new Error(`${this.messages.length} of ${count} messages stored after ${timeoutMs} ms`);
      }
      await sleep(5);
    }
    return this.messages;
  }

  /** Breaks what is open and stops listening. */
  async stop(): Promise<void> {
    const closed = closeServer(this.#server.server);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

interface LedgerComponents {
  server: SMTPServer;
  messages: LedgerMessage[];
  behaviour: LedgerBehaviour;
  sockets: Set<Socket>;
  traffic: { connections: number };
}

/**
 * Starts the SMTP destination: PIPELINING, 8BITMIME, SMTPUTF8, SIZE 64 MiB, and by `init` STARTTLS or implicit TLS, AUTH.
 *
 * @throws an error with code EADDRINUSE when the port given is taken
 */
export async function startSmtpLedger(init: SmtpLedgerInit = {}): Promise<SmtpLedger> {
  const address = init.address ?? '127.0.0.1';
  const messages: LedgerMessage[] = [];
  const behaviour: LedgerBehaviour = { greetingDelayMs: 0, finalReplyDelayMs: 0, refuse: undefined };
  const server = new SMTPServer({ ...staticOptions(init), ...handlers({ messages, behaviour }, init) });
  // A client that breaks off is what the tests are about, not an error of this server.
  server.on('error', () => undefined);
  const sockets = new Set<Socket>();
  const traffic = { connections: 0 };
  server.server.on('connection', (socket: Socket) => {
    traffic.connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const port = await listenOn(server.server, address, init.port ?? 0);
  return new SmtpLedger({ server, messages, behaviour, sockets, traffic }, { address, port });
}

function staticOptions(init: SmtpLedgerInit): SMTPServerOptions {
  const { cert, key } = destinationTls();
  const disabledCommands: string[] = [];
  if (init.tls !== 'starttls') disabledCommands.push('STARTTLS');
  if (init.users === undefined) disabledCommands.push('AUTH');
  return {
    cert,
    key,
    secure: init.tls === 'implicit',
    disabledCommands,
    authMethods: ['PLAIN', 'LOGIN'],
    authOptional: init.requireAuth !== true,
    allowInsecureAuth: true,
    hideENHANCEDSTATUSCODES: false,
    disableReverseLookup: true,
    // Its default of ten commands cuts off a client that sends several mails over one connection without AUTH.
    maxAllowedUnauthenticatedCommands: false,
    size: MAX_MESSAGE_BYTES,
    socketTimeout: SOCKET_TIMEOUT_MS,
    name: 'ledger.test',
    banner: 'Sekisho test destination',
    logger: false,
  };
}

function handlers(components: Pick<LedgerComponents, 'messages' | 'behaviour'>, init: SmtpLedgerInit): SMTPServerOptions {
  const { messages, behaviour } = components;
  const refusal = (at: 'greeting' | 'mail' | 'rcpt' | 'final-reply'): Error | undefined =>
    behaviour.refuse?.at === at ? smtpError(behaviour.refuse) : undefined;
  return {
    onConnect: (_session, callback) => {
      void sleep(behaviour.greetingDelayMs).then(() => callback(refusal('greeting')));
    },
    onAuth: ({ username, password }, _session, callback) => {
      const known = username !== undefined && init.users?.[username] === password;
      if (known) callback(null, { user: username });
      else callback(smtpError({ code: 535, text: '5.7.8 Authentication credentials invalid' }));
    },
    onMailFrom: (_address, _session, callback) => callback(refusal('mail')),
    onRcptTo: (_address, _session, callback) => callback(refusal('rcpt')),
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      // The client went before the final dot: nothing was promised, nothing is stored.
      stream.on('error', () => undefined);
      stream.on('end', () => {
        const refused = stream.sizeExceeded ? smtpError({ code: 552, text: '5.3.4 too big' }) : refusal('final-reply');
        if (refused !== undefined) return callback(refused);
        const message = describe(Buffer.concat(chunks), session);
        messages.push(message);
        init.mailbox?.deliver(message.raw);
        void sleep(behaviour.finalReplyDelayMs).then(() => callback(null, `2.0.0 stored as ${messages.length}`));
      });
    },
  };
}

function describe(raw: Buffer, session: SMTPServerSession): LedgerMessage {
  const { mailFrom, rcptTo } = session.envelope;
  return {
    raw,
    sha256: createHash('sha256').update(raw).digest('hex'),
    from: mailFrom === false ? '' : mailFrom.address,
    to: rcptTo.map((recipient) => recipient.address),
    receivedAt: new Date(),
    secure: session.secure,
    user: typeof session.user === 'string' ? session.user : undefined,
    clientAddress: session.remoteAddress,
  };
}

function smtpError(reply: { code: number; text: string }): Error {
  return Object.assign(new Error(reply.text), { responseCode: reply.code });
}
