import type { SecureContext } from 'node:tls';
import type { SessionStore } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import type { Message, RelayAddress } from '@sekisho/wire';
import type { AgentMetrics } from './agent-metrics.ts';
import type { Clock } from './clock.ts';
import { FAILURE_OF } from './control-session.ts';
import type { Lease } from './lease-state.ts';
import { LinkHealth } from './link-health.ts';
import { type LinkEnd, RelayLink } from './relay-link.ts';
import { isAboutTicket } from './relay-race.ts';
import type { LinkState } from './route.ts';
import type { AgentLimits, AgentTimings } from './settings.ts';

export interface RelayPoolComponents {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly context: SecureContext;
  readonly sessions?: SessionStore | undefined;
  readonly metrics: Pick<AgentMetrics, 'relayFailures'>;
  /** A relay of the lease cannot be used: another one is wanted, urgently when none is left. */
  readonly onTrouble: (isUrgent: boolean) => void;
  /** The state of a link changed. */
  readonly onChange: () => void;
  /** How long a relay of the site in use took to answer, or has taken without an answer. */
  readonly onRoundTrip: (site: string, roundTripMs: number) => void;
}

export type RelayPoolInit = AgentTimings & AgentLimits;

/** A relay of the lease in use. */
interface Entry {
  readonly key: string;
  readonly relay: RelayAddress;
  readonly health: LinkHealth;
  link: RelayLink | undefined;
  /** It said go away, after this lease was given and not long ago. */
  isDraining: boolean;
  suspectUntilMs: number;
  idleSinceMs: number;
  admittedAtMs: number;
  retry: NodeJS.Timeout | undefined;
}

export interface LinkStatus {
  readonly relay: string;
  readonly address: string;
  readonly state: string;
  readonly sessions: number;
}

/** A link that ended so soon after it was admitted is a failure, not a restart of the relay's process. */
const SHORT_LIFE_MS = 5000;
/** The relay in use, and the one that takes over, are tried again in the background when they have failed. */
const RELAYS_KEPT_READY = 2;

/** The connections to the relays of the lease, and to earlier ones for as long as their sessions last. */
export class RelayPool {
  readonly #components: RelayPoolComponents;
  readonly #init: RelayPoolInit;
  #entries = new Map<string, Entry>();
  readonly #retired = new Set<RelayLink>();
  readonly #sweep: NodeJS.Timeout;
  #lease: Lease | undefined;
  #isClosed = false;

  constructor(components: RelayPoolComponents, init: RelayPoolInit) {
    this.#components = components;
    this.#init = init;
    this.#sweep = setInterval(() => this.#closeIdle(), init.fallbackIdleMs / 2).unref();
  }

  /** A new lease: its tickets go to the links that it names, its first relay is connected to, the others end. */
  follow(lease: Lease): void {
    if (this.#isClosed || lease === this.#lease) return;
    this.#lease = lease;
    const before = this.#entries;
    this.#entries = new Map();
    for (const relay of lease.relays) {
      const key = keyOf(lease, relay);
      const entry = before.get(key) ?? this.#newEntry(key, relay);
      before.delete(key);
      entry.isDraining = false;
      // It was about the old ticket.
      if (isTicketRefused(entry.health.failure)) entry.health.forgive();
      this.#entries.set(key, entry);
      entry.link?.renew(lease.ticket);
    }
    // The new one first: the old ones are only told to take no more.
    for (const entry of this.#kept(1)) if (entry.health.failure === undefined) this.#open(entry);
    for (const entry of before.values()) this.#retire(entry);
  }

  /** What is known of the way to a relay of the lease. */
  readonly state = (lease: Lease, relay: RelayAddress): LinkState => {
    const entry = this.#entries.get(keyOf(lease, relay));
    if (entry === undefined) return 'idle';
    if (entry.isDraining) return 'draining';
    const refused = entry.link?.refused;
    // It is about to end.
    if (refused !== undefined) return { refused };
    const ready = entry.link?.state === 'ready';
    if (entry.health.failure !== undefined && !(ready && entry.link?.admitted === true)) return entry.health.failure;
    if (!ready && entry.link !== undefined) return 'opening';
    if (this.#components.clock.now() < entry.suspectUntilMs) return 'suspect';
    return ready ? 'ready' : 'idle';
  };

  /** The link to a relay, opened if need be; undefined when it is not of the lease in use or cannot be had. */
  link(lease: Lease, relay: RelayAddress): RelayLink | undefined {
    const entry = this.#entries.get(keyOf(lease, relay));
    if (entry === undefined || entry.isDraining || this.#isClosed) return undefined;
    entry.idleSinceMs = this.#components.clock.now();
    return this.#open(entry);
  }

  /** A session was not acknowledged in time: others go first until something is heard, or the link is found dead. */
  suspect(link: RelayLink): void {
    const entry = this.#entryOf(link);
    if (entry === undefined) return;
    const now = this.#components.clock.now();
    const isNews = now >= entry.suspectUntilMs;
    entry.suspectUntilMs = now + this.#init.deadAfterMs;
    // Once: a session says it again with each relay that it tries.
    if (isNews) this.#components.onRoundTrip(link.site, this.#init.ackTimeoutMs);
  }

  /** The relay acknowledged a session that it was asked for at that time, if that is known. */
  trust(link: RelayLink, askedAtMs: number | undefined): void {
    const entry = this.#entryOf(link);
    if (entry === undefined) return;
    entry.suspectUntilMs = 0;
    if (askedAtMs !== undefined) this.#components.onRoundTrip(link.site, this.#components.clock.now() - askedAtMs);
  }

  /** Whether any relay of the lease may be of use, as far as is known. */
  get hasRelay(): boolean {
    const lease = this.#lease;
    if (lease === undefined) return true;
    return lease.relays.some((relay) => {
      const state = this.state(lease, relay);
      return typeof state === 'string' && state !== 'unreachable' && state !== 'draining';
    });
  }

  /** Names of relays that could not be used lately, for a hello to their site. One that only found our ticket too old is none of them, unless it finds that of every new one. */
  get avoid(): string[] {
    return [...this.#entries.values()]
      .filter(({ health: { failure, failures }, isDraining }) => isDraining || (failure !== undefined && !(isTicketTooOld(failure) && failures === 1)))
      .map(({ relay }) => relay.name);
  }

  /** Where the relays are whose names these are. */
  get site(): string | undefined {
    return this.#lease?.site;
  }

  /** The name of the relay that is used first. */
  get primary(): string | undefined {
    return this.#lease?.relays[0]?.name;
  }

  bye(link: RelayLink, message: Message<'bye'>): void {
    link.bye(message);
  }

  status(): LinkStatus[] {
    const lease = this.#lease;
    const current = [...this.#entries.values()].map((entry) => {
      const state = lease === undefined ? 'idle' : this.state(lease, entry.relay);
      return linkStatus(entry.relay, typeof state === 'string' ? state : `refused ${state.refused}`, entry.link?.sessions);
    });
    const moved = [...this.#retired].filter(({ gone }) => !gone);
    return [...current, ...moved.map((link) => linkStatus(link.relay, 'moved', link.sessions))];
  }

  /** Ends every link, sessions included. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#sweep);
    for (const entry of this.#entries.values()) {
      clearTimeout(entry.retry);
      entry.link?.close();
    }
    for (const link of this.#retired) link.close();
    this.#retired.clear();
  }

  #newEntry(key: string, relay: RelayAddress): Entry {
    const { random } = this.#components;
    const retry = { firstMs: this.#init.relayRetryFirstMs, maxMs: this.#init.relayRetryMaxMs };
    return {
      key,
      relay,
      health: new LinkHealth({ random }, { retry }),
      link: undefined,
      isDraining: false,
      suspectUntilMs: 0,
      idleSinceMs: 0,
      admittedAtMs: 0,
      retry: undefined,
    };
  }

  #open(entry: Entry): RelayLink | undefined {
    const lease = this.#lease;
    if (entry.link !== undefined || lease === undefined) return entry.link;
    clearTimeout(entry.retry);
    const { relay } = entry;
    const { relayTimeoutMs, deadAfterMs, windowBytes, maxSessions } = this.#init;
    const { context, sessions } = this.#components;
    const link: RelayLink = new RelayLink(
      {
        context,
        sessions,
        handler: {
          onAdmitted: () => this.#onAdmitted(entry),
          onDraining: () => this.#onDraining(entry, link),
          onRoundTrip: (roundTripMs) => {
            if (entry.link === link) this.#components.onRoundTrip(link.site, roundTripMs);
          },
          onEnd: (end) => this.#onEnd(entry, link, end),
        },
      },
      { relay, site: lease.site, ticket: lease.ticket, timeoutMs: relayTimeoutMs, deadAfterMs, windowBytes, maxSessions },
    );
    entry.link = link;
    return link;
  }

  #onAdmitted(entry: Entry): void {
    const { clock, log, onChange } = this.#components;
    entry.admittedAtMs = clock.now();
    entry.health.recovered();
    log.info({ event: 'relay_connected', relay: entry.relay.name, address: addressText(entry.relay) }, 'connected to the relay');
    onChange();
  }

  #onDraining(entry: Entry, link: RelayLink): void {
    const { log, onChange, onTrouble } = this.#components;
    log.info({ event: 'relay_draining', relay: entry.relay.name, sessions: link.sessions }, 'the relay takes no new sessions; asking the manager for another');
    if (entry.link === link) {
      entry.link = undefined;
      entry.isDraining = true;
      this.#keepUntilDone(link);
      // As if it could not be reached: after a restart it takes sessions again, and may be the only one that the site has.
      this.#openAfter(entry, this.#init.relayRetryMaxMs);
    }
    onTrouble(!this.#hasOther(entry));
    onChange();
  }

  #onEnd(entry: Entry, link: RelayLink, end: LinkEnd): void {
    if (link.gone) this.#retired.delete(link);
    if (entry.link !== link) return;
    entry.link = undefined;
    if (!link.gone) this.#keepUntilDone(link);
    const { clock, log, metrics, onChange, onTrouble } = this.#components;
    const now = clock.now();
    metrics.relayFailures.inc({ cause: end.refused === undefined ? FAILURE_OF[end.error.code] : 'refused' });
    const wasGood = end.wasAdmitted && now - entry.admittedAtMs >= SHORT_LIFE_MS && end.refused === undefined;
    log.warn(
      {
        event: 'relay_lost',
        relay: entry.relay.name,
        address: addressText(entry.relay),
        cause: end.error.code,
        problem: printable(end.error.message),
        refused: end.refused,
      },
      wasGood ? 'the connection to the relay ended; connecting again' : 'the relay cannot be used; asking the manager for another and trying again later',
    );
    if (wasGood && this.#kept(1).includes(entry)) this.#openAgain(entry, now);
    else {
      entry.health.failed(now, end.refused, end.retryAfterMs);
      this.#planRetry(entry, now);
      onTrouble(!this.#hasOther(entry));
    }
    onChange();
  }

  /**
   * What worked until now is tried at once: a worker of the relay may have been restarted. If another relay can be used
   * meanwhile, it goes first for a moment: all agents of this one have lost it at the same time.
   */
  #openAgain(entry: Entry, nowMs: number): void {
    if (!this.#hasOther(entry)) return void this.#open(entry);
    const pauseMs = this.#components.random() * this.#init.relayRetryFirstMs;
    entry.suspectUntilMs = nowMs + pauseMs;
    this.#openAfter(entry, pauseMs);
  }

  #planRetry(entry: Entry, nowMs: number): void {
    this.#openAfter(entry, Math.max(entry.health.retryAtMs - nowMs, 0));
  }

  #openAfter(entry: Entry, pauseMs: number): void {
    clearTimeout(entry.retry);
    entry.retry = setTimeout(() => {
      if (this.#isClosed || this.#entries.get(entry.key) !== entry) return;
      entry.isDraining = false;
      if (this.#kept(RELAYS_KEPT_READY).includes(entry)) this.#open(entry);
      else this.#openAfter(entry, this.#init.relayRetryMaxMs);
    }, pauseMs);
  }

  /** Whether another relay of the lease can be used, as far as is known; one that is being connected to has yet to show it. */
  #hasOther(entry: Entry): boolean {
    const lease = this.#lease;
    if (lease === undefined) return false;
    return [...this.#entries.values()].some((other) => {
      const state = other === entry ? undefined : this.state(lease, other.relay);
      return state === 'ready' || state === 'idle';
    });
  }

  #retire(entry: Entry): void {
    clearTimeout(entry.retry);
    const { link } = entry;
    entry.link = undefined;
    if (link === undefined) return;
    if (link.sessions > 0)
      this.#components.log.info(
        { event: 'relay_left', relay: entry.relay.name, sessions: link.sessions },
        'new sessions go elsewhere; the running ones end where they are',
      );
    this.#keepUntilDone(link);
    link.drain();
  }

  /** A link without a place in the lease: it ends with its last session. At most maxSessions, since each has one. */
  #keepUntilDone(link: RelayLink): void {
    for (const old of this.#retired) if (old.state === 'closed') this.#retired.delete(old);
    this.#retired.add(link);
  }

  #kept(count: number): Entry[] {
    return [...this.#entries.values()].slice(0, count);
  }

  #entryOf(link: RelayLink): Entry | undefined {
    for (const entry of this.#entries.values()) if (entry.link === link) return entry;
    return undefined;
  }

  #closeIdle(): void {
    const [primary, ...others] = this.#entries.values();
    // While the first relay is out, the second is the one in use.
    if (primary?.link?.admitted !== true) return;
    for (const { link, idleSinceMs } of others) {
      if (link === undefined || link.sessions > 0) continue;
      if (this.#components.clock.now() - idleSinceMs >= this.#init.fallbackIdleMs) link.close();
    }
    for (const entry of others) if (entry.link?.state === 'closed') entry.link = undefined;
  }
}

function isTicketTooOld(failure: LinkState): boolean {
  return typeof failure === 'object' && failure.refused === 'TICKET_EXPIRED';
}

function isTicketRefused(failure: LinkState | undefined): boolean {
  return typeof failure === 'object' && isAboutTicket(failure.refused);
}

/** A relay's name is unique in its site only, and a relay that moved is another one. */
function keyOf(lease: Lease, relay: RelayAddress): string {
  return `${lease.site}/${relay.name} ${relay.host} ${relay.port}`;
}

function addressText({ host, port }: RelayAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function linkStatus(relay: RelayAddress, state: string, sessions = 0): LinkStatus {
  return { relay: relay.name, address: addressText(relay), state, sessions };
}
