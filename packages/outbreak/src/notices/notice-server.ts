import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Detection } from '@sekisho/store';
import type { Logger, Metrics } from '@sekisho/telemetry';
import { SMTPServer, type SMTPServerAuthentication, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { type Connection, Connections, isTrusted, peerOf } from './connections.ts';
import { KeptNotices } from './kept-notices.ts';
import { Logins, LoginsBusyError } from './logins.ts';
import { NoticeDesk } from './notice-desk.ts';
import { noticeMetrics } from './notice-metrics.ts';
import { NoticeTally } from './notice-tally.ts';
import { BUILT_IN_PATTERNS } from './patterns/built-in-patterns.ts';
import { CompiledPattern } from './patterns/pattern.ts';
import { RateLimit } from './rate-limit.ts';
import { RecordBatches } from './record-batches.ts';
import type { NoticeSettings } from './settings.ts';
import { mayAskForPassword, Networks, strangerOf } from './sources.ts';

/** Silence within a conversation. */
const IDLE_MS = 60_000;
/** A command line; RFC 5321 4.5.3.1.4 has 512, AUTH and MAIL with parameters may be longer. */
export const MAX_COMMAND_BYTES = 4096;
/** RFC 5321 4.5.3.1.8. */
const MAX_RECIPIENTS = 100;
/** What is read, and thrown away, of a notice that is too large, so that its sender hears the 552 and does not come again. */
const MAX_OVERSIZE_BYTES = 64 * 1024 * 1024;
/** Wrong passwords of one stranger in a minute; from then on no password is looked at. */
const MAX_WRONG_LOGINS = 5;
/** What a stop waits for notices that are being recorded. */
const CLOSE_WITHIN_MS = 5000;
/** Unsent bytes after our end. */
const LINGER_MS = 1000;
const SWEEP_MS = 250;
const RESCAN_EVERY_MS = 60_000;

const NAME = 'sekisho';
/** Nothing here serves them; two of them are jokes, two would let a client say who it is. */
const DISABLED = ['WIZ', 'SHELL', 'KILL', 'XCLIENT', 'XFORWARD', 'VRFY', 'HELP'];

export interface NoticeServerComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Resolves once they are on the disk of the store; the same ones may come again. */
  readonly record: (detections: readonly Detection[]) => Promise<void>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

export interface NoticeServer {
  readonly port: number;
  /** Takes no more, waits for what is being recorded, and closes all connections. */
  close(): Promise<void>;
}

/**
 * Takes in the virus notices of other gateways by SMTP. 250 is said only for a notice that was recorded or kept.
 * Rejects with TemplateError for a pattern that cannot be used, and with the operating system's error when the port or the
 * directory cannot be had.
 */
export async function startNoticeServer(components: NoticeServerComponents, init: NoticeSettings): Promise<NoticeServer> {
  const { log, metrics, record, now = Date.now } = components;
  const all = [...init.patterns, ...(init.builtInPatterns ? BUILT_IN_PATTERNS : [])];
  const patterns = all.map((pattern) => new CompiledPattern(pattern));
  const kept = await KeptNotices.open({ now }, init.kept);
  const tally = new NoticeTally({ log, metrics: noticeMetrics(metrics, { kept: () => kept.count }), now });
  const desk = new NoticeDesk({ log, tally, kept, batches: new RecordBatches({ record }) }, { patterns });
  const counter = new NoticeCounter({ log, tally, desk, kept, now }, init);
  await counter.listen();
  return counter;
}

interface NoticeCounterComponents {
  readonly log: Logger;
  readonly tally: NoticeTally;
  readonly desk: NoticeDesk;
  readonly kept: KeptNotices;
  readonly now: () => number;
}

/** A reply that refuses. */
class Refusal extends Error {
  readonly responseCode: number;

  constructor(responseCode: number, message: string) {
    super(message);
    this.responseCode = responseCode;
  }
}

/** Where gateways come to: who may bring a notice, how often and how large. */
class NoticeCounter implements NoticeServer {
  readonly #components: NoticeCounterComponents;
  readonly #init: NoticeSettings;
  readonly #allowed: Networks;
  readonly #logins: Logins;
  readonly #connections: Connections;
  readonly #notices: RateLimit;
  readonly #wrongLogins: RateLimit;
  readonly #listener: Server;
  readonly #smtp: SMTPServer;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(components: NoticeCounterComponents, init: NoticeSettings) {
    const { now } = components;
    this.#components = components;
    this.#init = init;
    this.#allowed = new Networks(init.allow);
    this.#logins = new Logins({ users: init.users });
    this.#connections = new Connections({ now });
    this.#notices = new RateLimit({ now }, { perMinute: init.maxPerMinute });
    this.#wrongLogins = new RateLimit({ now }, { perMinute: MAX_WRONG_LOGINS });
    this.#smtp = this.#createSmtp();
    this.#listener = createServer((socket) => this.#accept(socket));
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#listener.once('error', reject);
    this.#listener.listen(this.#init.listen.port, this.#init.listen.host, resolve);
    await promise;
    this.#timers.push(setInterval(() => this.#sweep(), SWEEP_MS), setInterval(() => void this.#rescan(), RESCAN_EVERY_MS));
    const { log } = this.#components;
    log.info({ event: 'notices_listening', host: this.#init.listen.host, port: this.port }, 'virus notices are taken in');
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#listener.close(() => resolve());
    // Refuses the commands that still come.
    this.#smtp.close();
    const { promise: late, resolve: beLate } = Promise.withResolvers<void>();
    const timer = setTimeout(beLate, CLOSE_WITHIN_MS);
    await Promise.race([Promise.allSettled(this.#underWay), late]);
    clearTimeout(timer);
    // The answers to what was recorded are written in this turn of the loop.
    await new Promise((done) => setImmediate(done));
    for (const { id } of this.#connections.open) this.#hangUp(id, '4.3.2 shutting down');
    const open = this.#connections.open.map(({ socket }) => socket);
    for (const socket of open) socket.destroySoon();
    // Who does not read what was written keeps nobody from stopping.
    const linger = setTimeout(() => open.forEach((socket) => socket.destroy()), LINGER_MS);
    await promise;
    clearTimeout(linger);
  }

  #createSmtp(): SMTPServer {
    const { tls, maxBytes } = this.#init;
    const smtp = new SMTPServer({
      name: NAME,
      banner: 'virus notices',
      logger: false,
      size: maxBytes,
      ...(tls === undefined ? {} : { key: tls.keyPem, cert: tls.certPem, minVersion: 'TLSv1.2' }),
      // Whether somebody has to log in, and may without TLS, depends on where they are.
      authOptional: true,
      allowInsecureAuth: true,
      authMethods: ['PLAIN', 'LOGIN'],
      disableReverseLookup: true,
      // Gateways write odd addresses into the envelope, and nothing is done with them.
      lenientAddressParsing: true,
      maxRecipients: MAX_RECIPIENTS,
      maxCommandLength: MAX_COMMAND_BYTES,
      socketTimeout: IDLE_MS,
      onConnect: (session, callback) => {
        session.disabledCommands = this.#disabledFor(session);
        callback();
      },
      onSecure: (_socket, session, callback) => {
        // RFC 3207 4.2: what was said before counts no more.
        const connection = this.#connections.get(session.id);
        if (connection !== undefined) connection.isLoggedIn = false;
        session.disabledCommands = this.#disabledFor(session);
        callback();
      },
      onAuth: (auth, session, callback) => {
        this.#logIn(auth, session).then(
          (user) => callback(null, { user }),
          (error: unknown) => callback(error as Error),
        );
      },
      onMailFrom: (_address, session, callback) => callback(this.#refusalOf(session)),
      onData: (stream, session, callback) => {
        const done = this.#receive(stream, session).then(
          (text) => callback(null, text),
          (error: unknown) => callback(error as Error),
        );
        this.#underWay.add(done);
        void done.finally(() => this.#underWay.delete(done));
      },
      onClose: ({ error = '' }) => {
        // A size that is announced is refused before anybody here is asked.
        if (error.startsWith('552 Error')) this.#components.tally.count('refused_size', {});
      },
    });
    // Errors of connections, each of which is closed by then.
    smtp.on('error', (error) => this.#components.log.debug({ event: 'notice_connection_failed', err: error }, 'a connection of a gateway broke'));
    return smtp;
  }

  #accept(socket: Socket): void {
    // From here on: a reset that comes before the server of the library listens must not end the process.
    socket.on('error', () => socket.destroy());
    const { tally } = this.#components;
    const address = peerOf(socket);
    if (address === undefined) return void socket.destroy();
    const isListed = this.#allowed.has(address);
    if (!isListed && this.#init.users.length === 0) {
      tally.count('refused_source', { address });
      return turnAway(socket, `554 5.7.1 ${NAME} takes no mail from you`);
    }
    const connection = this.#connections.admit(socket, address, isListed);
    if (connection === undefined) {
      tally.count('refused_rate', { address, cause: 'too many connections' });
      return turnAway(socket, `421 4.7.0 ${NAME} too many connections, come again`);
    }
    this.#smtp.connect(socket, { id: connection.id });
  }

  #disabledFor({ id, secure }: SMTPServerSession): string[] {
    const connection = this.#connections.get(id);
    const mayLogIn = this.#init.users.length > 0 && connection !== undefined && mayAskForPassword(connection.address, secure);
    return [...DISABLED, ...(this.#init.tls === undefined ? ['STARTTLS'] : []), ...(mayLogIn ? [] : ['AUTH'])];
  }

  /** The name of who has logged in. @throws Refusal */
  async #logIn({ username = '', password }: SMTPServerAuthentication, { id }: SMTPServerSession): Promise<string> {
    const connection = this.#connectionOf(id);
    const stranger = strangerOf(connection.address);
    const { tally } = this.#components;
    if (!this.#wrongLogins.allows(stranger)) {
      tally.count('refused_auth', { address: connection.address, cause: 'too many wrong passwords' });
      throw new Refusal(421, '4.7.0 too many wrong passwords, come again later');
    }
    try {
      if (await this.#logins.check(username, password ?? '')) {
        connection.isLoggedIn = true;
        this.#connections.extend(connection);
        return username;
      }
    } catch (error) {
      if (!(error instanceof LoginsBusyError)) throw error;
      throw new Refusal(454, '4.7.0 too many logins at once, come again');
    }
    this.#wrongLogins.take(stranger);
    tally.count('refused_auth', { address: connection.address, cause: 'wrong name or password' });
    throw new Refusal(535, '5.7.8 wrong name or password');
  }

  /** Why this session may bring no notice now. */
  #refusalOf({ id }: SMTPServerSession): Refusal | null {
    const connection = this.#connectionOf(id);
    const { tally } = this.#components;
    if (!isTrusted(connection)) {
      tally.count('refused_source', { address: connection.address });
      return new Refusal(554, '5.7.1 log in first');
    }
    if (this.#notices.take(connection.address)) return null;
    tally.count('refused_rate', { address: connection.address, cause: 'too many notices a minute' });
    return new Refusal(450, '4.7.1 too many notices, send it again later');
  }

  /** The text of the 250. @throws Refusal */
  async #receive(stream: SMTPServerDataStream, { id }: SMTPServerSession): Promise<string> {
    const connection = this.#connectionOf(id);
    const { desk, tally, now } = this.#components;
    const bytes = await this.#collect(stream, id);
    if (bytes === undefined) {
      tally.count('refused_size', { address: connection.address });
      throw new Refusal(552, `5.3.4 a notice has at most ${this.#init.maxBytes} bytes`);
    }
    this.#connections.extend(connection);
    const { code, text } = await desk.take(bytes, { source: connection.address, at: now() });
    if (code !== 250) throw new Refusal(code, text);
    return text;
  }

  /** The whole notice; undefined when it is too large. Rejects when the gateway goes away before its end. */
  async #collect(stream: SMTPServerDataStream, id: string): Promise<Buffer | undefined> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes <= this.#init.maxBytes) chunks.push(chunk);
      else chunks.length = 0;
      if (bytes > this.#init.maxBytes + MAX_OVERSIZE_BYTES) {
        this.#hangUp(id, '4.3.4 this is no notice');
        return undefined;
      }
    }
    return bytes > this.#init.maxBytes ? undefined : Buffer.concat(chunks);
  }

  #connectionOf(id: string): Connection {
    const connection = this.#connections.get(id);
    // It was closed while its last command was being looked at.
    if (connection === undefined) throw new Refusal(421, '4.3.2 the connection is closed');
    return connection;
  }

  #sweep(): void {
    for (const { id } of this.#connections.overdue()) this.#hangUp(id, '4.4.2 too slow, come again');
  }

  #hangUp(id: string, text: string): void {
    for (const connection of this.#smtp.connections) if (connection.id === id) connection.send(421, text);
  }

  async #rescan(): Promise<void> {
    const { kept, log } = this.#components;
    try {
      await kept.rescan();
    } catch (error) {
      log.error({ event: 'notices_unreadable', err: error }, 'the directory of kept notices cannot be read; see to it, or notices that no pattern fits are refused');
    }
  }
}

/** Says why in the place of a greeting (RFC 5321 3.1), and closes. */
function turnAway(socket: Socket, reply: string): void {
  socket.end(`${reply}\r\n`, () => socket.destroySoon());
}
