import type { RelayTable } from '@sekisho/scheduler';
import { chooseVersion, MAX_CERTIFICATE_BYTES, type Message, PROTOCOL_VERSIONS, Refusal } from '@sekisho/wire';
import type { AgentSession } from './agent-session.ts';
import type { AuthPool } from './auth-pool.ts';
import type { LeaseReason } from './manager-metrics.ts';
import { RELAYS_IN_LEASE, type RelayServer } from './settings.ts';

export interface LeaseDeskComponents {
  /** Milliseconds that never go back. */
  readonly clock: { now(): number };
  /** At least 0 and below 1. */
  random(): number;
  readonly auths: AuthPool;
  readonly table: RelayTable;
}

export interface LeaseDeskInit {
  readonly site: string;
  readonly name: string;
  readonly relays: readonly RelayServer[];
}

export interface Lease {
  readonly message: Message<'lease'>;
  readonly reason: LeaseReason;
}

const VERSION = 1;

/** Makes leases: who may have one says auth, which relays are in it says the table. */
export class LeaseDesk {
  readonly #components: LeaseDeskComponents;
  readonly #init: LeaseDeskInit;
  readonly #relays: ReadonlyMap<string, RelayServer>;
  readonly #names: readonly string[];

  constructor(components: LeaseDeskComponents, init: LeaseDeskInit) {
    this.#components = components;
    this.#init = init;
    this.#relays = new Map(init.relays.map((relay) => [relay.name, relay]));
    this.#names = init.relays.map(({ name }) => name);
  }

  /** Answers a hello with a lease. Throws Refusal; only NO_RELAY and AUTH_UNAVAILABLE are absences. */
  async lease(agent: AgentSession, hello: Message<'hello'>): Promise<Lease> {
    const version = chooseVersion(hello.versions, PROTOCOL_VERSIONS);
    if (version === undefined) throw new Refusal('VERSION', 'this manager speaks none of the versions offered');
    const mac = this.#macOf(agent, hello);
    const { peer, address } = agent;
    // Auth cannot be shown it, and no certificate of the operator's is so large.
    if (peer.certificate.length > MAX_CERTIFICATE_BYTES) throw new Refusal('DEVICE_REFUSED', 'the certificate is too large');
    // Auth first, also when there is no relay: only a device that is admitted may hear an absence, which lets it go
    // directly to its destination.
    const grant = await this.#components.auths.authorize({
      type: 'authorize',
      mac,
      certificate: peer.certificate,
      verified: Number(peer.verified),
      address,
      relays: this.#names,
    });
    const { relays, reason } = this.#pick(hello);
    // A copy: what was received is a view of a much larger buffer.
    const ticket = Buffer.from(grant.ticket);
    agent.held = { ticket, expiresAtMs: this.#components.clock.now() + grant.ttlMs };
    agent.relay = relays[0];
    return { reason, message: this.#message({ id: hello.id, version, relays, ticket, ttlMs: grant.ttlMs, reason }) };
  }

  /**
   * Makes a lease that moves an agent off its relay, with the ticket it already has. Undefined when there is nowhere to
   * go or the ticket is over, in which case the agent's own next hello will do.
   */
  push(agent: AgentSession): Lease | undefined {
    const { held, relay } = agent;
    const ttlMs = Math.floor((held?.expiresAtMs ?? 0) - this.#components.clock.now());
    if (held === undefined || relay === undefined || ttlMs <= 0) return undefined;
    const pick = this.#components.table.pick({ count: RELAYS_IN_LEASE, exclude: [relay] });
    if (pick.reason === 'none') return undefined;
    agent.relay = pick.relays[0];
    const { relays } = pick;
    const message = this.#message({ id: 0, version: VERSION, relays, ticket: held.ticket, ttlMs, reason: 'push' });
    return { reason: 'push', message: { ...message, push: 1 } };
  }

  #macOf(agent: AgentSession, { mac }: Message<'hello'>): Buffer {
    if (mac === undefined) throw new Refusal('PROTOCOL', 'a hello to a manager carries the MAC address');
    agent.mac ??= Buffer.from(mac);
    if (!agent.mac.equals(mac)) throw new Refusal('PROTOCOL', 'a connection is of one device');
    return agent.mac;
  }

  #pick(hello: Message<'hello'>): { relays: readonly string[]; reason: LeaseReason } {
    const pick = this.#components.table.pick({
      count: RELAYS_IN_LEASE,
      ...(hello.relay === undefined ? {} : { prefer: hello.relay }),
      exclude: hello.avoid,
    });
    if (pick.reason === 'none') throw new Refusal('NO_RELAY', 'no relay of this site can be used now');
    return pick;
  }

  #message(init: {
    id: number;
    version: number;
    relays: readonly string[];
    ticket: Buffer;
    ttlMs: number;
    reason: LeaseReason;
  }): Message<'lease'> {
    const { relays, ...rest } = init;
    return {
      type: 'lease',
      ...rest,
      site: this.#init.site,
      manager: this.#init.name,
      relays: relays.flatMap((name) => this.#relays.get(name) ?? []).map(({ name, host, port }) => ({ name, host, port })),
      // Spread, so that agents that came together do not come together again.
      renewAfterMs: Math.floor(init.ttlMs * (0.4 + 0.2 * this.#components.random())),
    };
  }
}
