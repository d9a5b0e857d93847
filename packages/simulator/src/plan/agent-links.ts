import { type AgentTimings, type Lease, LinkHealth, type LinkState } from '@sekisho/agent';
import type { RefusalCode, RelayAddress } from '@sekisho/wire';
import type { Random } from '../load/random.ts';
import type { EventQueue } from './event-queue.ts';
import type { VirtualRelay } from './virtual-relay.ts';

export interface AgentLinksComponents {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly timings: AgentTimings;
  readonly relayAt: (address: RelayAddress) => VirtualRelay;
  readonly roundTripMs: (relay: VirtualRelay) => number;
  /** A relay cannot be used; urgent when none is left. */
  readonly onTrouble: (isUrgent: boolean) => void;
  readonly onChange: () => void;
}

/** How one session fared at one relay. */
export type LegOutcome = 'acked' | 'connected' | 'lost' | RefusalCode;

interface Entry {
  readonly relay: VirtualRelay;
  readonly health: LinkHealth;
  link: 'none' | 'opening' | 'ready';
  /** It looks ready, and nothing comes through. */
  isBroken: boolean;
  /** Counts links, so that what was begun for an earlier one ends nowhere. */
  epoch: number;
  suspectUntilMs: number;
  admittedAtMs: number;
  retries: number;
  legs: ((outcome: LegOutcome) => void)[];
}

/** TCP, TLS and the ticket; then the relay has admitted us. */
const CONNECT_ROUND_TRIPS = 3;
/** What the agent's pool of links does (packages/agent, relay-pool): a link that ended so soon was a failure. */
const SHORT_LIFE_MS = 5000;

/**
 * The connections of one agent to the relays of its lease, in virtual time. The rules are those of the agent's own pool,
 * which has sockets in it; what is remembered of a relay is its LinkHealth.
 */
export class AgentLinks {
  readonly #components: AgentLinksComponents;
  #entries = new Map<VirtualRelay, Entry>();
  #lease: Lease | undefined;

  constructor(components: AgentLinksComponents) {
    this.#components = components;
  }

  /** A new lease: its first relay is connected to, those that it does not name are left. */
  follow(lease: Lease): void {
    this.#lease = lease;
    const before = this.#entries;
    this.#entries = new Map();
    for (const address of lease.relays) {
      const relay = this.#components.relayAt(address);
      this.#entries.set(relay, before.get(relay) ?? this.#newEntry(relay));
      before.delete(relay);
    }
    const primary = this.#primary;
    if (primary?.health.failure === undefined && primary !== undefined) this.#open(primary);
    for (const entry of before.values()) this.#close(entry);
  }

  /** As it is while all is well: connected to the first relay of the lease, which counts us already. */
  adopt(lease: Lease): void {
    this.#lease = lease;
    this.#entries = new Map();
    for (const address of lease.relays) {
      const relay = this.#components.relayAt(address);
      this.#entries.set(relay, this.#newEntry(relay));
    }
    const primary = this.#primary;
    if (primary === undefined) return;
    primary.link = 'ready';
    primary.admittedAtMs = Number.NEGATIVE_INFINITY;
  }

  /** What is known of the way to a relay of the lease. */
  readonly state = (_lease: Lease, address: RelayAddress): LinkState => {
    const entry = this.#entries.get(this.#components.relayAt(address));
    return entry === undefined ? 'idle' : this.#stateOf(entry);
  };

  /** Whether any relay of the lease may be of use, as far as is known. */
  get hasRelay(): boolean {
    for (const entry of this.#entries.values()) {
      const state = this.#stateOf(entry);
      if (typeof state === 'string' && state !== 'unreachable') return true;
    }
    return false;
  }

  /** For a hello, as the agent's pool says it. */
  get avoid(): string[] {
    return [...this.#entries.values()].filter(({ health }) => health.failure !== undefined).map(({ relay }) => relay.name);
  }

  /** Of the lease. */
  get siteName(): string | undefined {
    return this.#lease?.site;
  }

  get primaryName(): string | undefined {
    return this.#lease?.relays[0]?.name;
  }

  /** Nothing is remembered against a relay of the lease, and the first one is connected. */
  get isQuiet(): boolean {
    const { now } = this.#components.queue;
    for (const { health, suspectUntilMs, isBroken } of this.#entries.values())
      if (health.failure !== undefined || suspectUntilMs > now || isBroken) return false;
    return this.#primary?.link === 'ready';
  }

  /** Sessions through this relay need nothing of ours: it is connected, and really there. */
  carries(address: RelayAddress): VirtualRelay | undefined {
    const entry = this.#entries.get(this.#components.relayAt(address));
    return entry?.link === 'ready' && !entry.isBroken && entry.suspectUntilMs <= this.#components.queue.now ? entry.relay : undefined;
  }

  /** Opens a session through a relay of the lease. False: there is no way to it. `tell` hears how it goes, if anything comes. */
  open(address: RelayAddress, tell: (outcome: LegOutcome) => void): boolean {
    const entry = this.#entries.get(this.#components.relayAt(address));
    if (entry === undefined) return false;
    entry.legs.push(tell);
    if (entry.link === 'ready') this.#begin(entry, tell);
    else this.#open(entry);
    return true;
  }

  /** A session was not acknowledged in time: others go first. */
  suspect(address: RelayAddress): void {
    const entry = this.#entries.get(this.#components.relayAt(address));
    if (entry !== undefined) entry.suspectUntilMs = this.#components.queue.now + this.#components.timings.deadAfterMs;
  }

  /** The relay is gone; a reset says so at once, silence when the connection is found dead. */
  relayGone(relay: VirtualRelay): void {
    const entry = this.#entries.get(relay);
    if (entry?.link !== 'ready' || entry.isBroken) return;
    const { queue, random, timings } = this.#components;
    const { epoch } = entry;
    entry.isBroken = true;
    const noticedMs = relay.health === 'reset' ? this.#components.roundTripMs(relay) / 2 : timings.deadAfterMs * (0.75 + random() / 4);
    queue.after(noticedMs, () => {
      if (entry.epoch === epoch && this.#entries.get(relay) === entry) this.#ended(entry);
    });
  }

  /** Leaves all but the first relay, which goes on counting us. */
  release(): void {
    const primary = this.#primary;
    for (const entry of this.#entries.values()) if (entry !== primary) this.#close(entry);
  }

  get #primary(): Entry | undefined {
    for (const entry of this.#entries.values()) return entry;
    return undefined;
  }

  #newEntry(relay: VirtualRelay): Entry {
    const { random, timings } = this.#components;
    const retry = { firstMs: timings.relayRetryFirstMs, maxMs: timings.relayRetryMaxMs };
    return {
      relay,
      health: new LinkHealth({ random }, { retry }),
      link: 'none',
      isBroken: false,
      epoch: 0,
      suspectUntilMs: 0,
      admittedAtMs: 0,
      retries: 0,
      legs: [],
    };
  }

  #stateOf(entry: Entry): LinkState {
    const { failure } = entry.health;
    if (failure !== undefined && entry.link !== 'ready') return failure;
    if (entry.link === 'opening') return 'opening';
    if (this.#components.queue.now < entry.suspectUntilMs) return 'suspect';
    return entry.link === 'ready' ? 'ready' : 'idle';
  }

  #open(entry: Entry): void {
    if (entry.link !== 'none') return;
    const { queue, timings, roundTripMs } = this.#components;
    entry.link = 'opening';
    entry.epoch += 1;
    entry.retries += 1;
    const { epoch, relay } = entry;
    const startedAtMs = queue.now;
    const finish = (): void => {
      if (entry.epoch !== epoch || entry.link !== 'opening') return;
      if (relay.health === 'silent' && queue.now < startedAtMs + timings.relayTimeoutMs)
        return queue.at(startedAtMs + timings.relayTimeoutMs, finish);
      if (relay.health !== 'up') this.#failed(entry, undefined);
      else if (!relay.connect()) this.#failed(entry, 'FULL');
      else this.#admitted(entry);
    };
    queue.after(roundTripMs(relay) * (relay.health === 'reset' ? 1 : CONNECT_ROUND_TRIPS), finish);
  }

  #admitted(entry: Entry): void {
    entry.link = 'ready';
    entry.isBroken = false;
    entry.admittedAtMs = this.#components.queue.now;
    entry.suspectUntilMs = 0;
    entry.health.recovered();
    for (const leg of entry.legs) this.#begin(entry, leg);
    this.#components.onChange();
  }

  /** A session on a link that is ready: a round trip, if there is somebody. */
  #begin(entry: Entry, tell: (outcome: LegOutcome) => void): void {
    const { queue, roundTripMs } = this.#components;
    const { epoch, relay } = entry;
    queue.after(roundTripMs(relay), () => {
      if (entry.epoch !== epoch || entry.isBroken || !entry.legs.includes(tell)) return;
      entry.legs = entry.legs.filter((leg) => leg !== tell);
      entry.suspectUntilMs = 0;
      tell('acked');
      tell(relay.admit() ? 'connected' : 'FULL');
    });
  }

  /** The end of a link that had been ready. */
  #ended(entry: Entry): void {
    const { queue, random, timings, onChange, onTrouble } = this.#components;
    const wasGood = queue.now - entry.admittedAtMs >= SHORT_LIFE_MS;
    entry.link = 'none';
    entry.isBroken = false;
    entry.epoch += 1;
    if (wasGood && entry === this.#primary) {
      if (this.#hasOther(entry)) {
        const pauseMs = random() * timings.relayRetryFirstMs;
        entry.suspectUntilMs = queue.now + pauseMs;
        this.#openAfter(entry, pauseMs);
      } else this.#open(entry);
    } else {
      entry.health.failed(queue.now, undefined);
      this.#openAfter(entry, entry.health.retryAtMs - queue.now);
      onTrouble(!this.#hasOther(entry));
    }
    this.#loseLegs(entry);
    onChange();
  }

  #failed(entry: Entry, refused: RefusalCode | undefined): void {
    const { queue, onChange, onTrouble } = this.#components;
    entry.link = 'none';
    entry.epoch += 1;
    entry.health.failed(queue.now, refused);
    this.#openAfter(entry, entry.health.retryAtMs - queue.now);
    onTrouble(!this.#hasOther(entry));
    this.#loseLegs(entry);
    onChange();
  }

  #openAfter(entry: Entry, pauseMs: number): void {
    const { retries } = entry;
    this.#components.queue.after(pauseMs, () => {
      if (entry.retries === retries && this.#entries.get(entry.relay) === entry) this.#open(entry);
    });
  }

  #hasOther(entry: Entry): boolean {
    return [...this.#entries.values()].some((other) => {
      const state = other === entry ? undefined : this.#stateOf(other);
      return state === 'ready' || state === 'idle';
    });
  }

  #loseLegs(entry: Entry): void {
    const { legs } = entry;
    entry.legs = [];
    for (const leg of legs) leg('lost');
  }

  #close(entry: Entry): void {
    if (entry.link === 'ready' && !entry.isBroken) entry.relay.devices -= 1;
    entry.link = 'none';
    entry.epoch += 1;
    this.#loseLegs(entry);
  }
}
