import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { addressOf, resetSocket } from '@sekisho/channel';
import { type MailProtocol, PROTOCOL_OF_PORT, type RefusalCode } from '@sekisho/wire';
import { refuseClient } from './client-socket.ts';
import { newSessionId } from './session-ids.ts';
import type { AgentLimits, Forward, Interception } from './settings.ts';

/** A client that may have a session. */
export interface AcceptedClient {
  readonly client: Socket;
  readonly id: Buffer;
  readonly destination: Forward['destination'];
  readonly protocol: MailProtocol;
}

export interface ListenersHandler {
  onClient(accepted: AcceptedClient): void;
  /** The rules of this machine have brought a client here; before onClient. */
  onIntercepted(): void;
  /** A limit of ours was reached: FULL or ADDRESS_FULL. Or it dialled an intercepting socket itself: DESTINATION_PORT. */
  onRefused(code: RefusalCode, address: string): void;
  /** A listening socket failed after it was open. */
  onError(error: Error): void;
}

export interface ListenerStatus {
  readonly listen: { readonly host: string; readonly port: number };
  readonly destination: Forward['destination'];
  readonly protocol: MailProtocol;
}

/** A socket that takes clients on their way to somewhere else. */
export interface InterceptionStatus {
  readonly listen: { readonly host: string; readonly port: number };
  readonly ports: readonly number[];
}

/** So that a client that vanished without a word is noticed before the idle deadline of the relay. */
const KEEP_ALIVE_AFTER_MS = 60_000;
const BACKLOG = 511;
/** Clients over the limit that may be told so at the same time; more are closed without a word. */
const MAX_TURNED_AWAY = 64;

/** The ports at which clients are taken, each with its destination, and the caps on them. */
export class Listeners {
  readonly #limits: AgentLimits;
  readonly #handler: ListenersHandler;
  readonly #servers: Server[] = [];
  readonly #inherited: Server[] = [];
  readonly #status: ListenerStatus[] = [];
  readonly #interceptionStatus: InterceptionStatus[] = [];
  readonly #perClient = new Map<string, number>();
  #clients = 0;

  constructor(components: { readonly handler: ListenersHandler }, limits: AgentLimits) {
    this.#handler = components.handler;
    this.#limits = limits;
  }

  /** Binds one port. Rejects with the operating system's error (EADDRINUSE, EACCES, ...). */
  async listen(forward: Forward): Promise<void> {
    const { destination, listen } = forward;
    const protocol = forward.protocol ?? PROTOCOL_OF_PORT.get(destination.port) ?? 'smtp';
    const server = await this.#serve(listen, (client) => this.#accept(client, destination, protocol));
    this.#servers.push(server);
    this.#status.push({ listen: boundTo(server), destination, protocol });
  }

  /** Takes clients at the sockets that this process was given. Rejects with the operating system's error (EINVAL, ...). */
  async intercept({ fds, ports }: Interception): Promise<void> {
    for (const fd of fds) {
      const server = await this.#serve({ fd }, (client) => this.#acceptIntercepted(client, ports));
      this.#inherited.push(server);
      this.#interceptionStatus.push({ listen: boundTo(server), ports });
    }
  }

  status(): readonly ListenerStatus[] {
    return this.#status;
  }

  interceptionStatus(): readonly InterceptionStatus[] {
    return this.#interceptionStatus;
  }

  /**
   * Takes no more clients at our own ports; those that are there go on. Whom the rules of this machine still bring is taken:
   * a socket that its maker keeps open would let him wait for nobody.
   */
  drain(): void {
    for (const server of this.#servers) server.close();
  }

  /** Takes no more clients. */
  close(): void {
    for (const server of [...this.#servers, ...this.#inherited]) server.close();
  }

  async #serve(place: { readonly host: string; readonly port: number } | { readonly fd: number }, onClient: (client: Socket) => void): Promise<Server> {
    const server = createServer(
      {
        // Nothing is read before it is known where the bytes go.
        pauseOnConnect: true,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
      },
      onClient,
    );
    server.maxConnections = this.#limits.maxSessions + MAX_TURNED_AWAY;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen({ ...place, backlog: BACKLOG }, () => {
      server.off('error', reject);
      server.on('error', (error) => this.#handler.onError(error));
      resolve();
    });
    await promise;
    return server;
  }

  /** Under nftables' tproxy the address at our end is the one that the client has dialled. */
  #acceptIntercepted(client: Socket, ports: readonly number[]): void {
    const host = addressOf({ remoteAddress: client.localAddress });
    const port = client.localPort ?? 0;
    const protocol = PROTOCOL_OF_PORT.get(port);
    if (!ports.includes(port) || protocol === undefined) {
      // To carry it there would bring it here again.
      this.#handler.onRefused('DESTINATION_PORT', addressOf(client));
      client.on('error', () => {});
      resetSocket(client);
      return;
    }
    this.#handler.onIntercepted();
    this.#accept(client, { host, port }, protocol);
  }

  #accept(client: Socket, destination: Forward['destination'], protocol: MailProtocol): void {
    const address = addressOf(client);
    const count = this.#perClient.get(address) ?? 0;
    const id = newSessionId();
    const isFull = this.#clients >= this.#limits.maxSessions;
    if (isFull || count >= this.#limits.maxPerClient) {
      const code = isFull ? 'FULL' : 'ADDRESS_FULL';
      client.on('error', () => {});
      refuseClient(client, protocol, code, id.toString('hex'));
      this.#handler.onRefused(code, address);
      return;
    }
    this.#clients += 1;
    this.#perClient.set(address, count + 1);
    client.once('close', () => this.#release(address));
    this.#handler.onClient({ client, id, destination, protocol });
  }

  #release(address: string): void {
    this.#clients -= 1;
    const left = (this.#perClient.get(address) ?? 1) - 1;
    if (left > 0) this.#perClient.set(address, left);
    else this.#perClient.delete(address);
  }
}

function boundTo(server: Server): { host: string; port: number } {
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port };
}
