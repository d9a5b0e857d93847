import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { type BackoffInit, pauseMs } from './backoff.ts';
import { LEAST_RENEWAL_MS, type Lease, type LeaseOffer, LeaseState, type Refused } from './lease-state.ts';
import { ManagerSearch } from './manager-search.ts';
import { type ManagerFailure, type ManagerHealth, ManagerSet } from './manager-set.ts';
import { inRandomOrder } from './random-order.ts';
import { type DirectReason, decideRoute, type FailMode, type Route, type RouteView, withoutMesh } from './route.ts';
import { Zone, type ZoneAnswer, type ZoneInit } from './zone.ts';

export interface SteeringInit {
  readonly zone: ZoneInit;
  readonly failMode: FailMode;
  readonly managerStaggerMs: number;
  readonly managerBudgetMs: number;
  /** After which a manager that failed is tried again. */
  readonly managerRetry: BackoffInit;
  /** After which a device that was refused asks again. */
  readonly refusalRetry: BackoffInit;
  /** An agent that has a lease waits up to so long before it moves, or asks in place of a lost relay: the others do, too. */
  readonly moveJitterMs: number;
}

/** What is to be done outside; each is answered by the event named. */
export type Command =
  /** lookedUp() */
  | { readonly type: 'lookUp' }
  /** Say hello, over the connection to this address or a new one: leased(), refused() or lost() */
  | { readonly type: 'ask'; readonly address: string }
  /** Connect, see whether a ping is answered, close: answered() or lost() */
  | { readonly type: 'probe'; readonly address: string }
  /** End the connection to this address, or the attempt at one, because of `cause` if it failed; no event comes of it. */
  | { readonly type: 'drop'; readonly address: string; readonly cause: ManagerFailure | undefined };

interface Attempt {
  readonly purpose: 'lease' | 'renew' | 'probe';
  readonly startedAtMs: number;
  readonly deadlineMs: number;
}

export interface SteeringStatus {
  readonly manager: string | undefined;
  readonly managers: readonly ManagerHealth[];
  readonly lease: Lease | undefined;
  readonly refused: Refused | undefined;
  readonly absence: DirectReason | undefined;
  readonly searching: boolean;
}

/**
 * Pauses between two hellos because of relays in trouble. Not longer than a client waits: who has no relay that works
 * goes direct meanwhile.
 */
const TROUBLE_RETRY: BackoffInit = { firstMs: LEAST_RENEWAL_MS, maxMs: 5000 };
/** After so long without trouble the next one is a new one. */
const TROUBLE_OVER_MS = 15_000;

/**
 * Everything an agent decides about managers, and how a client connection goes: which manager is asked when, what its
 * silence or its answer means, when to move. Pure: no sockets and no timers; events come in with the time, commands go
 * out, and `wakeAtMs` says when tick() is due. The simulator runs this very code.
 */
export class Steering {
  readonly #random: () => number;
  readonly #init: SteeringInit;
  readonly #zone: Zone;
  readonly #managers: ManagerSet;
  readonly #leases: LeaseState;
  readonly #attempts = new Map<string, Attempt>();
  #commands: Command[] = [];
  #nowMs = 0;
  #lookUpPending = false;
  /** The manager whose control connection we keep. */
  #current: string | undefined;
  #search: ManagerSearch | undefined;
  #searchAtMs: number | undefined;
  /** With #searchAtMs: only these, because they are new. */
  #moveTo: readonly string[] | undefined;
  /** A search, or the first look-up, has ended with nothing. */
  #nobody = false;
  #lastHelloMs = Number.NEGATIVE_INFINITY;
  #renewSoonAtMs = Number.POSITIVE_INFINITY;
  /** With #renewSoonAtMs: what it would be if it were urgent. */
  #earliestHelloMs = 0;
  #troubles = 0;
  #lastTroubleMs = Number.NEGATIVE_INFINITY;

  constructor(components: { readonly random: () => number }, init: SteeringInit) {
    this.#random = components.random;
    this.#init = init;
    this.#zone = new Zone(components, init.zone);
    this.#managers = new ManagerSet(components, { retry: init.managerRetry });
    this.#leases = new LeaseState(components, { retry: init.refusalRetry });
  }

  /** What is to be done now; each command is given out once. */
  take(): Command[] {
    const commands = this.#commands;
    this.#commands = [];
    return commands;
  }

  /** Does what is due at this time. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const [address, { deadlineMs }] of this.#attempts) {
      if (deadlineMs > nowMs) continue;
      this.#drop(address, 'silent');
      this.#fail(nowMs, address, 'silent');
    }
    if (!this.#lookUpPending && this.#zone.lookUpAtMs <= nowMs) {
      this.#lookUpPending = true;
      this.#commands.push({ type: 'lookUp' });
    }
    if (this.#search === undefined && this.#searchDueAtMs() <= nowMs) this.#beginSearch(nowMs);
    this.#stepSearch(nowMs);
    if (this.#current !== undefined) this.#keepCurrent(nowMs, this.#current);
  }

  /** DNS has answered, or failed. */
  lookedUp(nowMs: number, answer: ZoneAnswer): void {
    this.#lookUpPending = false;
    const { gained, lost } = this.#zone.take(nowMs, answer);
    this.#managers.update(this.#zone.addresses);
    for (const address of lost) {
      // The connection that is in use goes on until another one has given a lease, or none has.
      if (this.#attempts.has(address) && address !== this.#current) this.#drop(address);
    }
    if (this.#zone.addresses.length === 0) this.#nobody = true;
    this.#search?.follow(this.#search.isMove ? [] : gained, lost);
    if (this.#current !== undefined) this.#follow(nowMs, this.#current, gained);
    this.tick(nowMs);
  }

  /** A manager gave a lease, as the answer to a hello or by itself (a push). */
  leased(nowMs: number, address: string, offer: LeaseOffer): void {
    const purpose = this.#attempts.get(address)?.purpose;
    if (address !== this.#current && purpose !== 'lease') return this.#drop(address);
    this.#attempts.delete(address);
    this.#managers.leased(address);
    this.#leases.take(nowMs, offer);
    this.#nobody = false;
    this.#renewSoonAtMs = Number.POSITIVE_INFINITY;
    if (address !== this.#current) this.#win(nowMs, address);
    this.tick(nowMs);
  }

  /** A manager said no. */
  refused(nowMs: number, address: string, code: RefusalCode, retryAfterMs: number): void {
    const purpose = this.#attempts.get(address)?.purpose;
    const wasCurrent = address === this.#current;
    this.#drop(address);
    if (!wasCurrent && purpose !== 'lease') return;
    const { elsewhere, absence } = REFUSALS[code];
    // A new site that does not want us takes nothing away from the lease that we have.
    if (elsewhere || (this.#search?.isMove === true && !wasCurrent)) {
      if (!absence && this.#search !== undefined) this.#search.refusal ??= { code, retryAfterMs };
      this.#fail(nowMs, address, absence ? 'absent' : 'refused', retryAfterMs);
    } else {
      this.#leases.refuse(nowMs, code, retryAfterMs);
      this.#endSearch(nowMs, Number.POSITIVE_INFINITY);
      this.#searchAtMs = undefined;
      this.#moveTo = undefined;
      if (this.#current !== undefined) this.#drop(this.#current);
      this.#current = undefined;
    }
    this.tick(nowMs);
  }

  /** A manager answered a probe; its connection is closed. */
  answered(nowMs: number, address: string): void {
    if (this.#attempts.get(address)?.purpose !== 'probe') return;
    this.#attempts.delete(address);
    this.#managers.good(address, nowMs);
    this.tick(nowMs);
  }

  /** A connection to a manager ended, or could not be made. */
  lost(nowMs: number, address: string, cause: ManagerFailure): void {
    if (address !== this.#current && !this.#attempts.has(address)) return;
    this.#fail(nowMs, address, cause);
    this.tick(nowMs);
  }

  /**
   * A relay of the lease cannot be used: ask the manager for another one, with growing pauses.
   * @param isUrgent none is left. Otherwise there is no hurry, and all agents of that relay have lost it at the same moment.
   */
  renewSoon(nowMs: number, isUrgent: boolean): void {
    if (this.#current === undefined) return;
    if (this.#renewSoonAtMs === Number.POSITIVE_INFINITY) {
      this.#troubles = nowMs - this.#lastTroubleMs > TROUBLE_OVER_MS ? 1 : this.#troubles + 1;
      this.#lastTroubleMs = nowMs;
      this.#earliestHelloMs = Math.max(nowMs, this.#lastHelloMs + pauseMs(this.#troubles, TROUBLE_RETRY, this.#random));
      this.#renewSoonAtMs = this.#earliestHelloMs + this.#init.moveJitterMs * this.#random();
    }
    if (isUrgent) this.#renewSoonAtMs = this.#earliestHelloMs;
    this.tick(nowMs);
  }

  /** How a client connection goes that has to be decided now. */
  decide(nowMs: number, link: RouteView['link']): Route {
    return decideRoute(this.#view(nowMs, link));
  }

  /** As decide(), for a client whose time is up: what has not answered by now is silent. */
  decideFinally(nowMs: number, link: RouteView['link']): Route {
    const route = decideRoute({ ...this.#view(nowMs, link), leaseIsComing: false });
    return route.kind === 'wait' ? withoutMesh(this.#init.failMode, this.#reason) : route;
  }

  /** When tick() has something to do. */
  get wakeAtMs(): number {
    let atMs = this.#lookUpPending ? Number.POSITIVE_INFINITY : this.#zone.lookUpAtMs;
    atMs = Math.min(atMs, this.#search?.wakeAtMs ?? this.#searchDueAtMs());
    for (const { purpose, startedAtMs, deadlineMs } of this.#attempts.values()) {
      atMs = Math.min(atMs, deadlineMs);
      const patienceEndsMs = startedAtMs + this.#init.managerStaggerMs;
      if (purpose === 'renew' && patienceEndsMs > this.#nowMs) atMs = Math.min(atMs, patienceEndsMs);
    }
    if (this.#current !== undefined) atMs = Math.min(atMs, this.#renewAtMs(this.#current), this.#probeAtMs());
    const expiresAtMs = this.#leases.live(this.#nowMs)?.expiresAtMs;
    return Math.min(atMs, expiresAtMs ?? Number.POSITIVE_INFINITY);
  }

  /**
   * It has a manager and a lease, nothing is on its way, and no trouble is remembered: what comes next is a renewal, a
   * look-up, or a probe of those that are `dead`. All else that there is to know of it are its manager, its lease and its zone.
   */
  isSettled(nowMs: number): boolean {
    const { lease, refused } = this.#leases;
    return (
      this.#current !== undefined &&
      lease !== undefined &&
      refused === undefined &&
      this.#search === undefined &&
      this.#searchAtMs === undefined &&
      this.#attempts.size === 0 &&
      this.#managers.has(this.#current) &&
      !this.#lookUpPending &&
      this.#renewSoonAtMs === Number.POSITIVE_INFINITY &&
      nowMs - this.#lastTroubleMs > TROUBLE_OVER_MS &&
      nowMs < lease.renewAtMs
    );
  }

  /** The manager in use, if any. */
  get current(): string | undefined {
    return this.#current;
  }

  /** What DNS says. */
  get zone(): Pick<Zone, 'addresses' | 'lookUpAtMs' | 'problem'> {
    return this.#zone;
  }

  /** Whether a manager is one like the others, or unknown, instead of dead. */
  isAlive(address: string): boolean {
    return this.#managers.isAlive(address);
  }

  /** The managers that are thought dead. */
  get dead(): string[] {
    return this.#managers.dead;
  }

  lease(nowMs: number): Lease | undefined {
    return this.#leases.live(nowMs);
  }

  status(nowMs: number): SteeringStatus {
    return {
      manager: this.#current,
      managers: this.#managers.health(),
      lease: this.#leases.live(nowMs),
      refused: this.#leases.refused,
      absence: this.#absence,
      searching: this.#search !== undefined,
    };
  }

  #view(nowMs: number, link: RouteView['link']): RouteView {
    return {
      lease: this.#leases.live(nowMs),
      refusal: this.#leases.refused?.code,
      absence: this.#absence,
      leaseIsComing: this.#leaseIsComing(nowMs),
      failMode: this.#init.failMode,
      link,
    };
  }

  get #absence(): DirectReason | undefined {
    return this.#nobody ? this.#reason : undefined;
  }

  get #reason(): DirectReason {
    if (this.#zone.addresses.length === 0) return 'dns_empty';
    return this.#managers.someAbsent ? 'managers_absent' : 'managers_silent';
  }

  #leaseIsComing(nowMs: number): boolean {
    const { managerStaggerMs } = this.#init;
    if (this.#search !== undefined && nowMs < this.#search.startedAtMs + managerStaggerMs) return true;
    const attempt = this.#current === undefined ? undefined : this.#attempts.get(this.#current);
    return attempt !== undefined && nowMs < attempt.startedAtMs + managerStaggerMs;
  }

  /** Infinity: no search is wanted. */
  #searchDueAtMs(): number {
    const blockedUntilMs = this.#leases.refused?.retryAtMs ?? Number.NEGATIVE_INFINITY;
    if (this.#searchAtMs !== undefined) return Math.max(this.#searchAtMs, blockedUntilMs);
    if (this.#current !== undefined || this.#managers.size === 0) return Number.POSITIVE_INFINITY;
    const someoneAtMs = this.#managers.aliveCount > 0 ? this.#nowMs : this.#managers.nextRetryAtMs(() => false);
    return Math.max(someoneAtMs, blockedUntilMs);
  }

  #beginSearch(nowMs: number): void {
    const moveTo = this.#moveTo?.filter((address) => this.#managers.has(address));
    this.#searchAtMs = undefined;
    this.#moveTo = undefined;
    this.#search = new ManagerSearch(
      { random: this.#random },
      {
        queue: moveTo === undefined ? this.#managers.candidates(nowMs) : inRandomOrder(moveTo, this.#random),
        except: this.#current,
        startedAtMs: nowMs,
        staggerMs: this.#init.managerStaggerMs,
        budgetMs: this.#init.managerBudgetMs,
        isMove: moveTo !== undefined,
      },
    );
  }

  #stepSearch(nowMs: number): void {
    const search = this.#search;
    if (search === undefined) return;
    for (let address = search.next(nowMs); address !== undefined; address = search.next(nowMs))
      this.#ask(nowMs, address, 'lease', Number.POSITIVE_INFINITY);
    const isAsking = [...this.#attempts.values()].some(({ purpose }) => purpose === 'lease');
    if ((search.exhausted && !isAsking) || search.deadlineMs <= nowMs) this.#conclude(nowMs, search);
  }

  /** Nobody has given a lease. */
  #conclude(nowMs: number, search: ManagerSearch): void {
    this.#endSearch(nowMs, 0);
    if (this.#current !== undefined) {
      if (this.#managers.has(this.#current)) return;
      this.#drop(this.#current);
      this.#current = undefined;
    }
    if (search.refusal === undefined) this.#leases.forgetTemporary();
    else this.#leases.refuse(nowMs, search.refusal.code, search.refusal.retryAfterMs);
    this.#nobody = true;
    this.#zone.hurry(nowMs);
  }

  #win(nowMs: number, address: string): void {
    if (this.#current !== undefined) this.#drop(this.#current);
    this.#current = address;
    // Whoever had its chance and left it to another is slow or silent; it may prove the contrary to a probe.
    this.#endSearch(nowMs, this.#init.managerStaggerMs);
    this.#searchAtMs = undefined;
    this.#moveTo = undefined;
  }

  /** @param patienceMs who was asked so long ago and has not answered is silent */
  #endSearch(nowMs: number, patienceMs: number): void {
    this.#search = undefined;
    for (const [address, { purpose, startedAtMs }] of this.#attempts) {
      if (purpose !== 'lease') continue;
      const isSilent = startedAtMs + patienceMs <= nowMs;
      this.#drop(address, isSilent ? 'silent' : undefined);
      if (isSilent) this.#managers.failed(address, nowMs, 'silent');
    }
  }

  /** Renews the lease when it is time, and probes who was dead. */
  #keepCurrent(nowMs: number, current: string): void {
    if (this.#renewAtMs(current) <= nowMs) {
      if (this.#renewSoonAtMs > nowMs) this.#troubles = 0;
      this.#renewSoonAtMs = Number.POSITIVE_INFINITY;
      this.#ask(nowMs, current, 'renew', nowMs + this.#init.managerBudgetMs);
    }
    for (const address of this.#managers.due(nowMs)) {
      if (this.#attempts.has(address)) continue;
      this.#attempts.set(address, { purpose: 'probe', startedAtMs: nowMs, deadlineMs: nowMs + this.#init.managerBudgetMs });
      this.#commands.push({ type: 'probe', address });
    }
  }

  #renewAtMs(current: string): number {
    // One that left the zone is not asked for more.
    if (this.#attempts.has(current) || !this.#managers.has(current)) return Number.POSITIVE_INFINITY;
    return Math.min(this.#leases.lease?.renewAtMs ?? Number.POSITIVE_INFINITY, this.#renewSoonAtMs);
  }

  #probeAtMs(): number {
    return this.#managers.nextRetryAtMs((address) => this.#attempts.has(address));
  }

  /** The zone changed while we have a manager. */
  #follow(nowMs: number, current: string, gained: readonly string[]): void {
    if (!this.#managers.has(current)) this.#planSearch(nowMs, undefined);
    else if (gained.length > 0 && this.#search === undefined && this.#searchAtMs === undefined) {
      if (followsNewcomers(gained.length, this.#zone.addresses.length, this.#random)) this.#planSearch(nowMs, gained);
    }
  }

  /** While a lease is valid there is no hurry, and thousands of others have lost the same manager. */
  #planSearch(nowMs: number, moveTo: readonly string[] | undefined): void {
    const lease = this.#leases.live(nowMs);
    const patienceMs = lease === undefined ? 0 : Math.min(this.#init.moveJitterMs, (lease.expiresAtMs - nowMs) / 2);
    this.#searchAtMs = Math.min(this.#searchAtMs ?? Number.POSITIVE_INFINITY, nowMs + patienceMs * this.#random());
    this.#moveTo = moveTo;
  }

  #ask(nowMs: number, address: string, purpose: 'lease' | 'renew', deadlineMs: number): void {
    if (this.#attempts.has(address)) this.#drop(address);
    this.#attempts.set(address, { purpose, startedAtMs: nowMs, deadlineMs });
    this.#commands.push({ type: 'ask', address });
    this.#lastHelloMs = nowMs;
  }

  #fail(nowMs: number, address: string, cause: ManagerFailure, leastPauseMs = 0): void {
    if (this.#attempts.get(address)?.purpose !== 'probe') this.#search?.hasten(nowMs);
    this.#attempts.delete(address);
    this.#managers.failed(address, nowMs, cause, leastPauseMs);
    if (address !== this.#current) return;
    this.#current = undefined;
    if (this.#search === undefined || this.#search.isMove) this.#planSearch(nowMs, undefined);
  }

  #drop(address: string, cause?: ManagerFailure): void {
    this.#attempts.delete(address);
    this.#commands.push({ type: 'drop', address, cause });
  }
}

/**
 * Whether an agent that has a manager moves to one of those that are new in the zone: all agents together give them the
 * share that they would have had from the start.
 */
export function followsNewcomers(gained: number, managers: number, random: () => number): boolean {
  return random() < gained / managers;
}
