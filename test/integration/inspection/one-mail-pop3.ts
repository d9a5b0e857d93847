import { createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';

/** A POP3 server with the same single message for everybody: each client costs it a reference. */
export class OneMailPop3 {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  constructor(components: { readonly server: Server; readonly sockets: Set<Socket> }, init: { readonly port: number }) {
    this.#server = components.server;
    this.#sockets = components.sockets;
    this.port = init.port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

/** @param answer to RETR, whole; its lines need no dots stuffed */
export async function startOneMailPop3(answer: Buffer): Promise<OneMailPop3> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    socket.write('+OK ready\r\n');
    let line = '';
    socket.on('data', (chunk: Buffer) => {
      line += chunk.toString('latin1');
      for (let end = line.indexOf('\r\n'); end !== -1; end = line.indexOf('\r\n')) {
        socket.write(line.startsWith('RETR ') ? answer : '+OK\r\n');
        line = line.slice(end + 2);
      }
    });
  });
  const port = await listenOn(server, '127.0.0.1', 0, 2000);
  return new OneMailPop3({ server, sockets }, { port });
}
