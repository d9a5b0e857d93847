import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { type Lease, type LeaseOffer, LeaseState } from './lease-state.ts';
import { ManagerSearch } from './manager-search.ts';
import { type ManagerFailure, ManagerSet } from './manager-set.ts';
import { isOptional, type MoveReason } from './moves.ts';
import { type DirectReason, decideRoute, type Route, type RouteView, withoutMesh } from './route.ts';
import { queueOf, type SearchPlan } from './search-queue.ts';
import { type Move, SiteMoves } from './site-moves.ts';
import type { SlowSite } from './site-quality.ts';
import type { Command, SteeringInit, SteeringStatus } from './steering-terms.ts';
import { Trouble } from './trouble.ts';
import { Zone, type ZoneAnswer } from './zone.ts';

/** A search that is to begin. */
interface PlannedSearch extends SearchPlan {
  readonly atMs: number;
}

interface Attempt {
  readonly purpose: 'lease' | 'renew' | 'probe';
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  /** Of a renewal: clients wait for it. */
  isUrgent: boolean;
}

/** TCP, TLS and the hello itself: what a lease from a new manager takes at least. */
const HELLO_ROUND_TRIPS = 3;

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
  #plan: PlannedSearch | undefined;
  /** A search, or the first look-up, has ended with nothing. */
  #nobody = false;
  #lastHelloMs = Number.NEGATIVE_INFINITY;
  readonly #trouble: Trouble;
  readonly #moves: SiteMoves;

  constructor(components: { readonly random: () => number }, init: SteeringInit) {
    this.#random = components.random;
    this.#init = init;
    this.#zone = new Zone(components, init.zone);
    this.#managers = new ManagerSet(components, { retry: init.managerRetry });
    this.#leases = new LeaseState(components, { retry: init.refusalRetry });
    this.#trouble = new Trouble(components, { jitterMs: init.moveJitterMs });
    this.#moves = new SiteMoves(components, { rehomeMs: init.rehomeMs });
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
    if (this.#search === undefined && this.#searchDueAtMs() <= nowMs) this.#beginSearch(nowMs, this.#plan);
    if (this.#current !== undefined) this.#keepCurrent(nowMs, this.#current);
    this.#stepSearch(nowMs);
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
    const attempt = this.#attempts.get(address);
    const isCurrent = address === this.#current;
    if (!isCurrent && attempt?.purpose !== 'lease') return this.#drop(address);
    this.#managers.leased(address, nowMs, offer.site);
    if (!isCurrent && !this.#isWanted(nowMs, offer.site, nowMs - (attempt?.startedAtMs ?? nowMs))) {
      this.#drop(address);
      this.#search?.hasten(nowMs);
      return this.tick(nowMs);
    }
    this.#attempts.delete(address);
    const before = this.#leases.lease?.site;
    this.#leases.take(nowMs, offer);
    this.#nobody = false;
    this.#trouble.answered();
    if (!isCurrent) this.#win(nowMs, address, before, offer.site);
    else if (this.#search?.reason === 'silent') this.#endSearch(nowMs, this.#init.managerStaggerMs);
    this.tick(nowMs);
  }

  /** A manager said no. */
  refused(nowMs: number, address: string, code: RefusalCode, retryAfterMs: number): void {
    const purpose = this.#attempts.get(address)?.purpose;
    const wasCurrent = address === this.#current;
    this.#drop(address);
    if (!wasCurrent && purpose !== 'lease') return;
    const { elsewhere, absence } = REFUSALS[code];
    if (!elsewhere && this.#search?.isMove === true && !wasCurrent) {
      // A new site that does not want us takes nothing away from the lease that we have. It is not dead either: should nobody
      // else be left, it is asked again, and its no counts then.
      this.#search.hasten(nowMs);
    } else if (elsewhere) {
      if (!absence && this.#search !== undefined) this.#search.refusal ??= { code, retryAfterMs };
      this.#fail(nowMs, address, absence ? 'absent' : 'refused', retryAfterMs);
    } else {
      this.#leases.refuse(nowMs, code, retryAfterMs);
      this.#endSearch(nowMs, Number.POSITIVE_INFINITY);
      this.#plan = undefined;
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
    if (isUrgent) this.#hurry(nowMs);
    const attempt = this.#current === undefined ? undefined : this.#attempts.get(this.#current);
    if (attempt !== undefined) attempt.isUrgent ||= isUrgent;
    else if (this.#current !== undefined) {
      this.#trouble.note(nowMs, isUrgent, this.#lastHelloMs);
      // The manager has named others, and those are of no use either: it is the site.
      if (isUrgent && this.#trouble.isRepeated) this.#searchBeside(nowMs, 'relays');
    }
    this.tick(nowMs);
  }

  /** The site in use answers much more slowly than it did. */
  siteSlow(nowMs: number, { site, medianMs }: SlowSite): void {
    if (!this.mayLeaveSlow(nowMs, site)) return;
    const atMs = nowMs + this.#init.moveJitterMs * this.#random();
    // Half as long, or it is not worth it: when it is our own line, everybody is as slow.
    this.#plan = { atMs, reason: 'slow', withinMs: (HELLO_ROUND_TRIPS * medianMs) / 2 };
    this.tick(nowMs);
  }

  /** Whether siteSlow() of this site would make it look for another one. */
  mayLeaveSlow(nowMs: number, site: string): boolean {
    const isBusy = this.#search !== undefined || this.#plan !== undefined || this.#isBlocked(nowMs);
    return this.#current !== undefined && !isBusy && nowMs >= this.#moves.slowAgainAtMs && this.#leases.live(nowMs)?.site === site;
  }

  /** It is its turn to move there, if that manager answers. */
  rehome(nowMs: number, address: string): void {
    if (this.#current !== undefined) this.#planMove(nowMs, address);
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
    if (this.#current !== undefined) atMs = Math.min(atMs, this.#renewAtMs(this.#current), this.#probeAtMs(), this.#moves.rehomeAtMs);
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
      this.#plan === undefined &&
      this.#attempts.size === 0 &&
      this.#managers.has(this.#current) &&
      !this.#lookUpPending &&
      this.#trouble.helloAtMs === Number.POSITIVE_INFINITY &&
      this.#trouble.isOver(nowMs) &&
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

  /** The last change of site, if there was one. */
  get lastMove(): Move | undefined {
    return this.#moves.last;
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
      shunned: this.#moves.shunned(nowMs),
      moves: this.#moves.counts,
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
    const search = this.#search;
    // While somebody is asked against whom nothing speaks, it is worth the client's while to wait.
    if (search !== undefined && nowMs < (search.isHopeful ? search.deadlineMs : search.startedAtMs + managerStaggerMs)) return true;
    if (this.#current === undefined) return false;
    if (this.#trouble.isFirstDue) return true;
    const attempt = this.#attempts.get(this.#current);
    if (attempt === undefined) return false;
    return nowMs < attempt.startedAtMs + managerStaggerMs || (attempt.isUrgent && this.#maySearchBeside(nowMs));
  }

  /** Managers besides the one in use. */
  get #othersAlive(): number {
    const current = this.#current;
    const isOne = current !== undefined && this.#managers.has(current) && this.#managers.isAlive(current);
    return this.#managers.aliveCount - (isOne ? 1 : 0);
  }

  /** A no is in force, and nobody is asked before its time is over. */
  #isBlocked(nowMs: number): boolean {
    return (this.#leases.refused?.retryAtMs ?? nowMs) > nowMs;
  }

  /** Infinity: no search is wanted. */
  #searchDueAtMs(): number {
    const blockedUntilMs = this.#leases.refused?.retryAtMs ?? Number.NEGATIVE_INFINITY;
    if (this.#plan !== undefined) return Math.max(this.#plan.atMs, blockedUntilMs);
    if (this.#current !== undefined || this.#managers.size === 0) return Number.POSITIVE_INFINITY;
    const someoneAtMs = this.#managers.aliveCount > 0 ? this.#nowMs : this.#managers.nextRetryAtMs(() => false);
    return Math.max(someoneAtMs, blockedUntilMs);
  }

  #beginSearch(nowMs: number, plan: SearchPlan | undefined): void {
    const reason = plan?.reason;
    this.#plan = undefined;
    this.#search = new ManagerSearch(
      { random: this.#random },
      {
        queue: queueOf(
          { managers: this.#managers, random: this.#random },
          {
            nowMs,
            plan,
            site: this.#leases.lease?.site,
            isShunned: (site) => this.#moves.isShunned(nowMs, site),
            isBarred: (site) => this.#moves.isBarred(nowMs, site),
          },
        ),
        except: this.#current,
        startedAtMs: nowMs,
        staggerMs: this.#init.managerStaggerMs,
        budgetMs: this.#init.managerBudgetMs,
        reason,
        isHopeful: this.#othersAlive > 0,
        notSite: reason === 'slow' || reason === 'relays' ? this.#leases.lease?.site : undefined,
        withinMs: plan?.withinMs,
      },
    );
  }

  /** Looks for another manager at once, while the one in use may still answer. */
  #searchBeside(nowMs: number, reason: 'silent' | 'relays'): void {
    if (!this.#maySearchBeside(nowMs)) return;
    if (this.#search !== undefined) this.#endSearch(nowMs, this.#init.managerStaggerMs);
    this.#beginSearch(nowMs, { reason });
  }

  #maySearchBeside(nowMs: number): boolean {
    return this.#search?.isMove !== false && this.#othersAlive > 0 && !this.#isBlocked(nowMs);
  }

  /** Whether a lease of a manager that we asked is what we were looking for. */
  #isWanted(nowMs: number, site: string, tookMs: number): boolean {
    const search = this.#search;
    if (search === undefined) return true;
    const isNewSite = site !== this.#leases.lease?.site;
    return search.accepts(site, tookMs) && !(search.isMove && isNewSite && this.#moves.isShunned(nowMs, site));
  }

  /** Clients have no relay: what was to wait for its turn is due. */
  #hurry(nowMs: number): void {
    this.#trouble.strand(nowMs);
    const plan = this.#plan;
    if (plan === undefined || (plan.reason !== undefined && isOptional(plan.reason))) return;
    this.#plan = { ...plan, atMs: Math.min(plan.atMs, nowMs) };
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
    if (search.reason === 'slow') this.#moves.noneIsQuicker(nowMs);
    if (this.#current !== undefined) {
      if (this.#managers.has(this.#current)) return this.#stay(nowMs, search);
      this.#drop(this.#current);
      this.#current = undefined;
    }
    // Not everybody was asked.
    if (search.reason === 'relays') return;
    if (search.refusal === undefined) this.#leases.forgetTemporary();
    else this.#leases.refuse(nowMs, search.refusal.code, search.refusal.retryAfterMs);
    this.#nobody = true;
    this.#zone.hurry(nowMs);
  }

  /** We keep the manager that we have. Where its relays are of no use, a no that another might have overruled holds for clients. */
  #stay(nowMs: number, { isMove, refusal }: ManagerSearch): void {
    if (isMove) return;
    if (refusal !== undefined) this.#leases.refuse(nowMs, refusal.code, refusal.retryAfterMs);
    this.#zone.hurry(nowMs);
  }

  #win(nowMs: number, address: string, from: string | undefined, to: string): void {
    const reason = this.#search?.reason;
    if (this.#current !== undefined) this.#leave(nowMs, this.#current);
    this.#current = address;
    // Whoever had its chance and left it to another is slow or silent; it may prove the contrary to a probe.
    this.#endSearch(nowMs, this.#init.managerStaggerMs);
    this.#plan = undefined;
    this.#trouble.forget();
    this.#moves.arrived(nowMs);
    if (reason !== undefined && from !== undefined && from !== to) this.#moves.moved(nowMs, { reason, from, to });
  }

  /** Another manager takes the place of the one in use, which may have left a hello without an answer. */
  #leave(nowMs: number, current: string): void {
    const attempt = this.#attempts.get(current);
    const isSilent = attempt?.isUrgent === true && attempt.startedAtMs + this.#init.managerStaggerMs <= nowMs;
    this.#drop(current, isSilent ? 'silent' : undefined);
    if (isSilent) this.#managers.failed(current, nowMs, 'silent');
  }

  /** Chooses anew among all that are alive; the one in use is one of them. */
  #chooseAnew(nowMs: number): void {
    this.#moves.planRehoming(nowMs);
    const own = this.#leases.lease?.site;
    const [address] = this.#managers.livingElsewhere((site) => site !== own && this.#moves.isShunned(nowMs, site));
    if (address !== undefined) this.#planMove(nowMs, address);
  }

  #planMove(nowMs: number, address: string): void {
    if (address === this.#current || this.#search !== undefined || this.#plan !== undefined || this.#isBlocked(nowMs)) return;
    if (this.#managers.has(address) && this.#managers.isAlive(address)) this.#plan = { atMs: nowMs, reason: 'rehomed', only: [address] };
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
      const isUrgent = this.#trouble.asked(nowMs);
      this.#ask(nowMs, current, 'renew', nowMs + this.#init.managerBudgetMs, isUrgent);
    }
    const attempt = this.#attempts.get(current);
    if (attempt?.isUrgent === true && attempt.startedAtMs + this.#init.managerStaggerMs <= nowMs) this.#searchBeside(nowMs, 'silent');
    if (this.#moves.rehomeAtMs <= nowMs) this.#chooseAnew(nowMs);
    for (const address of this.#managers.due(nowMs)) {
      if (this.#attempts.has(address)) continue;
      this.#attempts.set(address, { purpose: 'probe', startedAtMs: nowMs, deadlineMs: nowMs + this.#init.managerBudgetMs, isUrgent: false });
      this.#commands.push({ type: 'probe', address });
    }
  }

  #renewAtMs(current: string): number {
    // One that left the zone is not asked for more.
    if (this.#attempts.has(current) || !this.#managers.has(current)) return Number.POSITIVE_INFINITY;
    return Math.min(this.#leases.lease?.renewAtMs ?? Number.POSITIVE_INFINITY, this.#trouble.helloAtMs);
  }

  #probeAtMs(): number {
    return this.#managers.nextRetryAtMs((address) => this.#attempts.has(address));
  }

  /** The zone changed while we have a manager. */
  #follow(nowMs: number, current: string, gained: readonly string[]): void {
    if (!this.#managers.has(current)) this.#planSearch(nowMs, 'zone');
    else if (gained.length > 0 && this.#search === undefined && this.#plan === undefined) {
      if (followsNewcomers(gained.length, this.#zone.addresses.length, this.#random)) this.#planSearch(nowMs, 'newcomer', gained);
    }
  }

  /** While a lease is valid and clients have a relay there is no hurry, and thousands of others have lost the same manager. */
  #planSearch(nowMs: number, reason: MoveReason, only?: readonly string[]): void {
    const lease = this.#trouble.isStranded(nowMs) ? undefined : this.#leases.live(nowMs);
    const patienceMs = lease === undefined ? 0 : Math.min(this.#init.moveJitterMs, (lease.expiresAtMs - nowMs) / 2);
    const atMs = Math.min(this.#plan?.atMs ?? Number.POSITIVE_INFINITY, nowMs + patienceMs * this.#random());
    this.#plan = { atMs, reason, only };
  }

  #ask(nowMs: number, address: string, purpose: 'lease' | 'renew', deadlineMs: number, isUrgent = false): void {
    if (this.#attempts.has(address)) this.#drop(address);
    this.#attempts.set(address, { purpose, startedAtMs: nowMs, deadlineMs, isUrgent });
    this.#commands.push({ type: 'ask', address });
    this.#lastHelloMs = nowMs;
  }

  #fail(nowMs: number, address: string, cause: ManagerFailure, leastPauseMs = 0): void {
    if (this.#attempts.get(address)?.purpose !== 'probe') this.#search?.hasten(nowMs);
    this.#attempts.delete(address);
    this.#managers.failed(address, nowMs, cause, leastPauseMs);
    if (address !== this.#current) return;
    this.#current = undefined;
    if (this.#search?.isMove === false) return;
    if (this.#search !== undefined) this.#endSearch(nowMs, this.#init.managerStaggerMs);
    this.#planSearch(nowMs, cause === 'absent' || cause === 'refused' ? 'refused' : 'silent');
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
