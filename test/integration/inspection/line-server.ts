import { createServer, type Server, type Socket } from 'node:net';
import { closeServer, listenOn } from '../../kit/loopback-listen.ts';

/** What a server says to a line; undefined: nothing, the test will. */
export type Script = (line: string, connection: LineConnection) => string | undefined;

/** One client's conversation. */
export interface LineConnection {
  /** All that came. */
  readonly received: string;
  say(text: string): void;
}

class Connection implements LineConnection {
  received = '';
  readonly #socket: Socket;
  #read = 0;

  constructor(socket: Socket, script: Script) {
    this.#socket = socket;
    // Broken off: the inspector does that, and what came is with us.
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      for (let end = this.#lineEnd(); end !== -1; end = this.#lineEnd()) {
        const line = this.received.slice(this.#read, end);
        this.#read = end + 2;
        const answer = script(line, this);
        if (answer !== undefined) this.say(answer);
      }
    });
  }

  say(text: string): void {
    this.#socket.write(text);
  }

  #lineEnd(): number {
    return this.received.indexOf('\r\n', this.#read);
  }
}

/** A mail server that answers lines by a script, so that it can say what no real one does, and knows all that it was told. */
export class LineServer {
  readonly port: number;
  readonly connections: LineConnection[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(server: Server, port: number, init: { readonly greeting: string; readonly script: Script }) {
    this.#server = server;
    this.port = port;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.#sockets.delete(socket));
      this.connections.push(new Connection(socket, init.script));
      socket.write(init.greeting);
    });
  }

  /** The last who came. @throws when nobody did */
  get latest(): LineConnection {
    const latest = this.connections.at(-1);
    if (latest === undefined) throw new Error('nobody has connected');
    return latest;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

export async function startLineServer(init: { readonly greeting: string; readonly script: Script }): Promise<LineServer> {
  const server = createServer();
  return new LineServer(server, await listenOn(server, '127.0.0.1', 0), init);
}
