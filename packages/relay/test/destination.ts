import { createServer, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../../test/kit/loopback-listen.ts';

export interface TestDestination {
  readonly port: number;
  readonly sockets: Socket[];
  /** The next connection. */
  next(): Promise<Socket>;
  stop(): Promise<void>;
}

/** A destination on 127.0.0.1 that does with each connection what it is told. */
export async function startDestination(serve: (socket: Socket) => void): Promise<TestDestination> {
  const sockets: Socket[] = [];
  const waiting: ((socket: Socket) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    serve(socket);
    waiting.shift()?.(socket);
  });
  const port = await listenOn(server, '127.0.0.1', 0);
  return {
    port,
    sockets,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await closeServer(server);
    },
  };
}

/** Sends back what it gets, FIN included. */
export function echo(socket: Socket): void {
  socket.pipe(socket);
}
