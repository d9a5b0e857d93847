import { addressOf, ChannelError, type ChannelErrorCode, Listener, type Peer, SessionKeys } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import { CONTROL_ALPN, type Message, Refusal, type ServerIdentity } from '@sekisho/wire';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { AgentSession } from './agent-session.ts';
import type { LeaseDesk } from './lease-desk.ts';
import type { ManagerMetrics, Rejection } from './manager-metrics.ts';
import { Servers } from './servers.ts';
import { HANDSHAKE_TIMEOUT_MS, HELLOS_PER_SECOND, IDLE_MS, type ManagerSettings } from './settings.ts';

export interface AgentsComponents {
  readonly log: Logger;
  /** Milliseconds that never go back. */
  readonly clock: { now(): number };
  readonly metrics: ManagerMetrics;
  readonly desk: LeaseDesk;
}

/** Sweeps within the idle time: one after which an agent without a hello is closed, all of them for the others. */
const SWEEPS = 3;
const CLOSE_TICK_MS = 50;

/** The port for agents, and all agents that are connected. */
export class Agents {
  readonly #components: AgentsComponents;
  readonly #settings: ManagerSettings;
  readonly #listener: Listener;
  readonly #agents = new Set<AgentSession>();
  readonly #servers: Servers;
  readonly #sweep: NodeJS.Timeout;
  readonly #sessionKeys = new SessionKeys({ onChange: (key) => this.#listener.changeSessionKey(key) });
  #directAgents = 0;
  #directHellos = 0;
  #closing = false;

  constructor(components: AgentsComponents, settings: ManagerSettings) {
    this.#components = components;
    this.#settings = settings;
    this.#servers = new Servers({ ...components, onClose: (error, address) => this.#onEnd(error, address) }, settings);
    this.#listener = new Listener(
      {
        ...settings.listen,
        credentials: settings.credentials,
        alpn: CONTROL_ALPN,
        handshakeTimeoutMs: settings.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
        maxConnections: settings.maxAgents,
        maxPerAddress: settings.maxPerAddress,
        sessionKey: this.#sessionKeys.current,
      },
      {
        onConnection: (socket, peer) => this.#onConnection(socket, peer),
        onReject: (reason, address) => this.#reject(reason, address),
        onError: (error) =>
          components.log.error({ event: 'listener_failed', reason: error.message }, 'the port for agents failed'),
      },
    );
    this.#sweep = setInterval(() => this.#closeSilent(), (settings.idleMs ?? IDLE_MS) / SWEEPS);
  }

  get size(): number {
    return this.#agents.size;
  }

  /** Other servers of the mesh that are connected. */
  get servers(): number {
    return this.#servers.size;
  }

  /** Agents that said they connect clients directly and have no lease since, and how many hellos have said so. */
  get direct(): { readonly agents: number; readonly hellos: number } {
    return { agents: this.#directAgents, hellos: this.#directHellos };
  }

  [Symbol.iterator](): Iterator<AgentSession> {
    return this.#agents.values();
  }

  listen(): Promise<AddressInfo> {
    return this.#listener.listen();
  }

  /** Refuses new hellos, and lets go of the agents one after the other within `spreadMs`. */
  async close(spreadMs: number): Promise<void> {
    this.#closing = true;
    this.#servers.stopWelcoming();
    this.#listener.stopAccepting();
    const agents = [...this.#agents];
    const perTick = Math.ceil((agents.length * CLOSE_TICK_MS) / Math.max(spreadMs, CLOSE_TICK_MS));
    while (agents.length > 0) {
      for (const agent of agents.splice(0, perTick)) agent.close(new ChannelError('CLOSED', 'the manager stops'));
      if (agents.length > 0) await new Promise((resolve) => setTimeout(resolve, CLOSE_TICK_MS));
    }
    this.#servers.close();
    clearInterval(this.#sweep);
    this.#sessionKeys.close();
    this.#listener.close();
  }

  #onConnection(socket: TLSSocket, peer: Peer): void {
    if (peer.verified && peer.identity?.kind === 'server') return this.#onServer(socket, peer.identity);
    const { clock } = this.#components;
    const agent = new AgentSession(
      socket,
      {
        clock,
        onHello: (from, hello) => void this.#onHello(from, hello),
        onLimited: () => this.#components.metrics.refusals.inc({ code: 'RATE_LIMITED' }),
        onBye: (from, bye) => this.#onBye(from, bye),
        onClose: (from, error) => this.#onClose(from, error),
      },
      { peer, address: addressOf(socket), hellosPerSecond: this.#settings.hellosPerSecond ?? HELLOS_PER_SECOND },
    );
    this.#agents.add(agent);
  }

  /** It takes no agent's place, and has one of a few of its own. */
  #onServer(socket: TLSSocket, identity: ServerIdentity): void {
    this.#listener.discount(socket);
    if (this.#servers.add(socket, identity)) return;
    this.#reject('servers_full', addressOf(socket));
    socket.destroy();
  }

  async #onHello(agent: AgentSession, hello: Message<'hello'>): Promise<void> {
    const { clock, desk, metrics } = this.#components;
    const startedAtMs = clock.now();
    const direct = hello.direct === 1;
    // It is an alarm: of who is not admitted yet, only the owner of a certificate of the operator's may raise it.
    if (direct && agent.peer.verified) this.#noteDirect(agent);
    try {
      if (this.#closing) throw new Refusal('SHUTTING_DOWN', 'this manager is stopping');
      const { message, reason } = await desk.lease(agent, hello);
      if (agent.closed) return;
      if (direct && !agent.peer.verified) this.#noteDirect(agent);
      agent.lease(message);
      metrics.leases.inc({ reason });
      metrics.leaseSeconds.observe({}, (clock.now() - startedAtMs) / 1000);
      this.#noteRelayed(agent);
    } catch (error) {
      this.#refuse(agent, hello.id, error);
    }
  }

  #refuse(agent: AgentSession, id: number, error: unknown): void {
    const { log, metrics } = this.#components;
    const refusal = error instanceof Refusal ? error : new Refusal('INTERNAL', 'the manager made a mistake; its log says which');
    metrics.refusals.inc({ code: refusal.code });
    const fields = { event: 'hello_refused', code: refusal.code, device: deviceOf(agent), address: agent.address };
    if (refusal !== error) log.error({ ...fields, err: error }, 'a hello could not be answered');
    // A device that is refused comes again and again: one line is auth's, and absences are told once by who is absent.
    else log.debug(fields, refusal.message);
    agent.refuse(id, refusal);
  }

  #noteDirect(agent: AgentSession): void {
    this.#directHellos += 1;
    this.#components.metrics.directHellos.inc({});
    if (agent.direct) return;
    agent.direct = true;
    this.#directAgents += 1;
    this.#components.log.warn(
      { event: 'agent_direct', device: deviceOf(agent), address: agent.address },
      'an agent is connecting its clients directly: look which managers it could not reach',
    );
  }

  /** With a lease in its hands it has a relay again. */
  #noteRelayed(agent: AgentSession): void {
    if (!agent.direct) return;
    agent.direct = false;
    this.#directAgents -= 1;
    this.#components.log.info(
      { event: 'agent_relayed', device: deviceOf(agent), address: agent.address },
      'the agent uses relays again',
    );
  }

  #onBye(agent: AgentSession, bye: Message<'bye'>): void {
    // Only who has been admitted writes into our log.
    if (agent.held === undefined) return;
    const { session, outcome, bytesUp, bytesDown, durationMs, relay } = bye;
    this.#components.metrics.byes.inc({});
    this.#components.log.info(
      {
        event: 'session',
        session: session.toString('hex'),
        device: deviceOf(agent),
        relay: relay === undefined ? null : printable(relay),
        bytesUp,
        bytesDown,
        durationMs,
        outcome: printable(outcome),
      },
      'a mail session has ended',
    );
  }

  #onClose(agent: AgentSession, error: ChannelError): void {
    if (!this.#agents.delete(agent)) return;
    if (agent.direct) this.#directAgents -= 1;
    this.#onEnd(error, agent.address);
  }

  #onEnd(error: ChannelError, address: string): void {
    const rejection = REJECTION_OF_ERROR[error.code];
    if (rejection !== undefined) this.#reject(rejection, address);
  }

  #reject(reason: Rejection, address: string): void {
    this.#components.metrics.rejections.inc({ reason });
    this.#components.log.debug({ event: 'connection_rejected', reason, address }, 'a connection was closed');
  }

  #closeSilent(): void {
    this.#servers.closeSilent(SWEEPS);
    for (const agent of this.#agents) {
      agent.silentSweeps += 1;
      if (agent.silentSweeps >= (agent.held === undefined ? 2 : SWEEPS))
        agent.close(new ChannelError('TIMEOUT', 'nothing was heard for too long'));
    }
  }
}

const REJECTION_OF_ERROR: Partial<Record<ChannelErrorCode, Rejection>> = {
  PROTOCOL: 'protocol',
  BUSY: 'flood',
  TIMEOUT: 'idle',
};

/** The MAC address it claims, or before its first hello is answered the one that it has proved. */
function deviceOf({ mac, peer: { verified, identity } }: AgentSession): string | null {
  if (mac !== undefined) return mac.toString('hex').replaceAll(/(..)(?=.)/gu, '$1:');
  return verified && identity?.kind === 'device' ? identity.mac : null;
}
