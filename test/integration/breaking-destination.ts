import { createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../kit/loopback-listen.ts';

/** How the other side of a connection ended: it said so, or it was broken off. */
export type PeerEnd = 'end' | (string & {});

/** What the destination does once so many bytes of the message are there. */
export interface Breakage {
  readonly afterBytes: number;
  /** Said before the reset. */
  readonly lastWords?: string;
}

/** A destination that speaks just enough SMTP to break off wherever a test wants it, and that notes how its clients end. */
export class BreakingDestination {
  readonly port: number;
  breakage: Breakage = { afterBytes: Number.POSITIVE_INFINITY };
  /** Of every connection that said more than nothing. */
  readonly ends: PeerEnd[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => this.#serve(socket));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }

  #serve(socket: Socket): void {
    const { breakage } = this;
    let text = '';
    let contentBytes: number | undefined;
    let isOver = false;
    const note = (end: PeerEnd): void => {
      if (!isOver && (text !== '' || contentBytes !== undefined)) this.ends.push(end);
      isOver = true;
    };
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', (error: NodeJS.ErrnoException) => note(error.code ?? error.message));
    socket.on('end', () => {
      note('end');
      socket.end('221 2.0.0 you have ended, and I may still speak\r\n');
    });
    const breakOff = (): void => {
      isOver = true;
      const { lastWords } = breakage;
      if (lastWords === undefined) socket.resetAndDestroy();
      // In the kernel's hands first: a reset throws away what is still in ours.
      else socket.write(lastWords, () => socket.resetAndDestroy());
    };
    const count = (bytes: number): void => {
      contentBytes = (contentBytes ?? 0) + bytes;
      if (contentBytes >= breakage.afterBytes && !isOver) breakOff();
    };
    socket.on('data', (chunk: Buffer) => {
      if (contentBytes !== undefined) return count(chunk.length);
      text += chunk.toString('latin1');
      if (!text.endsWith('\r\n')) return;
      if (!text.endsWith('DATA\r\n')) return void socket.write('250 2.0.0 yes\r\n');
      socket.write('354 go ahead\r\n');
      count(0);
    });
    socket.write('220 breaking.test\r\n');
  }
}

export async function startBreakingDestination(): Promise<BreakingDestination> {
  const server = createServer({ allowHalfOpen: true });
  return new BreakingDestination(server, await listenOn(server, '127.0.0.1', 0));
}
