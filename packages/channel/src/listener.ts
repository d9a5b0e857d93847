import type { AddressInfo, Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { type Credentials, TLS_SETTINGS } from './endpoint.ts';
import { addressOf, type Peer, peerOf } from './peer.ts';

/** Why a connection ended before it was of any use; a closed set, for a metric's label. */
export type RejectReason = 'full' | 'address_full' | 'handshake' | 'timeout' | 'alpn' | 'no_certificate';

export interface ListenerInit {
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  readonly alpn: string;
  /** From the first byte of TCP until the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** Connections at once, handshakes included. */
  readonly maxConnections: number;
  readonly maxPerAddress: number;
}

export interface ListenerHandler {
  onConnection(socket: TLSSocket, peer: Peer): void;
  onReject(reason: RejectReason, address: string): void;
  /** The listening socket itself failed after it was open (no descriptors left, for example). */
  onError(error: Error): void;
}

/**
 * A TLS port of the mesh. A client certificate is required, but one that is not the operator's is let through to the
 * handler with `verified: false`, so that a refusal can be said and counted; garbage, HTTP and other ALPN names are not.
 */
export class Listener {
  readonly #init: ListenerInit;
  readonly #handler: ListenerHandler;
  readonly #server;
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();

  constructor(init: ListenerInit, handler: ListenerHandler) {
    this.#init = init;
    this.#handler = handler;
    this.#server = createServer({
      ...TLS_SETTINGS,
      ca: init.credentials.caPem,
      cert: init.credentials.certPem,
      key: init.credentials.keyPem,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [init.alpn],
      handshakeTimeout: init.handshakeTimeoutMs,
      noDelay: true,
    });
    this.#server.on('connection', (socket: Socket) => this.#onTcp(socket));
    this.#server.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      handler.onReject(error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'timeout' : 'handshake', addressOf(socket));
      socket.destroy();
    });
  }

  /** Binds. Rejects with the operating system's error (EADDRINUSE, EACCES, ...). */
  listen(): Promise<AddressInfo> {
    const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
    this.#server.once('error', reject);
    this.#server.listen({ host: this.#init.host, port: this.#init.port, backlog: 1024 }, () => {
      this.#server.off('error', reject);
      this.#server.on('error', (error) => this.#handler.onError(error));
      resolve(this.#server.address() as AddressInfo);
    });
    return promise;
  }

  /** Connections at this moment, handshakes included. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Stops accepting; what is open goes on. */
  stopAccepting(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Stops accepting and destroys what is open. */
  close(): void {
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
  }

  #onTcp(socket: Socket): void {
    const address = addressOf(socket);
    const count = this.#perAddress.get(address) ?? 0;
    const full = this.#sockets.size >= this.#init.maxConnections;
    if (full || count >= this.#init.maxPerAddress) {
      this.#handler.onReject(full ? 'full' : 'address_full', address);
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#perAddress.set(address, count + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
  }

  #onSecure(socket: TLSSocket): void {
    // An error without a listener would end the process; 'close' follows and is what the owners act on.
    socket.on('error', () => {});
    const peer = peerOf(socket);
    if (peer !== undefined && socket.alpnProtocol === this.#init.alpn) return this.#handler.onConnection(socket, peer);
    this.#handler.onReject(peer === undefined ? 'no_certificate' : 'alpn', addressOf(socket));
    socket.destroy();
  }
}
