import { type About, addressOf, ChannelError, welcomeMessage } from '@sekisho/channel';
import type { Logger } from '@sekisho/telemetry';
import { Refusal, type ServerIdentity } from '@sekisho/wire';
import type { TLSSocket } from 'node:tls';
import type { ManagerMetrics } from './manager-metrics.ts';
import { ServerSession } from './server-session.ts';

export interface ServersComponents {
  readonly log: Logger;
  /** Milliseconds that never go back. */
  readonly clock: { now(): number };
  readonly metrics: ManagerMetrics;
  onClose(error: ChannelError, address: string): void;
}

export interface ServersInit {
  readonly site: string;
  readonly name: string;
  readonly about?: About | undefined;
}

/** Servers of the mesh that are connected besides agents. */
const MAX_SERVERS = 64;
/** Of one role of one site, which have one certificate: whoever stole it leaves the others their places. */
const MAX_SERVERS_PER_ROLE = 8;
const SOFTWARE = 'sekisho-manager';

/** Other servers of the mesh at the port for agents: they look whether this manager answers, and whether it is as theirs. */
export class Servers {
  readonly #components: ServersComponents;
  readonly #init: ServersInit;
  readonly #sessions = new Set<ServerSession>();
  #closing = false;

  constructor(components: ServersComponents, init: ServersInit) {
    this.#components = components;
    this.#init = init;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes a connection whose certificate is the operator's, and says whether there was a place for it. */
  add(socket: TLSSocket, { site, role }: ServerIdentity): boolean {
    const who = `${site}/${role}`;
    const same = [...this.#sessions].filter((session) => session.who === who).length;
    if (this.#sessions.size >= MAX_SERVERS || same >= MAX_SERVERS_PER_ROLE) return false;
    const session: ServerSession = new ServerSession(
      socket,
      {
        clock: this.#components.clock,
        welcome: (answer) => this.#welcome(session, answer),
        onClose: (error) => {
          if (this.#sessions.delete(session)) this.#components.onClose(error, session.address);
        },
      },
      { who, address: addressOf(socket) },
    );
    this.#sessions.add(session);
    return true;
  }

  /** To be called regularly: closes those that were silent for `sweeps` calls, and after two those that said no hello. */
  closeSilent(sweeps: number): void {
    for (const session of this.#sessions) {
      session.silentSweeps += 1;
      if (session.silentSweeps >= (session.isWelcome ? sweeps : 2))
        session.close(new ChannelError('TIMEOUT', 'nothing was heard for too long'));
    }
  }

  /** From now on a hello is refused: the manager stops. */
  stopWelcoming(): void {
    this.#closing = true;
  }

  close(): void {
    for (const session of this.#sessions) session.close(new ChannelError('CLOSED', 'the manager stops'));
  }

  #welcome(session: ServerSession, answer: { readonly id: number; readonly version: number }): ReturnType<typeof welcomeMessage> {
    const { log, metrics } = this.#components;
    if (this.#closing) throw new Refusal('SHUTTING_DOWN', 'this manager is stopping');
    metrics.serverHellos.inc({});
    log.debug({ event: 'server_greeted', server: session.who, address: session.address }, 'another server looks whether this manager answers');
    return welcomeMessage({ software: SOFTWARE, ...this.#init }, answer);
  }
}
