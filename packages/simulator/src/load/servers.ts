import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ContentPump } from './content/content-pump.ts';
import type { ContentVerdict } from './content/content-check.ts';
import type { Mail, RunId } from './content/mail.ts';
import type { Ledger } from './figures/ledger.ts';
import type { Pacer } from './pacer.ts';
import { Pop3Mailbox, POP3_GREETING, type MailboxSide } from './pop3/mailbox.ts';
import type { SelfSigned } from './self-signed.ts';
import { SmtpSink, SMTP_GREETING, type SinkSide } from './smtp/sink.ts';

const BACKLOG = 4096;

/** A simulated mail server, as every load process runs it. */
export interface ServerInit {
  readonly protocol: 'smtp' | 'pop3';
  readonly host: string;
  /** 0: any free one. Any other is shared by all load processes; the kernel deals connections out. */
  readonly port: number;
}

export interface ServersComponents {
  readonly ledger: Ledger;
  readonly pacer: Pacer | undefined;
  readonly onBytesStored: (bytes: number) => void;
}

export interface ServersInit {
  readonly run: RunId;
  /** How many load processes there are. */
  readonly workers: number;
  readonly tls: SelfSigned | undefined;
}

/** The simulated mail servers of a load process. */
export class Servers {
  readonly #components: ServersComponents;
  readonly #init: ServersInit;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(components: ServersComponents, init: ServersInit) {
    this.#components = components;
    this.#init = init;
  }

  /** Binds a server; resolves with its port, rejects when it cannot be had. */
  async listen({ protocol, host, port }: ServerInit): Promise<number> {
    const { tls, workers } = this.#init;
    const accept = (socket: Socket): void => this.#accept(socket, protocol);
    const server =
      tls === undefined
        ? createServer({ noDelay: true }, accept)
        : createTlsServer({ noDelay: true, cert: tls.certPem, key: tls.keyPem }, accept);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(`a simulated mail server cannot listen at ${host}, port ${port}: ${error.code ?? error.message}`)),
    );
    // A client that leaves in the middle of a handshake is counted by the client.
    server.on('tlsClientError', () => {});
    // Not with one process: another run at the same port would get a share of its mail.
    server.listen({ host, port, backlog: BACKLOG, reusePort: port !== 0 && workers > 1 }, resolve);
    await promise;
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(socket: Socket, protocol: ServerInit['protocol']): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
    if (protocol === 'smtp') this.#serveSmtp(socket);
    else this.#servePop3(socket);
  }

  #serveSmtp(socket: Socket): void {
    const { onBytesStored } = this.#components;
    const side: SinkSide = {
      write: (bytes) => void socket.write(bytes),
      end: () => void socket.end(),
      onContent: (verdict) => this.#store(verdict),
      onContentBytes: onBytesStored,
    };
    const sink = new SmtpSink(side, this.#init);
    socket.on('data', (chunk: Buffer) => unlessNonsense(socket, () => sink.onBytes(chunk)));
    socket.write(SMTP_GREETING);
  }

  #servePop3(socket: Socket): void {
    const { ledger, pacer } = this.#components;
    const pump = new ContentPump({ socket, pacer, onSent: () => (ledger.served += 1) }, this.#init);
    const side: MailboxSide = {
      write: (bytes) => void socket.write(bytes),
      end: () => void socket.end(),
      sendContent: (mail: Mail) => pump.send(mail),
    };
    const mailbox = new Pop3Mailbox(side);
    socket.once('close', () => pump.close());
    socket.on('data', (chunk: Buffer) => {
      // A reply and the beginning of a mail are one segment.
      socket.cork();
      unlessNonsense(socket, () => mailbox.onBytes(chunk));
      socket.uncork();
    });
    socket.write(POP3_GREETING);
  }

  #store(verdict: ContentVerdict): boolean {
    const { ledger } = this.#components;
    if (verdict.kind === 'intact' && verdict.mail.worker < this.#init.workers) {
      try {
        ledger.stored(verdict.mail.worker, verdict.mail.sequence);
        return true;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        ledger.altered += 1;
        return false;
      }
    }
    if (verdict.kind === 'foreign') ledger.foreign += 1;
    else ledger.altered += 1;
    return false;
  }
}

/** A client of which no command can be read is closed. */
function unlessNonsense(socket: Socket, read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    socket.destroy();
  }
}
