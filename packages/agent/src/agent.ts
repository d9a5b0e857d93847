import { X509Certificate } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { secureContext, SessionStore } from '@sekisho/channel';
import type { Logger, Metrics } from '@sekisho/telemetry';
import { macBytes, PROTOCOL_VERSIONS, type RefusalCode } from '@sekisho/wire';
import { type AgentMetrics, agentMetrics, type SessionState, SESSION_STATES } from './agent-metrics.ts';
import type { Clock } from './clock.ts';
import type { Hello } from './control-session.ts';
import type { Lease } from './lease-state.ts';
import { Listeners, type AcceptedClient, type InterceptionStatus, type ListenerStatus } from './listener.ts';
import { type LastRefusal, ManagerClient } from './manager-client.ts';
import type { ManagerHealth } from './manager-set.ts';
import type { MoveReason } from './moves.ts';
import { type LinkStatus, RelayPool } from './relay-pool.ts';
import { ManagerResolver } from './resolver.ts';
import { DIRECT_REASONS, type DirectReason, type Route } from './route.ts';
import { Session } from './session.ts';
import { type AgentLimits, type AgentSettings, type AgentTimings, DEFAULT_LIMITS, DEFAULT_TIMINGS, SOFTWARE } from './settings.ts';
import type { Move } from './site-moves.ts';
import { SiteQuality, type SlowSite } from './site-quality.ts';
import { Steering } from './steering.ts';

export interface AgentComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock?: Clock | undefined;
  /** From 0 up to 1. */
  readonly random?: (() => number) | undefined;
}

/** How new clients go at this moment. */
export type Mode = 'relayed' | 'direct' | 'refused' | 'searching';

/** Plain JSON, for `sekisho status` and tests. Times are milliseconds from now. */
export interface AgentStatus {
  readonly mac: string;
  readonly mode: Mode;
  readonly directReason: DirectReason | undefined;
  readonly manager: string | undefined;
  readonly managers: readonly (Omit<ManagerHealth, 'retryAtMs'> & { readonly retryInMs: number | undefined })[];
  readonly zone: { readonly name: string; readonly problem: string | undefined; readonly lookUpInMs: number };
  readonly lease:
    | {
        readonly site: string;
        readonly manager: string;
        readonly relays: readonly string[];
        readonly reason: string;
        readonly expiresInMs: number;
        readonly renewInMs: number;
      }
    | undefined;
  readonly links: readonly LinkStatus[];
  /** How the ways between sites stand. */
  readonly sites: {
    /** Changes of site since the start, by what made us leave. */
    readonly moves: Readonly<Record<MoveReason, number>>;
    /** Left though they answer; nobody goes back by choice before. */
    readonly shunned: readonly { readonly site: string; readonly forMs: number }[];
    /** The site in use, if it is slow at this moment. */
    readonly slow: SlowSite | undefined;
  };
  readonly sessions: Readonly<Record<SessionState, number>>;
  /** Since the start. */
  readonly direct: Readonly<Record<DirectReason, number>>;
  readonly lastRefusal: LastRefusal | undefined;
  readonly listeners: readonly ListenerStatus[];
  readonly interception: readonly InterceptionStatus[];
}

/** When interception has just ended, handshakes that had begun still end here: a round trip to a client on a slow Wi-Fi. */
const LAST_ARRIVALS_MS = 500;

const monotonic: Clock = { now: () => performance.now() };

/**
 * Starts an agent: its listeners are bound, and the search for a manager has begun, when this resolves.
 * Rejects with the operating system's error when a port cannot be had.
 */
export async function startAgent(components: AgentComponents, settings: AgentSettings): Promise<Agent> {
  const agent = new Agent(components, settings);
  try {
    await agent.listen();
  } catch (error) {
    agent.close();
    throw error;
  }
  return agent;
}

/** The process on the customer's router. */
export class Agent {
  readonly #settings: AgentSettings;
  readonly #timings: AgentTimings;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #metrics: AgentMetrics;
  readonly #steering: Steering;
  readonly #managers: ManagerClient;
  readonly #pool: RelayPool;
  readonly #quality: SiteQuality;
  readonly #listeners: Listeners;
  readonly #sessions = new Set<Session>();
  readonly #directCounts = Object.fromEntries(DIRECT_REASONS.map((reason) => [reason, 0])) as Record<DirectReason, number>;
  #mode: Mode = 'searching';
  #lastLease: Lease | undefined;
  #lastMove: Move | undefined;
  #onIdle: (() => void) | undefined;

  constructor(components: AgentComponents, settings: AgentSettings) {
    const { log, clock = monotonic, random = Math.random } = components;
    this.#settings = settings;
    this.#timings = { ...DEFAULT_TIMINGS, ...settings.timings };
    this.#log = log;
    this.#clock = clock;
    const limits: AgentLimits = { ...DEFAULT_LIMITS, ...settings.limits };
    const context = secureContext(settings.credentials);
    const sessions = new SessionStore();
    const certificateExpiresAtMs = Date.parse(new X509Certificate(settings.credentials.certPem).validTo);
    this.#metrics = agentMetrics(components.metrics, {
      sessions: (state) => this.#count(state),
      managers: (state) => this.#steering.status(clock.now()).managers.filter((manager) => manager.state === state).length,
      leaseIsValid: () => this.#steering.lease(clock.now()) !== undefined,
      isDirect: () => this.#mode === 'direct',
      certificateExpiresAtMs: () => certificateExpiresAtMs,
    });
    this.#steering = new Steering({ random }, steeringInit(settings, this.#timings));
    this.#pool = new RelayPool(
      { clock, random, log, context, sessions, metrics: this.#metrics, onTrouble: (isUrgent) => this.#managers.renewSoon(isUrgent), onChange: () => this.#reconsider(), onRoundTrip: (site, roundTripMs) => this.#onRoundTrip(site, roundTripMs) },
      { ...this.#timings, ...limits },
    );
    this.#quality = new SiteQuality({ random });
    this.#managers = new ManagerClient(
      {
        steering: this.#steering,
        clock,
        resolver: new ManagerResolver({ servers: settings.dns.servers, timeoutMs: this.#timings.dnsTimeoutMs }),
        log,
        metrics: this.#metrics,
        context,
        sessions,
        hello: () => this.#hello(),
        onChange: () => this.#onManagersChanged(),
      },
      {
        managerName: settings.managerName,
        managerPort: settings.managerPort,
        budgetMs: this.#timings.managerBudgetMs,
        deadAfterMs: this.#timings.deadAfterMs,
        relays: settings.relays,
      },
    );
    this.#listeners = new Listeners(
      {
        handler: {
          onClient: (accepted) => this.#onClient(accepted),
          onIntercepted: () => this.#metrics.intercepted.inc({}),
          onRefused: (code, address) => {
            this.#metrics.refusals.inc({ code });
            log.warn({ event: 'client_refused', code, client: address }, WHY_REFUSED[code] ?? 'too many client connections at once');
          },
          onError: (error) => log.error({ event: 'listener_failed', err: error }, 'a listening port failed'),
        },
      },
      limits,
    );
  }

  /** Binds the listeners and begins to search. Rejects when a port cannot be had. */
  async listen(): Promise<void> {
    this.#managers.start();
    for (const forward of this.#settings.forwards) await this.#listeners.listen(forward);
    for (const { listen, destination, protocol } of this.#listeners.status())
      this.#log.info({ event: 'listening', listen, destination, protocol }, 'ready for clients');
    const { interception } = this.#settings;
    if (interception !== undefined) await this.#listeners.intercept(interception);
    for (const { listen, ports } of this.#listeners.interceptionStatus())
      this.#log.info({ event: 'intercepting', listen, ports }, 'ready for clients that the rules of this machine bring; `sekisho intercept up` sets them');
  }

  status(): AgentStatus {
    const now = this.#clock.now();
    const { manager, managers, lease, moves, shunned } = this.#steering.status(now);
    const { zone } = this.#steering;
    const route = this.#route();
    return {
      mac: this.#settings.mac,
      mode: MODE_OF[route.kind],
      directReason: route.kind === 'direct' ? route.reason : undefined,
      manager,
      managers: managers.map(({ retryAtMs, ...health }) => ({
        ...health,
        retryInMs: health.state === 'dead' ? Math.max(Math.round(retryAtMs - now), 0) : undefined,
      })),
      zone: { name: this.#settings.managerName, problem: zone.problem, lookUpInMs: Math.max(Math.round(zone.lookUpAtMs - now), 0) },
      lease: lease && {
        site: lease.site,
        manager: lease.manager,
        relays: lease.relays.map(({ name }) => name),
        reason: lease.reason,
        expiresInMs: Math.round(lease.expiresAtMs - now),
        renewInMs: Math.round(lease.renewAtMs - now),
      },
      links: this.#pool.status(),
      sites: {
        moves,
        shunned: shunned.map(({ site, untilMs }) => ({ site, forMs: Math.round(untilMs - now) })),
        slow: this.#quality.slow(now),
      },
      sessions: Object.fromEntries(SESSION_STATES.map((state) => [state, this.#count(state)])) as Record<SessionState, number>,
      direct: { ...this.#directCounts },
      lastRefusal: this.#managers.lastRefusal,
      listeners: this.#listeners.status(),
      interception: this.#listeners.interceptionStatus(),
    };
  }

  /**
   * Takes no more clients but those that the rules of this machine still bring, lets running sessions end for up to
   * `timeoutMs`, then closes.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#listeners.drain();
    if (this.#listeners.interceptionStatus().length > 0) await sleep(LAST_ARRIVALS_MS);
    if (this.#sessions.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle = resolve;
      await promise;
      clearTimeout(timer);
    }
    this.close();
  }

  /** Ends everything now; running sessions are reset. */
  close(): void {
    this.#listeners.close();
    for (const session of this.#sessions) session.abort();
    this.#managers.close();
    this.#pool.close();
  }

  #onClient(accepted: AcceptedClient): void {
    const session = new Session(
      {
        clock: this.#clock,
        steering: this.#steering,
        pool: this.#pool,
        log: this.#log,
        metrics: this.#metrics,
        onDirect: (reason) => this.#countDirect(reason),
        bye: (message) => this.#managers.bye(message),
        onRelayed: (site) => this.#steering.relayed(site),
        onTrouble: () => this.#managers.renewSoon(true),
        onEnded: (ended) => this.#onSessionEnded(ended),
      },
      { ...accepted, settings: this.#settings, timings: this.#timings },
    );
    this.#sessions.add(session);
    session.decide();
  }

  #countDirect(reason: DirectReason): void {
    this.#directCounts[reason] += 1;
    this.#metrics.direct.inc({ reason });
  }

  #onSessionEnded(session: Session): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#onIdle?.();
  }

  #hello(): { hello: Hello; namesOf: string | undefined } {
    const relay = this.#pool.primary;
    const hello = {
      versions: Buffer.from(PROTOCOL_VERSIONS),
      software: SOFTWARE,
      mac: macBytes(this.#settings.mac),
      avoid: this.#pool.avoid,
      direct: this.#mode === 'direct' ? 1 : 0,
      ...(relay === undefined ? {} : { relay }),
    };
    return { hello, namesOf: this.#pool.site };
  }

  #onManagersChanged(): void {
    const lease = this.#steering.lease(this.#clock.now());
    if (lease !== undefined && lease !== this.#lastLease) this.#onLease(lease);
    this.#reconsider();
  }

  #onLease(lease: Lease): void {
    const before = this.#lastLease;
    this.#lastLease = lease;
    const relays = lease.relays.map(({ name }) => name);
    const isNews = before?.site !== lease.site || before.manager !== lease.manager || before.relays[0]?.name !== relays[0];
    this.#log[isNews ? 'info' : 'debug'](
      { event: 'lease', manager: lease.manager, site: lease.site, relays, reason: lease.reason },
      isNews ? 'new relay' : 'lease renewed',
    );
    if (before !== undefined && before.site !== lease.site) this.#onSiteChanged(before.site);
    this.#quality.follow(this.#clock.now(), lease.site);
    this.#pool.follow(lease);
    // The manager knows less than we do.
    if (!this.#pool.hasRelay) this.#managers.renewSoon(true);
  }

  #onSiteChanged(from: string): void {
    const move = this.#steering.lastMove;
    // After a time without a manager a site is chosen as at the start: that is no move.
    if (move?.from !== from || move === this.#lastMove) return;
    this.#lastMove = move;
    this.#metrics.siteMoves.inc({ reason: move.reason });
    this.#log.info({ event: 'site_left', ...move }, 'new sessions go through another site; the running ones end where they are');
  }

  #onRoundTrip(site: string, roundTripMs: number): void {
    const slow = this.#quality.note(this.#clock.now(), site, roundTripMs);
    if (slow === undefined) return;
    if (this.#steering.mayLeaveSlow(this.#clock.now(), slow.site))
      this.#log.warn({ event: 'site_slow', ...slow }, 'the site answers much more slowly than it did; asking whether another one is quicker');
    this.#managers.siteSlow(slow);
  }

  /** Something changed: clients that wait may be decided now, and the mode may be another. */
  #reconsider(): void {
    const route = this.#route();
    const mode = MODE_OF[route.kind];
    if (mode !== this.#mode && mode !== 'searching') {
      const wasDirect = this.#mode === 'direct';
      this.#mode = mode;
      if (route.kind === 'direct')
        this.#log.error({ event: 'direct_mode', reason: route.reason }, 'no site can be used: clients are connected directly until a manager answers');
      else if (route.kind === 'refuse')
        this.#log.error({ event: 'refused_mode', code: route.code }, 'clients are refused; docs/errors.md says what to do');
      else this.#log.info({ event: 'relayed_mode', wasDirect }, 'clients go through the mesh');
    }
    for (const session of this.#sessions) session.decide();
  }

  #route(): Route {
    return this.#steering.decide(this.#clock.now(), this.#pool.state);
  }

  #count(state: SessionState): number {
    let count = 0;
    for (const session of this.#sessions) if (session.state === state) count += 1;
    return count;
  }
}

const MODE_OF: Readonly<Record<Route['kind'], Mode>> = {
  relayed: 'relayed',
  direct: 'direct',
  refuse: 'refused',
  wait: 'searching',
};

/** Other than a cap on clients. */
const WHY_REFUSED: Partial<Record<RefusalCode, string>> = {
  DESTINATION_PORT: 'somebody has dialled the intercepting socket itself, or a port that is not in intercept.ports',
};

function steeringInit(settings: AgentSettings, timings: AgentTimings): ConstructorParameters<typeof Steering>[1] {
  return {
    zone: { ttlMinMs: timings.ttlMinMs, ttlMaxMs: timings.ttlMaxMs, retryFirstMs: timings.managerRetryFirstMs },
    failMode: settings.failMode,
    managerStaggerMs: timings.managerStaggerMs,
    managerBudgetMs: timings.managerBudgetMs,
    managerRetry: { firstMs: timings.managerRetryFirstMs, maxMs: timings.managerRetryMaxMs },
    refusalRetry: { firstMs: timings.refusalRetryFirstMs, maxMs: timings.refusalRetryMaxMs },
    moveJitterMs: timings.moveJitterMs,
    rehomeMs: timings.rehomeMs,
  };
}
