import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { closeServer, listenOn } from './loopback-listen.ts';
import { freePort } from './ports.ts';
import { FaultyPipe } from './faulty-pipe.ts';
import type { Direction, Faults } from './faulty-pipe.ts';

export interface FaultProxyInit {
  upstream: { host: string; port: number };
  /** An address of 127.0.0.0/8; default 127.0.0.1. */
  address?: string;
  /** Default: a free one that stays the same while the proxy refuses. */
  port?: number;
  faults?: Partial<Faults>;
  /** For jitter; default Math.random. */
  random?: () => number;
}

const NO_FAULTS: Faults = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  silent: false,
  toServer: { stallAfterBytes: Number.POSITIVE_INFINITY, resetAfterBytes: Number.POSITIVE_INFINITY },
  toClient: { stallAfterBytes: Number.POSITIVE_INFINITY, resetAfterBytes: Number.POSITIVE_INFINITY },
};

interface ProxiedConnection {
  client: Socket;
  /** None for a connection that was accepted in silence. */
  server: Socket | undefined;
  pipes: FaultyPipe[];
}

/**
 * A TCP proxy that does to a connection what a bad line does: latency, jitter, a rate cap, silence, a stall, a reset, a
 * refusal, a peer that is gone without a word. Faults may be changed while connections run.
 */
export class FaultProxy {
  readonly address: string;
  readonly port: number;
  /** Accepted since the start. */
  connections = 0;
  #upstream: { host: string; port: number };
  #random: () => number;
  #server: Server;
  #faults: Faults = structuredClone(NO_FAULTS);
  #open = new Set<ProxiedConnection>();
  #bytes = { toServer: 0, toClient: 0 };

  constructor(init: FaultProxyInit & { address: string; port: number }) {
    this.address = init.address;
    this.port = init.port;
    this.#upstream = init.upstream;
    this.#random = init.random ?? Math.random;
    this.#server = this.#listener();
    this.set(init.faults ?? {});
  }

  get openConnections(): number {
    return this.#open.size;
  }

  /** Bytes forwarded since the start, all connections together. */
  get bytesForwarded(): Readonly<Record<Direction, number>> {
    return { ...this.#bytes };
  }

  /** Changes the faults named, for new and for running connections; a stalled one goes on once its stall is lifted. */
  set(faults: Partial<Faults>): void {
    Object.assign(this.#faults, faults);
    for (const { pipes } of this.#open) for (const pipe of pipes) pipe.faultsChanged();
  }

  /** A line without faults again. */
  heal(): void {
    this.set(structuredClone(NO_FAULTS));
  }

  /** New connections are refused (RST on SYN); running ones go on. */
  refuse(): void {
    // The listening socket is closed at once; only the callback would wait for the running connections.
    this.#server.close();
  }

  /** Ends `refuse()`. */
  async accept(): Promise<void> {
    if (this.#server.listening) return;
    this.#server = this.#listener();
    await listenOn(this.#server, this.address, this.port);
  }

  /** Resets every running connection, to both sides. */
  resetAll(): void {
    for (const { client, server } of this.#open) {
      client.resetAndDestroy();
      server?.resetAndDestroy();
    }
  }

  /**
   * Lets one side of every running connection vanish: it is reset towards that side, and the other keeps an open
   * connection on which nothing comes any more.
   */
  halfOpen(gone: 'server' | 'client'): void {
    for (const { client, server, pipes } of this.#open) {
      for (const pipe of pipes) pipe.cut();
      if (gone === 'client') client.resetAndDestroy();
      else server?.resetAndDestroy();
    }
  }

  /** Breaks what is open and stops listening. */
  async stop(): Promise<void> {
    for (const { client, server, pipes } of this.#open) {
      for (const pipe of pipes) pipe.cut();
      client.destroy();
      server?.destroy();
    }
    this.#open.clear();
    await closeServer(this.#server);
  }

  /** For `startFaultProxy`. */
  async listen(): Promise<void> {
    await listenOn(this.#server, this.address, this.port);
  }

  #listener(): Server {
    return createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  #accept(client: Socket): void {
    this.connections += 1;
    const connection: ProxiedConnection = { client, server: undefined, pipes: [] };
    this.#open.add(connection);
    client.on('error', () => undefined);
    if (this.#faults.silent) {
      // Read on, or the close of the client would never be seen.
      client.resume();
      client.on('end', () => client.end());
      client.on('close', () => this.#open.delete(connection));
      return;
    }
    const server = connect({ ...this.#upstream, allowHalfOpen: true, noDelay: true });
    connection.server = server;
    connection.pipes = [this.#pipe(client, server, 'toServer'), this.#pipe(server, client, 'toClient')];
    for (const socket of [client, server]) {
      socket.on('close', () => {
        if (client.destroyed && server.destroyed) this.#open.delete(connection);
      });
    }
  }

  #pipe(source: Socket, target: Socket, direction: Direction): FaultyPipe {
    const forwarded = (bytes: number): void => {
      this.#bytes[direction] += bytes;
    };
    return new FaultyPipe({ source, target, faults: this.#faults, random: this.#random, forwarded }, { direction });
  }
}

/**
 * Starts a proxy in front of `upstream`.
 *
 * @throws an error with code EADDRINUSE when the port given is taken
 */
export async function startFaultProxy(init: FaultProxyInit): Promise<FaultProxy> {
  const address = init.address ?? '127.0.0.1';
  const port = init.port ?? (await freePort(address));
  const proxy = new FaultProxy({ ...init, address, port });
  await proxy.listen();
  return proxy;
}
