import { createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';

/** What a scanner could say that is no verdict. */
const BABBLE = ['stream: YES\0', 'stream: OK', 'PONG\0PONG\0', '\x16\x03\x01\0', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'x'.repeat(5000)];

/** A server that answers PING as clamd does, and anything else with nonsense, each time with other. */
export class Babbler {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  babbled = 0;

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.once('data', (chunk: Buffer) => socket.end(this.#answer(chunk)));
      socket.resume();
    });
  }

  /** @throws an error with code EADDRINUSE when the port is taken */
  async listen(port: number): Promise<void> {
    await listenOn(this.#server, '127.0.0.1', port);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }

  #answer(command: Buffer): string {
    if (command.toString('latin1') === 'zPING\0') return 'PONG\0';
    this.babbled += 1;
    return BABBLE[this.babbled % BABBLE.length] ?? '';
  }
}
