import { REFUSALS, type RefusalCode } from '@sekisho/wire';
import { Contacts } from './contacts.ts';
import { type Lease, type LeaseOffer, LeaseState } from './lease-state.ts';
import type { ManagerSearch } from './manager-search.ts';
import { type ManagerFailure, ManagerSet } from './manager-set.ts';
import { followsNewcomers } from './moves.ts';
import { type DirectReason, decideRoute, type Route, type RouteView, withoutMesh } from './route.ts';
import { Searches } from './searches.ts';
import { type Move, SiteMoves } from './site-moves.ts';
import type { SlowSite } from './site-quality.ts';
import type { Command, SteeringInit, SteeringStatus } from './steering-terms.ts';
import { Trouble } from './trouble.ts';
import { Zone, type ZoneAnswer } from './zone.ts';

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
  readonly #contacts: Contacts;
  readonly #searches: Searches;
  readonly #trouble: Trouble;
  readonly #moves: SiteMoves;
  #nowMs = 0;
  #lookUpPending = false;
  /** The manager whose control connection we keep. */
  #current: string | undefined;
  /** A search, or the first look-up, has ended with nothing. */
  #nobody = false;

  constructor(components: { readonly random: () => number }, init: SteeringInit) {
    this.#random = components.random;
    this.#init = init;
    this.#zone = new Zone(components, init.zone);
    this.#managers = new ManagerSet(components, { retry: init.managerRetry });
    this.#leases = new LeaseState(components, { retry: init.refusalRetry });
    this.#trouble = new Trouble(components, { jitterMs: init.moveJitterMs });
    this.#moves = new SiteMoves(components, { rehomeMs: init.rehomeMs });
    this.#contacts = new Contacts(init);
    this.#searches = new Searches(
      { ...components, managers: this.#managers, leases: this.#leases, contacts: this.#contacts, trouble: this.#trouble, moves: this.#moves },
      init,
    );
  }

  /** What is to be done now; each command is given out once. */
  take(): Command[] {
    return this.#contacts.take();
  }

  /** Does what is due at this time. */
  tick(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const address of this.#contacts.overdue(nowMs)) {
      this.#contacts.drop(address, 'silent');
      this.#fail(nowMs, address, 'silent');
    }
    if (!this.#lookUpPending && this.#zone.lookUpAtMs <= nowMs) {
      this.#lookUpPending = true;
      this.#contacts.lookUp();
    }
    this.#searches.tick(nowMs, this.#current);
    if (this.#current !== undefined) this.#keepCurrent(nowMs, this.#current);
    const search = this.#searches.step(nowMs);
    if (search !== undefined) this.#conclude(nowMs, search);
  }

  /** DNS has answered, or failed. */
  lookedUp(nowMs: number, answer: ZoneAnswer): void {
    this.#lookUpPending = false;
    const { gained, lost } = this.#zone.take(nowMs, answer);
    this.#managers.update(this.#zone.addresses);
    for (const address of lost) {
      // The connection that is in use goes on until another one has given a lease, or none has.
      if (this.#contacts.has(address) && address !== this.#current) this.#contacts.drop(address);
    }
    if (this.#zone.addresses.length === 0) this.#nobody = true;
    const { search } = this.#searches;
    search?.follow(search.isMove ? [] : gained, lost);
    if (this.#current !== undefined) this.#follow(nowMs, this.#current, gained);
    this.tick(nowMs);
  }

  /** A manager gave a lease, as the answer to a hello or by itself (a push). */
  leased(nowMs: number, address: string, offer: LeaseOffer): void {
    const attempt = this.#contacts.get(address);
    const isCurrent = address === this.#current;
    if (!isCurrent && attempt?.purpose !== 'lease') return this.#contacts.drop(address);
    this.#managers.leased(address, nowMs, offer.site);
    if (!isCurrent && !this.#searches.accepts(nowMs, offer.site, nowMs - (attempt?.startedAtMs ?? nowMs))) {
      this.#contacts.drop(address);
      this.#searches.search?.hasten(nowMs);
      return this.tick(nowMs);
    }
    this.#contacts.settle(address);
    const before = this.#leases.lease?.site;
    this.#leases.take(nowMs, offer);
    this.#nobody = false;
    this.#trouble.answered();
    if (!isCurrent) this.#win(nowMs, address, before, offer.site);
    else if (this.#searches.search?.reason === 'silent') this.#searches.end(nowMs, this.#init.managerStaggerMs);
    this.tick(nowMs);
  }

  /** A manager said no. */
  refused(nowMs: number, address: string, code: RefusalCode, retryAfterMs: number): void {
    const purpose = this.#contacts.get(address)?.purpose;
    const wasCurrent = address === this.#current;
    this.#contacts.drop(address);
    if (!wasCurrent && purpose !== 'lease') return;
    const { elsewhere, absence } = REFUSALS[code];
    if (!elsewhere && this.#searches.search?.isMove === true && !wasCurrent) {
      // A new site that does not want us takes nothing away from the lease that we have. It is not dead either: should nobody
      // else be left, it is asked again, and its no counts then.
      this.#searches.search.hasten(nowMs);
    } else if (elsewhere) {
      if (!absence && this.#searches.search !== undefined) this.#searches.search.refusal ??= { code, retryAfterMs };
      this.#fail(nowMs, address, absence ? 'absent' : 'refused', retryAfterMs);
    } else {
      this.#leases.refuse(nowMs, code, retryAfterMs);
      this.#searches.end(nowMs, Number.POSITIVE_INFINITY);
      this.#searches.forgetPlan();
      if (this.#current !== undefined) this.#contacts.drop(this.#current);
      this.#current = undefined;
    }
    this.tick(nowMs);
  }

  /** A manager answered a probe; its connection is closed. */
  answered(nowMs: number, address: string): void {
    if (this.#contacts.get(address)?.purpose !== 'probe') return;
    this.#contacts.settle(address);
    this.#managers.good(address, nowMs);
    this.tick(nowMs);
  }

  /** A connection to a manager ended, or could not be made. */
  lost(nowMs: number, address: string, cause: ManagerFailure): void {
    if (address !== this.#current && !this.#contacts.has(address)) return;
    this.#fail(nowMs, address, cause);
    this.tick(nowMs);
  }

  /**
   * A relay of the lease cannot be used: ask the manager for another one, with growing pauses.
   * @param isUrgent none is left. Otherwise there is no hurry, and all agents of that relay have lost it at the same moment.
   */
  renewSoon(nowMs: number, isUrgent: boolean): void {
    if (isUrgent) {
      this.#trouble.strand(nowMs);
      this.#searches.hurry(nowMs);
    }
    const attempt = this.#current === undefined ? undefined : this.#contacts.get(this.#current);
    if (attempt !== undefined) attempt.isUrgent ||= isUrgent;
    else if (this.#current !== undefined) {
      this.#trouble.note(nowMs, isUrgent, this.#contacts.lastHelloMs);
      // The manager has named others, and those are of no use either: it is the site.
      if (isUrgent && this.#trouble.isRepeated) this.#searches.beginBeside(nowMs, this.#current, 'relays');
    }
    this.tick(nowMs);
  }

  /** A session went through a relay of this site. */
  relayed(site: string): void {
    if (site === this.#leases.lease?.site) this.#trouble.relayed();
  }

  /** The site in use answers much more slowly than it did. */
  siteSlow(nowMs: number, { site, medianMs }: SlowSite): void {
    if (!this.mayLeaveSlow(nowMs, site)) return;
    // Half as long, or it is not worth it: when it is our own line, everybody is as slow.
    this.#searches.planQuicker(nowMs, (HELLO_ROUND_TRIPS * medianMs) / 2);
    this.tick(nowMs);
  }

  /** Whether siteSlow() of this site would make it look for another one. */
  mayLeaveSlow(nowMs: number, site: string): boolean {
    const isFree = !this.#searches.isBusy && !this.#searches.isBlocked(nowMs);
    return this.#current !== undefined && isFree && nowMs >= this.#moves.slowAgainAtMs && this.#leases.live(nowMs)?.site === site;
  }

  /** It is its turn to move there, if that manager answers. */
  rehome(nowMs: number, address: string): void {
    if (this.#current !== undefined) this.#searches.planMove(nowMs, this.#current, address);
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
    atMs = Math.min(atMs, this.#searches.wakeAtMs(this.#nowMs, this.#current), this.#contacts.wakeAtMs(this.#nowMs));
    if (this.#current !== undefined) {
      const probeAtMs = this.#managers.nextRetryAtMs((address) => this.#contacts.has(address));
      atMs = Math.min(atMs, this.#renewAtMs(this.#current), probeAtMs, this.#moves.rehomeAtMs);
    }
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
      !this.#searches.isBusy &&
      this.#contacts.size === 0 &&
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
      searching: this.#searches.search !== undefined,
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
    const search = this.#searches.search;
    // While somebody is asked against whom nothing speaks, it is worth the client's while to wait.
    if (search !== undefined && nowMs < (search.isHopeful ? search.deadlineMs : search.startedAtMs + managerStaggerMs)) return true;
    if (this.#current === undefined) return false;
    if (this.#trouble.isFirstDue) return true;
    const attempt = this.#contacts.get(this.#current);
    if (attempt === undefined) return false;
    return nowMs < attempt.startedAtMs + managerStaggerMs || (attempt.isUrgent && this.#searches.mayBeginBeside(nowMs, this.#current));
  }

  /** Nobody has given a lease. */
  #conclude(nowMs: number, search: ManagerSearch): void {
    this.#searches.end(nowMs, 0);
    if (search.reason === 'slow') this.#moves.noneIsQuicker(nowMs);
    if (this.#current !== undefined) return this.#stay(nowMs, search);
    // Not everybody was asked.
    if (search.reason === 'relays') return;
    if (search.refusal === undefined) this.#leases.forgetTemporary();
    else this.#leases.refuse(nowMs, search.refusal.code, search.refusal.retryAfterMs);
    this.#nobody = true;
    this.#zone.hurry(nowMs);
  }

  /**
   * We keep the manager that we have, also one that left the zone: DNS finds and does not prove, and whoever poisons it must not
   * bring clients to go directly. Where its relays are of no use, a no that another might have overruled holds for clients.
   */
  #stay(nowMs: number, { isMove, refusal }: ManagerSearch): void {
    if (isMove) return;
    if (refusal !== undefined) this.#leases.refuse(nowMs, refusal.code, refusal.retryAfterMs);
    this.#zone.hurry(nowMs);
  }

  #win(nowMs: number, address: string, from: string | undefined, to: string): void {
    const reason = this.#searches.search?.reason;
    if (this.#current !== undefined) this.#leave(nowMs, this.#current);
    this.#current = address;
    // Whoever had its chance and left it to another is slow or silent; it may prove the contrary to a probe.
    this.#searches.end(nowMs, this.#init.managerStaggerMs);
    this.#searches.forgetPlan();
    this.#trouble.forget();
    this.#moves.arrived(nowMs);
    if (reason !== undefined && from !== undefined && from !== to) this.#moves.moved(nowMs, { reason, from, to });
  }

  /** Another manager takes the place of the one in use, which may have left a hello without an answer. */
  #leave(nowMs: number, current: string): void {
    const attempt = this.#contacts.get(current);
    const isSilent = attempt?.isUrgent === true && attempt.startedAtMs + this.#init.managerStaggerMs <= nowMs;
    this.#contacts.drop(current, isSilent ? 'silent' : undefined);
    if (isSilent) this.#managers.failed(current, nowMs, 'silent');
  }

  /** Chooses anew among all that are alive; the one in use is one of them. */
  #chooseAnew(nowMs: number): void {
    this.#moves.planRehoming(nowMs);
    const own = this.#leases.lease?.site;
    const [address] = this.#managers.livingElsewhere((site) => site !== own && this.#moves.isShunned(nowMs, site));
    if (address !== undefined) this.#searches.planMove(nowMs, this.#current, address);
  }

  /** Renews the lease when it is time, and probes who was dead. */
  #keepCurrent(nowMs: number, current: string): void {
    if (this.#renewAtMs(current) <= nowMs) this.#contacts.renew(nowMs, current, this.#trouble.asked(nowMs));
    const attempt = this.#contacts.get(current);
    if (attempt?.isUrgent === true && attempt.startedAtMs + this.#init.managerStaggerMs <= nowMs) this.#searches.beginBeside(nowMs, this.#current, 'silent');
    if (this.#moves.rehomeAtMs <= nowMs) this.#chooseAnew(nowMs);
    if (!this.#managers.has(current) && this.#managers.aliveCount > 0 && !this.#searches.isBusy) this.#searches.plan(nowMs, 'zone');
    for (const address of this.#managers.due(nowMs)) this.#contacts.probe(nowMs, address);
  }

  #renewAtMs(current: string): number {
    // One that left the zone is not asked for more before we know that nobody there would have us.
    if (this.#contacts.has(current) || (!this.#managers.has(current) && this.#searches.isBusy)) return Number.POSITIVE_INFINITY;
    return Math.min(this.#leases.lease?.renewAtMs ?? Number.POSITIVE_INFINITY, this.#trouble.helloAtMs);
  }

  /** The zone changed while we have a manager. */
  #follow(nowMs: number, current: string, gained: readonly string[]): void {
    if (!this.#managers.has(current)) this.#searches.plan(nowMs, 'zone');
    else if (gained.length > 0 && !this.#searches.isBusy) {
      if (followsNewcomers(gained.length, this.#zone.addresses.length, this.#random)) this.#searches.plan(nowMs, 'newcomer', gained);
    }
  }

  #fail(nowMs: number, address: string, cause: ManagerFailure, leastPauseMs = 0): void {
    if (this.#contacts.get(address)?.purpose !== 'probe') this.#searches.search?.hasten(nowMs);
    this.#contacts.settle(address);
    this.#managers.failed(address, nowMs, cause, leastPauseMs);
    if (address !== this.#current) return;
    this.#current = undefined;
    if (this.#searches.search?.isMove === false) return;
    if (this.#searches.search !== undefined) this.#searches.end(nowMs, this.#init.managerStaggerMs);
    this.#searches.plan(nowMs, cause === 'absent' || cause === 'refused' ? 'refused' : 'silent');
  }
}
