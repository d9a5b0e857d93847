import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { closeServer, listenOn } from './loopback-listen.ts';

export interface SilentInit {
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** Default 0, a free one. */
  port?: number;
}

/** Accepts every connection, reads what comes and never answers: a hung process behind a living kernel. */
export class SilentServer {
  readonly address: string;
  readonly port: number;
  bytesReceived = 0;
  connections = 0;
  #server: Server;
  #sockets = new Set<Socket>();

  constructor(server: Server, init: { address: string; port: number }) {
    this.address = init.address;
    this.port = init.port;
    this.#server = server;
    server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('data', (chunk: Buffer) => {
        this.bytesReceived += chunk.length;
      });
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await closeServer(this.#server);
  }
}

export async function startSilentServer(init: SilentInit = {}): Promise<SilentServer> {
  const address = init.address ?? '127.0.0.1';
  const server = createServer({ allowHalfOpen: true });
  const port = await listenOn(server, address, init.port ?? 0);
  return new SilentServer(server, { address, port });
}

/** Shorter than the first repetition of a SYN (1 s), far longer than a handshake on loopback. */
const CONNECT_PATIENCE_MS = 200;
const BACKLOG = 1;
const MAX_FILLERS = 16;

/** Runs in a thread that listens and then blocks for good, so that nobody ever calls accept(). */
const LISTEN_AND_BLOCK = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  const server = createServer();
  server.on('error', (error) => parentPort.postMessage({ error: error.message }));
  server.listen(workerData, () => {
    parentPort.postMessage({ port: server.address().port });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });
`;

/** An address whose SYNs are dropped: connect() neither succeeds nor fails until its own time-out. */
export class BlackHole {
  readonly address: string;
  readonly port: number;
  #listener: Worker;
  #fillers: Socket[];

  constructor(components: { listener: Worker; fillers: Socket[] }, init: { address: string; port: number }) {
    this.address = init.address;
    this.port = init.port;
    this.#listener = components.listener;
    this.#fillers = components.fillers;
  }

  async stop(): Promise<void> {
    for (const filler of this.#fillers) filler.destroy();
    await this.#listener.terminate();
  }
}

/**
 * An address that accepts nothing and says nothing, as a machine that is gone does. There is no unreachable address on
 * loopback, so it is a socket that listens, is never accepted from, and whose backlog is filled up first: Linux drops
 * further SYNs then (`net.ipv4.tcp_abort_on_overflow` must be 0, its default).
 *
 * @throws when connections still succeed with the backlog full
 */
export async function startBlackHole(init: SilentInit = {}): Promise<BlackHole> {
  const address = init.address ?? '127.0.0.1';
  const workerData = { host: address, port: init.port ?? 0, backlog: BACKLOG };
  const listener = new Worker(LISTEN_AND_BLOCK, { eval: true, workerData });
  const answer = await new Promise<{ port?: number; error?: string }>((resolve) => listener.once('message', resolve));
  const fillers: Socket[] = [];
  if (answer.port !== undefined) {
    const hole = new BlackHole({ listener, fillers }, { address, port: answer.port });
    if (await fillBacklog(fillers, address, answer.port)) return hole;
    await hole.stop();
    throw new Error(`${address}:${answer.port} still accepts with its backlog full`);
  }
  await listener.terminate();
  throw new Error(answer.error ?? 'the listener did not say its port');
}

async function fillBacklog(fillers: Socket[], address: string, port: number): Promise<boolean> {
  for (let count = 0; count < MAX_FILLERS; count += 1) {
    const filler = connect(port, address);
    filler.on('error', () => filler.destroy());
    const connected = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), CONNECT_PATIENCE_MS);
      filler.once('connect', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    if (!connected) {
      filler.destroy();
      return true;
    }
    fillers.push(filler);
  }
  return false;
}
