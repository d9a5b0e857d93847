import { connect, createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';

/** A clamd that takes long over large messages: a proxy before a real one that keeps its verdict back. */
export class LateVerdicts {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  constructor(components: { readonly server: Server; readonly sockets: Set<Socket> }, init: { readonly port: number }) {
    this.#server = components.server;
    this.#sockets = components.sockets;
    this.port = init.port;
  }

  get address(): string {
    return `tcp:127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

/** @param init what is larger than `fromBytes` gets its verdict `delayMs` later */
export async function startLateVerdicts(init: {
  readonly upstream: { readonly host: string; readonly port: number };
  readonly fromBytes: number;
  readonly delayMs: number;
}): Promise<LateVerdicts> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const clamd = connect({ ...init.upstream, noDelay: true });
    let bytes = 0;
    for (const [socket, other] of [[client, clamd], [clamd, client]] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        // Clamd ends when it has answered; that is passed on with the answer.
        if (socket === client) other.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => (bytes += chunk.length));
    client.pipe(clamd);
    clamd.on('data', (chunk: Buffer) => {
      setTimeout(() => client.end(chunk), bytes > init.fromBytes ? init.delayMs : 0);
    });
    clamd.on('close', () => {
      if (bytes === 0) client.destroy();
    });
  });
  const port = await listenOn(server, '127.0.0.1', 0);
  return new LateVerdicts({ server, sockets }, { port });
}
