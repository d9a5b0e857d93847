import { type AgentTimings, type DirectReason, type Lease, type LinkState, RaceEntrants, RelayRace, type Route, withoutMesh } from '@sekisho/agent';
import { REFUSALS, type RefusalCode, type RelayAddress } from '@sekisho/wire';
import type { AgentLinks, LegOutcome } from './agent-links.ts';
import type { EventQueue } from './event-queue.ts';

/** How a session went, and how long its client waited until that was known. */
export type SessionEnd =
  | { readonly kind: 'relayed' }
  | { readonly kind: 'direct'; readonly reason: DirectReason }
  | { readonly kind: 'refused'; readonly code: RefusalCode };

export interface ClientSessionComponents {
  readonly queue: EventQueue;
  readonly links: AgentLinks;
  readonly timings: AgentTimings;
  readonly failMode: 'open' | 'closed';
  readonly decide: (link: (lease: Lease, relay: RelayAddress) => LinkState, isFinal: boolean) => Route;
  /** None of the relays has taken it. */
  readonly onTrouble: () => void;
  readonly onEnd: (end: SessionEnd, waitedMs: number) => void;
}

/** One client connection of an agent that is not well: the agent's decisions and its race, in virtual time. */
export class ClientSession {
  readonly #components: ClientSessionComponents;
  readonly #startedAtMs: number;
  readonly #deadlineMs: number;
  #state: 'deciding' | 'racing' | 'over' = 'deciding';
  readonly #entrants = new RaceEntrants();
  #isSilenceTold = false;
  #current: RelayRace | undefined;
  /** Relays that were asked, and have neither connected nor said no. */
  readonly #asked = new Map<number, RelayAddress>();

  constructor(components: ClientSessionComponents) {
    const { queue, timings } = components;
    this.#components = components;
    this.#startedAtMs = queue.now;
    this.#deadlineMs = queue.now + timings.decisionBudgetMs;
    queue.at(this.#deadlineMs, () => this.decide());
  }

  /** Decides, or looks again after something changed. */
  decide(): void {
    if (this.#state === 'racing') this.#followLease();
    if (this.#state !== 'deciding') return;
    const { queue, links, decide } = this.#components;
    const route = decide(links.state, queue.now >= this.#deadlineMs);
    if (route.kind === 'relayed') this.#race(route);
    else if (route.kind !== 'wait') this.#goWithout(route);
  }

  #goWithout(route: Extract<Route, { kind: 'direct' | 'refuse' }>): void {
    this.#end(route.kind === 'direct' ? { kind: 'direct', reason: route.reason } : { kind: 'refused', code: route.code });
  }

  /** As the agent's session: the relays of a new lease join a race in which nobody has said anything. */
  #followLease(): void {
    const { queue, links, decide } = this.#components;
    const race = this.#current;
    if (race?.verdict !== undefined || race === undefined || queue.now >= this.#deadlineMs) return;
    const route = decide(links.state, false);
    if (route.kind !== 'relayed' || route.lease === this.#entrants.lease) return;
    this.#isSilenceTold = false;
    const added = this.#entrants.join(route);
    if (added > 0) race.extend(added);
    this.#step(race);
  }

  #race(route: Extract<Route, { kind: 'relayed' }>): void {
    this.#state = 'racing';
    this.#entrants.begin(route);
    this.#isSilenceTold = false;
    const { queue, timings } = this.#components;
    const race = new RelayRace({ relays: route.relays.length, startedAtMs: queue.now, ackTimeoutMs: timings.ackTimeoutMs, deadlineMs: this.#deadlineMs });
    this.#current = race;
    this.#asked.clear();
    this.#step(race);
  }

  #step(race: RelayRace): void {
    const { queue, links, decide, onTrouble } = this.#components;
    if (this.#state !== 'racing' || race !== this.#current) return;
    for (let relay = race.step(queue.now); relay !== undefined; relay = race.step(queue.now)) this.#openLeg(race, relay);
    const { verdict } = race;
    if (verdict === undefined) {
      if (race.wakeAtMs < Number.POSITIVE_INFINITY) queue.at(Math.max(race.wakeAtMs, queue.now + 1), () => this.#step(race));
      if (race.isSilent && !this.#isSilenceTold) {
        this.#isSilenceTold = true;
        for (const relay of this.#asked.values()) links.suspect(relay);
        onTrouble();
      }
    } else if (verdict.kind === 'connected') this.#end({ kind: 'relayed' });
    else if (verdict.kind === 'refused') {
      if (REFUSALS[verdict.code].elsewhere) onTrouble();
      this.#end({ kind: 'refused', code: verdict.code });
    } else {
      const route = decide(links.state, false);
      // Otherwise what failed were the relays of an earlier lease.
      if (route.kind !== 'relayed' || route.lease === this.#entrants.lease) onTrouble();
      this.#again();
    }
  }

  /** No relay has answered: the lease may be renewed by now. */
  #again(): void {
    const { queue, links, decide, failMode } = this.#components;
    if (queue.now < this.#deadlineMs) {
      const { kind } = decide(links.state, false);
      if (kind === 'wait' || (kind === 'relayed' && this.#entrants.mayRaceAgain)) {
        this.#state = 'deciding';
        return this.decide();
      }
    }
    const last = decide(links.state, true);
    this.#goWithout(last.kind === 'refuse' ? last : withoutMesh(failMode, 'relay_unreachable'));
  }

  #openLeg(race: RelayRace, index: number): void {
    const { links } = this.#components;
    // Those that are still open have not acknowledged the session.
    if (index > 0) for (const earlier of this.#asked.values()) links.suspect(earlier);
    const relay = this.#entrants.at(index)?.relay;
    const tell = (outcome: LegOutcome): void => {
      if (outcome === 'acked') return race.acked(index);
      if (race === this.#current) this.#asked.delete(index);
      if (outcome === 'connected') race.connected(index);
      else if (outcome === 'lost') race.lost(index);
      else race.refused(index, outcome);
      this.#step(race);
    };
    if (relay === undefined || !links.open(relay, tell)) return race.lost(index);
    this.#asked.set(index, relay);
  }

  #end(end: SessionEnd): void {
    this.#state = 'over';
    this.#components.onEnd(end, this.#components.queue.now - this.#startedAtMs);
  }
}
