import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ContentPump } from './content/content-pump.ts';
import type { Mail, RunId } from './content/mail.ts';
import type { ClientSide, Conversation } from './conversation.ts';
import { codeOfSocketError, type Failure, type LoadErrorCode } from './load-error.ts';
import type { Pacer } from './pacer.ts';
import { Pop3Fetcher } from './pop3/fetcher.ts';
import { SmtpSender } from './smtp/sender.ts';

/** Where clients connect to. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

export type SessionKind = 'send' | 'fetch';

export interface SessionHandler {
  /** Microseconds since the session began. */
  onConnected(us: number): void;
  onGreeting(us: number, sinceConnectedUs: number): void;
  nextMail(session: Session): Mail | undefined;
  onMail(session: Session, mail: Mail): void;
  onBytes(session: Session, bytes: number): void;
  /** Its connection is closed; undefined: it went as it should. */
  onEnd(session: Session, failure: Failure | undefined): void;
}

export interface SessionInit {
  readonly run: RunId;
  readonly kind: SessionKind;
  /** The client that it is a session of. */
  readonly client: number;
  readonly target: Target;
  /** The certificate of the simulated servers: TLS from the first byte. */
  readonly tlsCaPem: string | undefined;
}

export const TLS_NAME = 'load.invalid';

/** All sockets read into the same bytes: what is read is dealt with before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** One connection of a simulated client, from its beginning to its close. */
export class Session implements ClientSide {
  readonly kind: SessionKind;
  readonly client: number;
  /** When something moved, in sweeps of the generator. */
  lastSweep = 0;
  /** Begun so far, and the size of the last. */
  mails = 0;
  mailBytes = 0;
  readonly startedAtMs = performance.now();
  readonly #handler: SessionHandler;
  readonly #socket: Socket;
  readonly #conversation: Conversation;
  readonly #pump: ContentPump | undefined;
  #bytesSeen = 0;
  #connectedAtMs: number | undefined;
  #greetedAtMs: number | undefined;
  #isOver = false;
  #failure: Failure | undefined;

  constructor(components: { readonly handler: SessionHandler; readonly pacer: Pacer | undefined }, init: SessionInit) {
    const { run, kind, client } = init;
    this.#handler = components.handler;
    this.kind = kind;
    this.client = client;
    this.#socket = this.#open(init);
    this.#conversation = kind === 'send' ? new SmtpSender(this) : new Pop3Fetcher(this, { run });
    this.#pump =
      kind === 'send'
        ? new ContentPump({ socket: this.#socket, pacer: components.pacer, onSent: () => this.#conversation.contentSent() }, { run })
        : undefined;
  }

  /** Bytes that the system has taken or given. */
  get bytesMoved(): number {
    return this.kind === 'send' ? this.#socket.bytesWritten - this.#socket.writableLength : this.#socket.bytesRead;
  }

  /** Whether bytes have moved since this was asked last. */
  hasMoved(): boolean {
    const bytes = this.bytesMoved;
    const before = this.#bytesSeen;
    this.#bytesSeen = bytes;
    return bytes !== before;
  }

  /** Breaks it off. */
  abort(code: LoadErrorCode): void {
    this.onFailure({ code, stage: this.#connectedAtMs === undefined ? 'connect' : this.#conversation.stage });
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes);
  }

  onGreeting(): void {
    this.#greetedAtMs = performance.now();
    const us = (this.#greetedAtMs - this.startedAtMs) * 1000;
    this.#handler.onGreeting(us, (this.#greetedAtMs - (this.#connectedAtMs ?? this.startedAtMs)) * 1000);
  }

  nextMail(): Mail | undefined {
    return this.#handler.nextMail(this);
  }

  sendContent(mail: Mail): void {
    this.#pump?.send(mail);
  }

  onMail(mail: Mail): void {
    this.#handler.onMail(this, mail);
  }

  onDone(): void {
    this.#isOver = true;
    this.#socket.end();
  }

  onFailure(failure: Failure): void {
    if (this.#isOver) {
      // It has said goodbye and is not let go.
      this.#socket.destroy();
      return;
    }
    this.#isOver = true;
    this.#failure = failure;
    this.#socket.destroy();
  }

  #open({ target: { host, port }, tlsCaPem }: SessionInit): Socket {
    const onread = {
      buffer: READ_BUFFER,
      callback: (length: number) => {
        this.#handler.onBytes(this, length);
        if (!this.#isOver) this.#conversation.onBytes(READ_BUFFER, length);
        return true;
      },
    };
    const options = { host, port, noDelay: true, onread };
    // The documentation of tls.connect() has `onread`, too; its types do not.
    const socket = tlsCaPem === undefined ? connect(options) : connectTls({ ...options, ca: tlsCaPem, servername: TLS_NAME });
    if (tlsCaPem !== undefined) socket.setNoDelay(true);
    socket.once('connect', () => this.#onConnected());
    socket.on('error', (error) => this.#onError(error, tlsCaPem !== undefined));
    socket.on('end', () => {
      if (!this.#isOver) this.abort('closed');
    });
    socket.once('close', () => this.#onClose());
    return socket;
  }

  #onConnected(): void {
    this.#connectedAtMs = performance.now();
    this.#handler.onConnected((this.#connectedAtMs - this.startedAtMs) * 1000);
  }

  #onError(error: NodeJS.ErrnoException, isTls: boolean): void {
    const isConnected = this.#connectedAtMs !== undefined;
    const isHandshake = isTls && isConnected && this.#greetedAtMs === undefined && error.syscall === undefined;
    this.abort(isHandshake ? 'tls' : codeOfSocketError(error, isConnected));
  }

  #onClose(): void {
    if (!this.#isOver) this.abort('closed');
    this.#pump?.close();
    this.#handler.onEnd(this, this.#failure);
  }
}
