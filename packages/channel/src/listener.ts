import { constants, createHash } from 'node:crypto';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { type Credentials, TLS_SETTINGS } from './endpoint.ts';
import { addressOf, networkOf, type Peer, peerOf } from './peer.ts';

/** Why a connection ended before it was of any use; a closed set, for a metric's label (docs/errors.md). */
export const REJECT_REASONS = ['full', 'address_full', 'handshake', 'timeout', 'alpn', 'no_certificate'] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];

/** By this name a process of ours asks at its own port whether it answers; nobody else is answered under it. */
export const SELF_CHECK_ALPN = 'sekisho-self-check';
/** Connections that the kernel holds for us; what net.core.somaxconn allows less of, it cuts. */
const BACKLOG = 1024;
/** From a full handshake on, however often its session is resumed: resuming issues no new session. */
const SESSION_LIFE_MS = 300_000;
/** The longest that OpenSSL takes. */
const CONTEXT_LENGTH = 32;

export interface ListenerInit {
  readonly host: string;
  readonly port: number;
  /** A socket that listens already, and was inherited: it is used instead of host and port. */
  readonly fd?: number | undefined;
  readonly credentials: Credentials;
  readonly alpn: string;
  /** From the first byte of TCP until the end of the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** Connections at once, handshakes included; those of trusted addresses not. */
  readonly maxConnections: number;
  /** From one address, or one /64 of IPv6. */
  readonly maxPerAddress: number;
  /**
   * Addresses with places of their own: strangers cannot take them, however many connections they open. Each has
   * `maxPerAddress` of them, besides the `maxConnections` of everybody else. In the spelling of URLs.
   */
  readonly trustedAddresses?: readonly string[];
  /** Several processes bind the same port and the kernel spreads connections over them (SO_REUSEPORT). */
  readonly reusePort?: boolean;
  /** Of SessionKeys: TLS sessions can be resumed at every process that has it. Without it, none are. */
  readonly sessionKey?: Buffer | undefined;
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
  // Two servers, so that a connection over a cap is closed before anything of TLS is made for it.
  readonly #tcp;
  readonly #tls;
  readonly #sockets = new Set<Socket>();
  readonly #trusted: ReadonlySet<string>;
  readonly #perAddress = new Map<string, number>();
  /** Connections that count against `maxConnections`, by address and port. */
  readonly #strangers = new Set<string>();
  /** Address and port, and the address, of connections that are neither secure nor rejected yet. */
  readonly #handshakes = new Map<string, string>();

  constructor(init: ListenerInit, handler: ListenerHandler) {
    this.#init = init;
    this.#handler = handler;
    this.#trusted = new Set(init.trustedAddresses);
    this.#tls = createTlsServer({
      ...TLS_SETTINGS,
      ca: init.credentials.caPem,
      cert: init.credentials.certPem,
      key: init.credentials.keyPem,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [init.alpn, SELF_CHECK_ALPN],
      handshakeTimeout: init.handshakeTimeoutMs,
      ...resumption(init),
    });
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket));
    this.#tls.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      this.#reject(error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT' ? 'timeout' : 'handshake', keyOf(socket));
      socket.destroy();
    });
    this.#tcp = createTcpServer({ noDelay: true }, (socket) => this.#onTcp(socket));
  }

  /** Binds. Rejects with the operating system's error (EADDRINUSE, EACCES, ...). */
  listen(): Promise<AddressInfo> {
    const { promise, resolve, reject } = Promise.withResolvers<AddressInfo>();
    this.#tcp.once('error', reject);
    const { host, port, fd, reusePort = false } = this.#init;
    const where = fd === undefined ? { host, port, reusePort } : { fd };
    this.#tcp.listen({ ...where, backlog: BACKLOG }, () => {
      this.#tcp.off('error', reject);
      this.#tcp.on('error', (error) => this.#handler.onError(error));
      resolve(this.#tcp.address() as AddressInfo);
    });
    return promise;
  }

  /** Sessions sealed with the key before are not resumed any more. Only for a listener that was made with a key. */
  changeSessionKey(key: Buffer): void {
    this.#tls.setTicketKeys(key);
  }

  /** Connections at this moment, handshakes included. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** From now on it takes none of the `maxConnections`: whoever calls this bounds such connections by a cap of its own. */
  discount(socket: TLSSocket): void {
    this.#strangers.delete(keyOf(socket));
  }

  /** Stops accepting; what is open goes on. */
  stopAccepting(): void {
    if (this.#tcp.listening) this.#tcp.close();
  }

  /** Stops accepting and destroys what is open. */
  close(): void {
    this.stopAccepting();
    for (const socket of this.#sockets) socket.destroy();
  }

  #onTcp(socket: Socket): void {
    const address = addressOf(socket);
    // Neighbours in a trusted address' network are strangers.
    const isStranger = !this.#trusted.has(address);
    const network = isStranger ? networkOf(address) : address;
    const count = this.#perAddress.get(network) ?? 0;
    const full = isStranger && this.#strangers.size >= this.#init.maxConnections;
    if (full || count >= this.#init.maxPerAddress) {
      this.#handler.onReject(full ? 'full' : 'address_full', address);
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    this.#sockets.add(socket);
    if (isStranger) this.#strangers.add(key);
    this.#perAddress.set(network, count + 1);
    this.#handshakes.set(key, address);
    socket.once('close', () => {
      // One that the peer reset or left says no more to TLS who it was.
      this.#reject('handshake', key);
      this.#sockets.delete(socket);
      this.#strangers.delete(key);
      const left = (this.#perAddress.get(network) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(network, left);
      else this.#perAddress.delete(network);
    });
    this.#tls.emit('connection', socket);
  }

  #onSecure(socket: TLSSocket): void {
    // An error without a listener would end the process; 'close' follows and is what the owners act on.
    socket.on('error', () => {});
    const peer = peerOf(socket);
    const key = keyOf(socket);
    if (peer !== undefined && socket.alpnProtocol === this.#init.alpn) {
      this.#handshakes.delete(key);
      return this.#handler.onConnection(socket, peer);
    }
    // Not a stranger's that must be counted: it comes from where it goes to.
    if (socket.alpnProtocol === SELF_CHECK_ALPN && socket.remoteAddress === socket.localAddress) this.#handshakes.delete(key);
    this.#reject(peer === undefined ? 'no_certificate' : 'alpn', key);
    socket.destroy();
  }

  /** Tells the handler, once a connection. */
  #reject(reason: RejectReason, key: string): void {
    const address = this.#handshakes.get(key);
    if (address === undefined) return;
    this.#handshakes.delete(key);
    this.#handler.onReject(reason, address);
  }
}

function resumption({ sessionKey, alpn, credentials: { caPem, certPem } }: ListenerInit): TlsOptions {
  if (sessionKey === undefined) return { secureOptions: constants.SSL_OP_NO_TICKET };
  // Also with the same key, a session is of one protocol, one CA and one server.
  const context = createHash('sha256').update(JSON.stringify([alpn, caPem, certPem])).digest('hex');
  return {
    ticketKeys: sessionKey,
    sessionTimeout: SESSION_LIFE_MS / 1000,
    sessionIdContext: context.slice(0, CONTEXT_LENGTH),
  };
}

function keyOf(socket: Socket): string {
  return `${addressOf(socket)} ${socket.remotePort ?? ''}`;
}
