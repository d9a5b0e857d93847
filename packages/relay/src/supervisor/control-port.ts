import type { TLSSocket } from 'node:tls';
import {
  type About,
  addressOf,
  type Credentials,
  ChannelError,
  ControlConnection,
  identityMismatch,
  Listener,
  type Peer,
  type RejectReason,
  welcomeMessage,
} from '@sekisho/channel';
import type { Logger } from '@sekisho/telemetry';
import {
  chooseVersion,
  CONTROL_ALPN,
  type Message,
  PROTOCOL_VERSIONS,
  Refusal,
  type RefusalCode,
  REFUSALS,
  type RelayReport,
} from '@sekisho/wire';
import type { DetectionOutlet, DetectionQueue } from './detection-queue.ts';

export interface ControlPortHandler {
  /** How the relay is now; asked for with each ping. */
  report(): RelayReport;
  onReject(reason: RejectReason): void;
  onRefusal(code: RefusalCode): void;
}

export interface ControlPortInit {
  readonly site: string;
  readonly name: string;
  readonly about?: About | undefined;
  readonly host: string;
  readonly port: number;
  /** Of the site's servers: their managers find a place here whoever else knocks. */
  readonly serverAddresses: readonly string[];
  readonly credentials: Credentials;
  readonly handshakeMs: number;
  /** A manager that says nothing for so long is gone; it pings each second. */
  readonly deadMs: number;
}

/** Who is no server of the site, to judge by the address; the certificate is judged later. */
const MAX_CONNECTIONS = 64;
/** Of a server, too: its manager has one connection, and some that died and were not noticed yet. */
const MAX_PER_ADDRESS = 32;
const MAX_BUFFERED_BYTES = 64 * 1024;
const SOFTWARE = 'sekisho-relay';
const CHECKS = 4;

/** The port at which the managers of the site ask for the relay's load, and are told of viruses. */
export class ControlPort {
  readonly #log: Logger;
  readonly #handler: ControlPortHandler;
  readonly #detections: DetectionQueue;
  readonly #init: ControlPortInit;
  readonly #listener: Listener;
  readonly #managers = new Set<ManagerConnection>();
  readonly #check: NodeJS.Timeout;

  constructor(
    components: { readonly log: Logger; readonly handler: ControlPortHandler; readonly detections: DetectionQueue },
    init: ControlPortInit,
  ) {
    this.#log = components.log;
    this.#handler = components.handler;
    this.#detections = components.detections;
    this.#init = init;
    this.#listener = new Listener(
      {
        host: init.host,
        port: init.port,
        credentials: init.credentials,
        alpn: CONTROL_ALPN,
        handshakeTimeoutMs: init.handshakeMs,
        maxConnections: MAX_CONNECTIONS,
        maxPerAddress: MAX_PER_ADDRESS,
        trustedAddresses: init.serverAddresses,
      },
      {
        onConnection: (socket, peer) => this.#onConnection(socket, peer),
        onReject: (reason) => this.#handler.onReject(reason),
        onError: (error) => this.#log.error({ event: 'listener_failed', err: error }, 'the control port failed'),
      },
    );
    this.#check = setInterval(() => this.#checkAll(), init.deadMs / CHECKS);
  }

  /** @returns the port. Rejects with the operating system's error. */
  async listen(): Promise<number> {
    return (await this.#listener.listen()).port;
  }

  close(): void {
    clearInterval(this.#check);
    for (const manager of this.#managers) manager.close(new ChannelError('CLOSED', 'the relay is stopped'));
    this.#listener.close();
  }

  #onConnection(socket: TLSSocket, peer: Peer): void {
    const { site } = this.#init;
    const problem = identityMismatch(peer, { role: 'manager', site });
    const manager = new ManagerConnection(socket, this.#init, {
      report: () => this.#handler.report(),
      detections: this.#detections,
      onRefusal: (refusal) => {
        this.#handler.onRefusal(refusal.code);
        this.#log.warn(
          { event: 'manager_refused', code: refusal.code, address: addressOf(socket) },
          `a manager was refused: ${refusal.message}`,
        );
      },
      onClose: () => this.#managers.delete(manager),
      isManager: problem === undefined,
    });
    this.#managers.add(manager);
    // A server that only relays has no other certificate to ask how the relays of its site are.
    if (problem !== undefined && identityMismatch(peer, { role: 'relay', site }) !== undefined) manager.refuse(0, new Refusal('IDENTITY', problem));
  }

  #checkAll(): void {
    for (const manager of this.#managers) manager.check();
  }
}

type FromManager = 'hello' | 'ping' | 'noted';

interface ManagerHandler {
  readonly detections: DetectionQueue;
  /** Nobody else is told of viruses, since who notes them takes them away. */
  readonly isManager: boolean;
  report(): RelayReport;
  onRefusal(refusal: Refusal): void;
  onClose(): void;
}

/** One manager's connection: hello, welcome, then a ping each second, and detections that it notes. */
class ManagerConnection {
  readonly #init: ControlPortInit;
  readonly #handler: ManagerHandler;
  readonly #connection: ControlConnection<FromManager>;
  #outlet: DetectionOutlet | undefined;
  #isWelcome = false;
  #silentChecks = 0;

  constructor(socket: TLSSocket, init: ControlPortInit, handler: ManagerHandler) {
    this.#init = init;
    this.#handler = handler;
    this.#connection = new ControlConnection(
      socket,
      { accepts: ['hello', 'ping', 'noted'], maxPending: 1, maxBufferedBytes: MAX_BUFFERED_BYTES },
      { onMessage: (message) => this.#onMessage(message), onClose: () => this.#onClose() },
    );
  }

  /** Says why, and closes. */
  refuse(id: number, refusal: Refusal): void {
    const versions = refusal.code === 'VERSION' ? { versions: Buffer.from(PROTOCOL_VERSIONS) } : {};
    const { number } = REFUSALS[refusal.code];
    this.#handler.onRefusal(refusal);
    this.#connection.send({ type: 'refuse', id, code: number, text: refusal.message, ...versions });
    this.close(new ChannelError('PROTOCOL', refusal.message));
  }

  /** To be called four times within the time in which a manager must say something. */
  check(): void {
    this.#silentChecks += 1;
    if (this.#silentChecks > CHECKS) this.close(new ChannelError('TIMEOUT', 'the manager is silent'));
  }

  close(error: ChannelError): void {
    this.#connection.close(error);
  }

  #onMessage(message: Message<FromManager>): void {
    this.#silentChecks = 0;
    if (message.type === 'hello') return this.#onHello(message);
    if (message.type === 'noted') return this.#outlet?.noted(message.id);
    if (!this.#isWelcome) return this.refuse(message.id, new Refusal('PROTOCOL', 'a ping before the hello'));
    this.#connection.send({ type: 'pong', id: message.id, report: this.#handler.report() });
  }

  #onHello({ id, versions, detections }: Message<'hello'>): void {
    const version = chooseVersion(versions, PROTOCOL_VERSIONS);
    if (version === undefined) return this.refuse(id, new Refusal('VERSION', 'this relay speaks none of these versions'));
    this.#isWelcome = true;
    const { name, site, about } = this.#init;
    this.#connection.send(welcomeMessage({ software: SOFTWARE, site, name, about }, { id, version }));
    // A manager of before detections would take one for a violation.
    if (detections === 1 && this.#handler.isManager) this.#outlet ??= this.#handler.detections.open((message) => this.#connection.send(message));
    // It broke over what waited.
    if (this.#connection.closed) this.#outlet?.close();
  }

  #onClose(): void {
    this.#outlet?.close();
    this.#handler.onClose();
  }
}
