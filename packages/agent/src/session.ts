import type { Socket } from 'node:net';
import { addressOf, resetSocket } from '@sekisho/channel';
import type { Logger } from '@sekisho/telemetry';
import { encodeFrame, MAIL_PROTOCOLS, type MailProtocol, type Message, type MuxStream, type RefusalCode, REFUSALS } from '@sekisho/wire';
import type { Clock } from './clock.ts';
import type { AgentMetrics, Outcome, RouteTaken, SessionState } from './agent-metrics.ts';
import { endpointText, refuseClient } from './client-socket.ts';
import { DirectConnection, idleMsOf } from './direct.ts';
import { RaceEntrants } from './race-entrants.ts';
import { RelayLeg } from './relay-leg.ts';
import { type ConnectionEnd, RelayedConnection } from './relayed.ts';
import type { RelayLink } from './relay-link.ts';
import type { RelayPool } from './relay-pool.ts';
import { isAboutTicket, RelayRace } from './relay-race.ts';
import { type DirectReason, type Route, withoutMesh } from './route.ts';
import type { AgentSettings, AgentTimings } from './settings.ts';
import type { Steering } from './steering.ts';

export interface SessionComponents {
  readonly clock: Clock;
  readonly steering: Pick<Steering, 'decide' | 'decideFinally' | 'lease'>;
  readonly pool: RelayPool;
  readonly log: Logger;
  readonly metrics: AgentMetrics;
  /** To the manager. */
  readonly bye: (message: Message<'bye'>) => void;
  readonly onDirect: (reason: DirectReason) => void;
  /** A relay of this site has connected the session. */
  readonly onRelayed: (site: string) => void;
  /** No relay of the lease has taken the session. */
  readonly onTrouble: () => void;
  readonly onEnded: (session: Session) => void;
}

export interface SessionInit {
  /** Accepted, and not read from. */
  readonly client: Socket;
  /** The random id that every log line of this session carries on all roles. */
  readonly id: Buffer;
  readonly destination: { readonly host: string; readonly port: number };
  readonly protocol: MailProtocol;
  readonly settings: Pick<AgentSettings, 'mac' | 'dns' | 'failMode'>;
  readonly timings: AgentTimings;
}

/** One client connection: how it goes, the relay or the destination that takes it, the bytes, the summary. */
export class Session {
  readonly id: string;
  state: SessionState | 'over' = 'deciding';
  readonly #components: SessionComponents;
  readonly #init: SessionInit;
  readonly #startedAtMs: number;
  readonly #deadlineMs: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #entrants = new RaceEntrants();
  #race: RelayRace | undefined;
  #isSilenceTold = false;
  readonly #legs = new Map<number, RelayLeg>();
  #traffic: RelayedConnection | DirectConnection | undefined;
  #link: RelayLink | undefined;

  // For the summary.
  #route: RouteTaken = 'none';
  #reason: DirectReason | undefined;
  #code: RefusalCode | undefined;
  #address: string | undefined;
  /** From the client's connection until it was known how it goes, and until its destination was reached. */
  #decideMs: number | undefined;
  #connectMs: number | undefined;

  constructor(components: SessionComponents, init: SessionInit) {
    this.#components = components;
    this.#init = init;
    this.id = init.id.toString('hex');
    this.#startedAtMs = components.clock.now();
    this.#deadlineMs = this.#startedAtMs + init.timings.decisionBudgetMs;
    // Without a listener a client's reset would end the process; 'close' is what the parts act on.
    init.client.on('error', () => {});
  }

  /** Decides, or looks again after something changed. */
  decide(): void {
    if (this.state === 'connecting') this.#followLease();
    if (this.state !== 'deciding') return;
    const { clock, steering, pool } = this.#components;
    const now = clock.now();
    const isFinal = now >= this.#deadlineMs;
    const route = isFinal ? steering.decideFinally(now, pool.state) : steering.decide(now, pool.state);
    if (route.kind === 'wait') this.#wakeAt(this.#deadlineMs, () => this.decide());
    else this.#go(route);
  }

  /** The agent is stopped: ends now. */
  abort(): void {
    if (this.state === 'over') return;
    this.#cancelLegs();
    this.#end('shutdown');
    if (this.#traffic === undefined) resetSocket(this.#init.client);
    else this.#traffic.abort();
  }

  #go(route: Exclude<Route, { kind: 'wait' }>): void {
    clearTimeout(this.#timer);
    this.#decideMs ??= Math.round(this.#components.clock.now() - this.#startedAtMs);
    this.state = 'connecting';
    if (route.kind === 'direct') return this.#goDirect(route.reason);
    if (route.kind === 'refuse') return this.#refuse(route.code);
    this.#entrants.begin(route);
    this.#isSilenceTold = false;
    this.#race = new RelayRace({
      relays: route.relays.length,
      startedAtMs: this.#components.clock.now(),
      ackTimeoutMs: this.#init.timings.ackTimeoutMs,
      deadlineMs: this.#deadlineMs,
    });
    this.#stepRace(this.#race);
  }

  /** There is a new lease while nobody has acknowledged the session: its relays join the race, those of the old one may still win. */
  #followLease(): void {
    const race = this.#race;
    const { clock, steering, pool } = this.#components;
    const now = clock.now();
    if (race?.verdict !== undefined || race === undefined || now >= this.#deadlineMs) return;
    // Every event asks every session that is about to begin: mostly there is nothing new.
    if (steering.lease(now) === this.#entrants.lease) return;
    const route = steering.decide(now, pool.state);
    if (route.kind !== 'relayed') return;
    this.#isSilenceTold = false;
    const added = this.#entrants.join(route);
    if (added > 0) race.extend(added);
    this.#stepRace(race);
  }

  #stepRace(race: RelayRace): void {
    if (this.state !== 'connecting' || race !== this.#race) return;
    const now = this.#components.clock.now();
    for (let relay = race.step(now); relay !== undefined; relay = race.step(now)) this.#openLeg(race, relay);
    const { verdict } = race;
    if (verdict === undefined) {
      this.#wakeAt(race.wakeAtMs, () => this.#stepRace(race));
      if (race.isSilent) this.#tellSilence();
      return;
    }
    // Connected: the leg itself has handed its stream over.
    if (verdict.kind === 'connected') return;
    this.#cancelLegs();
    if (verdict.kind === 'refused' && !isAboutTicket(verdict.code)) {
      // Another relay might say yes, and the manager may know one by now.
      if (REFUSALS[verdict.code].elsewhere) this.#components.onTrouble();
      return this.#refuse(verdict.code);
    }
    if (!this.#hasNewLease(now)) this.#components.onTrouble();
    if (this.#mayDecideAgain(now)) {
      this.state = 'deciding';
      return this.decide();
    }
    // What somebody has said no to meanwhile does not go direct; a relay that looks well again is tried no more often.
    const last = this.#components.steering.decideFinally(now, this.#components.pool.state);
    if (last.kind === 'refuse') this.#go(last);
    else this.#go(verdict.kind === 'refused' ? { kind: 'refuse', code: verdict.code } : withoutMesh(this.#init.settings.failMode, 'relay_unreachable'));
  }

  /** No relay of the lease says anything: other ones are wanted now, not when the client's time is up. */
  #tellSilence(): void {
    if (this.#isSilenceTold) return;
    this.#isSilenceTold = true;
    for (const { link } of this.#legs.values()) this.#components.pool.suspect(link);
    this.#components.onTrouble();
  }

  /** What failed were the relays of an earlier lease. */
  #hasNewLease(nowMs: number): boolean {
    const route = this.#components.steering.decide(nowMs, this.#components.pool.state);
    return route.kind === 'relayed' && route.lease !== this.#entrants.lease;
  }

  /** No relay has taken the session: whether to look again, because the lease is being renewed or a link made anew. */
  #mayDecideAgain(nowMs: number): boolean {
    if (nowMs >= this.#deadlineMs) return false;
    const { steering, pool } = this.#components;
    const { kind } = steering.decide(nowMs, pool.state);
    return kind === 'wait' || (kind === 'relayed' && this.#entrants.mayRaceAgain);
  }

  #openLeg(race: RelayRace, index: number): void {
    const { pool, metrics } = this.#components;
    if (index > 0) {
      metrics.races.inc({});
      // Those that are still open have not acknowledged the session.
      for (const leg of this.#legs.values()) pool.suspect(leg.link);
    }
    const entrant = this.#entrants.at(index);
    const link = entrant === undefined ? undefined : pool.link(entrant.lease, entrant.relay);
    if (link === undefined) return race.lost(index);
    // Through a link that is only being opened it would be more than a round trip.
    const askedAtMs = link.state === 'ready' ? this.#components.clock.now() : undefined;
    const out = (tell: () => void): void => {
      this.#legs.delete(index);
      tell();
      this.#stepRace(race);
    };
    const leg: RelayLeg = new RelayLeg(
      {
        link,
        handler: {
          onAck: () => {
            pool.trust(link, askedAtMs);
            race.acked(index);
          },
          onConnected: (stream, rest, { address }) => {
            this.#legs.delete(index);
            race.connected(index);
            this.#stream(link, stream, rest, address);
          },
          onRefused: (code) => out(() => race.refused(index, code)),
          onLost: () => out(() => race.lost(index)),
        },
      },
      this.#preamble(),
    );
    this.#legs.set(index, leg);
  }

  #preamble(): Buffer {
    const { client, id, destination, protocol } = this.#init;
    return encodeFrame({
      type: 'connect',
      session: id,
      protocol: MAIL_PROTOCOLS.indexOf(protocol),
      host: destination.host,
      port: destination.port,
      client: endpointText(addressOf(client), client.remotePort ?? 0),
    });
  }

  #stream(link: RelayLink, stream: MuxStream, rest: Buffer, address: string): void {
    clearTimeout(this.#timer);
    this.#cancelLegs();
    this.state = 'streaming';
    this.#route = 'relayed';
    this.#link = link;
    this.#address = address;
    const { clock, metrics, onRelayed } = this.#components;
    onRelayed(link.site);
    const elapsedMs = clock.now() - this.#startedAtMs;
    this.#connectMs = Math.round(elapsedMs);
    metrics.timeToRelay.observe({}, elapsedMs / 1000);
    const { client, protocol } = this.#init;
    const connection = new RelayedConnection(
      { client, stream, onEnded: (end) => this.#end(end === 'destination_aborted' && link.gone ? 'relay_lost' : end) },
      { idleMs: idleMsOf(protocol) },
    );
    this.#traffic = connection;
    connection.start(rest);
  }

  #goDirect(reason: DirectReason): void {
    const { log, onDirect, clock } = this.#components;
    const { client, destination, protocol, settings, timings } = this.#init;
    this.#route = 'direct';
    this.#reason = reason;
    onDirect(reason);
    log.warn(
      { event: 'direct', session: this.id, device: settings.mac, reason, destination: endpointText(destination.host, destination.port) },
      'this connection goes directly to its destination, without the mesh',
    );
    this.#traffic = new DirectConnection(
      {
        client,
        handler: {
          onConnected: (address) => {
            this.state = 'streaming';
            this.#address = address;
            this.#connectMs = Math.round(clock.now() - this.#startedAtMs);
          },
          onFailed: (code) => {
            this.#traffic = undefined;
            this.#refuse(code, 'unreachable');
          },
          onEnded: (end: ConnectionEnd) => this.#end(end),
        },
      },
      { ...destination, timeoutMs: timings.directTimeoutMs, idleMs: idleMsOf(protocol), dnsServers: settings.dns.servers },
    );
  }

  #refuse(code: RefusalCode, outcome: Outcome = 'refused'): void {
    this.#code = code;
    this.#components.metrics.refusals.inc({ code });
    refuseClient(this.#init.client, this.#init.protocol, code, this.id);
    this.#end(outcome);
  }

  #cancelLegs(): void {
    for (const leg of this.#legs.values()) leg.cancel();
    this.#legs.clear();
  }

  #end(outcome: Outcome): void {
    if (this.state === 'over') return;
    this.state = 'over';
    clearTimeout(this.#timer);
    this.#summarize(outcome);
    this.#link?.release();
    this.#components.onEnded(this);
  }

  #summarize(outcome: Outcome): void {
    const { clock, log, metrics, pool, bye } = this.#components;
    const { client, id, destination, protocol, settings } = this.#init;
    const { bytesUp, bytesDown } = this.#traffic ?? { bytesUp: 0, bytesDown: 0 };
    const durationMs = Math.round(clock.now() - this.#startedAtMs);
    const relay = this.#link?.relay.name;
    metrics.sessions.inc({ route: this.#route, outcome });
    metrics.bytes.inc({ direction: 'up' }, bytesUp);
    metrics.bytes.inc({ direction: 'down' }, bytesDown);
    log.info(
      {
        event: 'session',
        session: this.id,
        device: settings.mac,
        client: endpointText(addressOf(client), client.remotePort ?? 0),
        protocol,
        destination: endpointText(destination.host, destination.port),
        address: this.#address,
        route: this.#route,
        reason: this.#reason,
        relay,
        site: this.#link?.site ?? this.#entrants.lease?.site,
        code: this.#code,
        bytesUp,
        bytesDown,
        decideMs: this.#decideMs,
        connectMs: this.#connectMs,
        durationMs,
        outcome,
      },
      'session ended',
    );
    const message: Message<'bye'> = {
      type: 'bye',
      session: id,
      outcome,
      bytesUp,
      bytesDown,
      durationMs,
      ...(relay === undefined ? {} : { relay }),
    };
    if (this.#link !== undefined) pool.bye(this.#link, message);
    bye(message);
  }

  #wakeAt(atMs: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, Math.max(atMs - this.#components.clock.now(), 0) + 1);
  }
}
