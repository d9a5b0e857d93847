import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';

/** An SMTP destination for crowds: of a message it keeps the hash, so that a thousand at once cost it nothing. */
export class HashingDestination {
  readonly port: number;
  /** SHA-256 of every message whose end was seen, in order of arrival. */
  readonly hashes: readonly string[];
  readonly #server: SMTPServer;
  readonly #sockets: Set<Socket>;

  constructor(components: { readonly server: SMTPServer; readonly sockets: Set<Socket>; readonly hashes: readonly string[] }, init: { readonly port: number }) {
    this.#server = components.server;
    this.#sockets = components.sockets;
    this.hashes = components.hashes;
    this.port = init.port;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    const closed = closeServer(this.#server.server);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export async function startHashingDestination(): Promise<HashingDestination> {
  const hashes: string[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    maxAllowedUnauthenticatedCommands: false,
    socketTimeout: 300_000,
    logger: false,
    onData: (stream, _session, callback) => {
      const hash = createHash('sha256');
      stream.on('data', (chunk: Buffer) => hash.update(chunk));
      // Broken off before its end: it was not a message.
      stream.on('error', () => undefined);
      stream.on('end', () => {
        hashes.push(hash.digest('hex'));
        callback(null, 'stored');
      });
    },
  });
  server.on('error', () => undefined);
  const sockets = new Set<Socket>();
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const port = await listenOn(server.server, '127.0.0.1', 0, 2000);
  return new HashingDestination({ server, sockets, hashes }, { port });
}
