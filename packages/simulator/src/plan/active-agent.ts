import { type AgentTimings, type Command, type Lease, type LeaseOffer, type ManagerFailure, Steering, type SteeringInit, type ZoneAnswer } from '@sekisho/agent';
import type { RefusalCode, RelayAddress } from '@sekisho/wire';
import type { Random } from '../load/random.ts';
import { AgentLinks } from './agent-links.ts';
import { ClientSession, type SessionEnd } from './client-session.ts';
import type { EventQueue } from './event-queue.ts';
import type { Choice, VirtualManager } from './virtual-manager.ts';
import type { VirtualRelay } from './virtual-relay.ts';

/** The mesh around an agent that is simulated in full. */
export interface AgentWorld {
  readonly queue: EventQueue;
  readonly random: Random;
  readonly timings: AgentTimings;
  readonly failMode: 'open' | 'closed';
  readonly dnsDelayMs: number;
  readonly managerAt: (address: string) => VirtualManager | undefined;
  readonly relayAt: (address: RelayAddress) => VirtualRelay;
  /** A round trip, each time a little different. */
  readonly roundTripMs: (from: VirtualManager | VirtualRelay) => number;
  /** What DNS says to this agent now; it remembers which version that was. */
  readonly lookUp: (agent: number) => ZoneAnswer;
  /** A lease, as the manager words it. */
  readonly offer: (manager: VirtualManager, choice: Choice) => LeaseOffer;
  readonly onHello: () => void;
  /** Manager, lease or the way of its sessions is another, perhaps. */
  readonly onChange: (agent: ActiveAgent) => void;
  readonly onSession: (end: SessionEnd, waitedMs: number) => void;
}

/** A control connection, or an attempt at one. */
interface Control {
  readonly manager: VirtualManager | undefined;
  isOpen: boolean;
  /** The manager does not know it any more. */
  isBroken: boolean;
}

/** How to bring an agent back that was settled. */
export interface Memory {
  readonly manager: VirtualManager;
  readonly choice: Choice;
  readonly zone: ZoneAnswer;
  readonly leasedAtMs: number;
  readonly renewAtMs: number;
}

const CONNECT_ROUND_TRIPS = 2;
/** What is due later is looked at again after so long (then after twice that): most agents are a row again by then. */
const FIRST_SLEEP_MS = 5000;
/** While an agent is brought back, chance has no say. */
const NO_CHANCE = 1 - Number.EPSILON;

/** An agent as it is: its Steering, with DNS, managers, relays and clients that exist in virtual time only. */
export class ActiveAgent {
  readonly id: number;
  readonly steering: Steering;
  readonly links: AgentLinks;
  readonly #world: AgentWorld;
  readonly #controls = new Map<string, Control>();
  readonly #waiting = new Set<ClientSession>();
  /** By which what is due later finds it, and keeps it no longer than it lives. */
  readonly #handle: { agent: ActiveAgent | undefined } = { agent: this };
  /** Numbers that are drawn before others are. */
  #drawn: number | undefined;
  #lease: Lease | undefined;
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #sinceMs: number;
  #isFrozen = false;
  #isOver = false;

  constructor(world: AgentWorld, id: number) {
    const { timings, failMode } = world;
    this.#world = world;
    this.#sinceMs = world.queue.now;
    this.id = id;
    this.steering = new Steering({ random: () => this.#draw() }, steeringInit(timings, failMode));
    this.links = new AgentLinks({
      queue: world.queue,
      random: world.random,
      timings,
      relayAt: world.relayAt,
      roundTripMs: world.roundTripMs,
      onTrouble: (isUrgent) => this.#event((steering, nowMs) => steering.renewSoon(nowMs, isUrgent)),
      onChange: () => this.#settled(),
    });
  }

  /** As after its router was switched on. */
  start(): void {
    this.#event((steering, nowMs) => steering.tick(nowMs));
  }

  /** By the events that made it what it is: DNS named its manager, which gave it its lease, and the rest of the zone. */
  resume({ manager, choice, zone, leasedAtMs, renewAtMs }: Memory, offer: LeaseOffer): void {
    const { address } = manager;
    this.#drawn = NO_CHANCE;
    this.steering.lookedUp(leasedAtMs, { ipv4: { addresses: [address], ttlMs: Number.MAX_SAFE_INTEGER }, ipv6: { addresses: [], ttlMs: 0 } });
    this.steering.leased(leasedAtMs, address, { ...offer, renewAfterMs: renewAtMs - leasedAtMs });
    this.steering.lookedUp(leasedAtMs, zone);
    this.steering.take();
    this.#drawn = undefined;
    this.#controls.set(address, { manager, isOpen: true, isBroken: false });
    this.#adopt(manager, choice, leasedAtMs);
  }

  #adopt(manager: VirtualManager, choice: Choice, leasedAtMs: number): void {
    this.#lease = this.steering.lease(leasedAtMs);
    if (this.#lease !== undefined) this.links.adopt(this.#lease);
    if (choice.relay.health !== 'up') this.links.relayGone(choice.relay);
    if (manager.health !== 'up') this.managerGone(manager);
  }

  /** It rests, because nothing can come of what it would do; its row goes on. */
  freeze(): void {
    this.#isFrozen = true;
    this.links.release();
  }

  /** It goes on, with the lease that its row has by now. */
  thaw({ manager, choice, leasedAtMs, renewAtMs }: Memory, offer: LeaseOffer): void {
    this.#isFrozen = false;
    this.#sinceMs = this.#world.queue.now;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    this.steering.leased(leasedAtMs, manager.address, { ...offer, renewAfterMs: renewAtMs - leasedAtMs });
    this.#adopt(manager, choice, leasedAtMs);
  }

  /** Its look-up is due now, and chance has spoken already. */
  lookUpNow(drawn: number): void {
    this.#drawn = drawn;
    const answer = this.#world.lookUp(this.id);
    this.#event((steering, nowMs) => steering.lookedUp(nowMs, answer));
    this.#drawn = undefined;
  }

  /** The manager in use sends a lease by itself. */
  pushed(manager: VirtualManager, offer: LeaseOffer): void {
    const control = this.#controls.get(manager.address);
    if (control?.isOpen === true && !control.isBroken) this.#event((steering, nowMs) => steering.leased(nowMs, manager.address, offer));
  }

  /** It chooses anew, and this manager is whom it has drawn. */
  rehome(manager: VirtualManager): void {
    this.#event((steering, nowMs) => steering.rehome(nowMs, manager.address));
  }

  /** All relays of the site were full for one of its sessions. */
  trouble(): void {
    this.#event((steering, nowMs) => steering.renewSoon(nowMs, true));
  }

  /** A manager is gone: with a reset at once, in silence when the connection is found dead. */
  managerGone(manager: VirtualManager): void {
    const control = this.#controls.get(manager.address);
    if (control === undefined) return;
    const { queue, timings, random } = this.#world;
    // An attempt that is under way finds out by itself.
    if (!control.isOpen || control.isBroken) return;
    control.isBroken = true;
    const noticedMs = manager.health === 'reset' ? this.#world.roundTripMs(manager) / 2 : timings.deadAfterMs * (0.75 + random() / 4);
    queue.after(noticedMs, () => this.#lost(manager.address, control, manager.health === 'reset' ? 'closed' : 'silent'));
  }

  /** The relay that carries its sessions now, if none of them is in question. */
  get flow(): VirtualRelay | undefined {
    const route = this.steering.decide(this.#world.queue.now, this.links.state);
    const first = route.kind === 'relayed' ? route.relays[0] : undefined;
    return first === undefined ? undefined : this.links.carries(first);
  }

  /** Nothing is going on but renewals, look-ups, and probes of dead managers. */
  get isQuiet(): boolean {
    for (const { isBroken } of this.#controls.values()) if (isBroken) return false;
    return this.#waiting.size === 0 && this.links.isQuiet && this.steering.isSettled(this.#world.queue.now);
  }

  /** It is a row again. */
  retire(): void {
    this.#isOver = true;
    this.#handle.agent = undefined;
    this.links.release();
  }

  #draw(): number {
    return this.#drawn ?? this.#world.random();
  }

  #event(tell: (steering: Steering, nowMs: number) => void): void {
    if (this.#isOver || this.#isFrozen) return;
    const { queue } = this.#world;
    tell(this.steering, queue.now);
    for (const command of this.steering.take()) this.#do(command);
    this.#settled();
  }

  /** After every event: its lease, its clients and its sleep may be others now. */
  #settled(): void {
    if (this.#isOver || this.#isFrozen) return;
    const { queue, onChange } = this.#world;
    const lease = this.steering.lease(queue.now);
    if (lease !== undefined && lease !== this.#lease) {
      this.#lease = lease;
      this.links.follow(lease);
      // The manager knows less than we do.
      if (!this.links.hasRelay) this.#event((steering, nowMs) => steering.renewSoon(nowMs, true));
    }
    for (const session of this.#waiting) session.decide();
    onChange(this);
    this.#sleep();
  }

  #sleep(): void {
    if (this.#isOver || this.#isFrozen) return;
    const { queue } = this.#world;
    const longestMs = Math.max(FIRST_SLEEP_MS, queue.now - this.#sinceMs);
    const wakeAtMs = Math.min(Math.max(this.steering.wakeAtMs, queue.now), queue.now + longestMs);
    if (wakeAtMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = wakeAtMs;
    const handle = this.#handle;
    queue.at(wakeAtMs, () => handle.agent?.wake(wakeAtMs));
  }

  /** It is time to look whether something is due. */
  wake(atMs: number): void {
    if (this.#wakeAtMs !== atMs) return;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    if (this.steering.wakeAtMs <= atMs) this.#event((steering, nowMs) => steering.tick(nowMs));
    else this.#sleep();
  }

  #do(command: Command): void {
    const { queue, dnsDelayMs, lookUp } = this.#world;
    if (command.type === 'lookUp')
      queue.after(dnsDelayMs, () => this.#isOver || this.#event((steering, nowMs) => steering.lookedUp(nowMs, lookUp(this.id))));
    else if (command.type === 'drop') this.#drop(command.address);
    else if (command.type === 'ask') this.#ask(command.address);
    else this.#probe(command.address);
  }

  /** A hello, over the connection that there is or a new one. */
  #ask(address: string): void {
    const { queue, onHello, offer, roundTripMs } = this.#world;
    onHello();
    const isNew = this.#controls.get(address)?.isOpen !== true;
    this.#reach(address, (control, manager) => {
      // It has come in; the manager answers when it is its turn.
      queue.at(manager.serve(isNew), () => {
        if (this.#controls.get(address) !== control || control.isBroken || manager.health !== 'up') return;
        if (isNew && manager.clients >= manager.maxAgents) return this.#lost(address, control, 'closed');
        // As the agent does: other sites have relays of the same names.
        const isOwn = this.links.siteName === manager.site.name;
        const choice = isOwn ? manager.choose(this.links.primaryName, this.links.avoid) : manager.choose(undefined, []);
        const answer = choice === undefined ? undefined : offer(manager, choice);
        queue.after(roundTripMs(manager) / 2, () => {
          if (this.#controls.get(address) !== control || control.isBroken) return;
          this.#event((steering, nowMs) =>
            answer === undefined ? steering.refused(nowMs, address, 'NO_RELAY' satisfies RefusalCode, 0) : steering.leased(nowMs, address, answer),
          );
        });
      });
    });
  }

  #probe(address: string): void {
    const { queue, roundTripMs } = this.#world;
    this.#reach(address, (control, manager) => {
      queue.after(roundTripMs(manager) / 2, () => {
        if (this.#controls.get(address) !== control) return;
        this.#drop(address);
        this.#event((steering, nowMs) => steering.answered(nowMs, address));
      });
    });
  }

  /** Connects if need be; what is said arrives after half a round trip. */
  #reach(address: string, arrived: (control: Control, manager: VirtualManager) => void): void {
    const { queue, managerAt, roundTripMs, timings } = this.#world;
    const manager = managerAt(address);
    const control: Control = this.#controls.get(address) ?? { manager, isOpen: false, isBroken: false };
    this.#controls.set(address, control);
    if (control.isBroken) return;
    const isThere = (): boolean => this.#controls.get(address) === control && !control.isBroken;
    const silence = (): void => queue.after(timings.managerBudgetMs, () => this.#lost(address, control, 'silent'));
    if (manager === undefined) return silence();
    const wayMs = roundTripMs(manager) * (control.isOpen ? 0.5 : CONNECT_ROUND_TRIPS + 0.5);
    queue.after(manager.health === 'reset' ? wayMs / 2 : wayMs, () => {
      if (!isThere()) return;
      if (manager.health === 'silent') return silence();
      if (manager.health === 'reset') return this.#lost(address, control, 'unreachable');
      control.isOpen = true;
      arrived(control, manager);
    });
  }

  #lost(address: string, control: Control, cause: ManagerFailure): void {
    if (this.#controls.get(address) !== control) return;
    this.#drop(address);
    this.#event((steering, nowMs) => steering.lost(nowMs, address, cause));
  }

  #drop(address: string): void {
    this.#controls.delete(address);
  }

  /** A client connects. */
  begin(): void {
    const { queue, timings, failMode, onSession } = this.#world;
    const session: ClientSession = new ClientSession({
      queue,
      timings,
      failMode,
      links: this.links,
      decide: (link, isFinal) => (isFinal ? this.steering.decideFinally(queue.now, link) : this.steering.decide(queue.now, link)),
      onTrouble: () => this.trouble(),
      onEnd: (end, waitedMs) => {
        this.#waiting.delete(session);
        if (end.kind === 'relayed') this.steering.relayed(this.links.siteName ?? '');
        onSession(end, waitedMs);
      },
    });
    this.#waiting.add(session);
    session.decide();
  }
}

function steeringInit(timings: AgentTimings, failMode: 'open' | 'closed'): SteeringInit {
  return {
    zone: { ttlMinMs: timings.ttlMinMs, ttlMaxMs: timings.ttlMaxMs, retryFirstMs: timings.managerRetryFirstMs },
    failMode,
    managerStaggerMs: timings.managerStaggerMs,
    managerBudgetMs: timings.managerBudgetMs,
    managerRetry: { firstMs: timings.managerRetryFirstMs, maxMs: timings.managerRetryMaxMs },
    refusalRetry: { firstMs: timings.refusalRetryFirstMs, maxMs: timings.refusalRetryMaxMs },
    moveJitterMs: timings.moveJitterMs,
    rehomeMs: timings.rehomeMs,
  };
}
