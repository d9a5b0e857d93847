import type { Contacts } from './contacts.ts';
import type { LeaseState } from './lease-state.ts';
import { ManagerSearch } from './manager-search.ts';
import type { ManagerSet } from './manager-set.ts';
import { isOptional, type MoveReason } from './moves.ts';
import { queueOf, type SearchPlan } from './search-queue.ts';
import type { SiteMoves } from './site-moves.ts';
import type { SteeringInit } from './steering-terms.ts';
import type { Trouble } from './trouble.ts';

export interface SearchesComponents {
  readonly random: () => number;
  readonly managers: ManagerSet;
  readonly leases: LeaseState;
  readonly contacts: Contacts;
  readonly trouble: Trouble;
  readonly moves: SiteMoves;
}

/** A search that is to begin. */
interface PlannedSearch extends SearchPlan {
  readonly atMs: number;
}

/** The manager in use, if any. */
type Current = string | undefined;

/**
 * The search for another manager that is under way, and the one that is to begin: who plans it, when it is its turn, and
 * which one gives way. One of each at most. Pure: time and chance are passed in.
 */
export class Searches {
  readonly #components: SearchesComponents;
  readonly #init: SteeringInit;
  #search: ManagerSearch | undefined;
  #plan: PlannedSearch | undefined;

  constructor(components: SearchesComponents, init: SteeringInit) {
    this.#components = components;
    this.#init = init;
  }

  /** The one that is under way. */
  get search(): ManagerSearch | undefined {
    return this.#search;
  }

  /** One is under way, or is to begin. */
  get isBusy(): boolean {
    return this.#search !== undefined || this.#plan !== undefined;
  }

  /** A no is in force, and nobody is asked before its time is over. */
  isBlocked(nowMs: number): boolean {
    return (this.#components.leases.refused?.retryAtMs ?? nowMs) > nowMs;
  }

  /** Whether others may be asked at once, besides the one in use. */
  mayBeginBeside(nowMs: number, current: Current): boolean {
    return this.#search?.isMove !== false && this.#othersAlive(current) > 0 && !this.isBlocked(nowMs);
  }

  /** When something is due; what is under way comes before what is to begin. */
  wakeAtMs(nowMs: number, current: Current): number {
    return this.#search?.wakeAtMs ?? this.#dueAtMs(nowMs, current);
  }

  /** Begins what is due. */
  tick(nowMs: number, current: Current): void {
    if (this.#search === undefined && this.#dueAtMs(nowMs, current) <= nowMs) this.#begin(nowMs, current, this.#plan);
  }

  /** Looks for another manager at once, while the one in use may still answer. */
  beginBeside(nowMs: number, current: Current, reason: 'silent' | 'relays'): void {
    if (!this.mayBeginBeside(nowMs, current)) return;
    if (this.#search !== undefined) this.end(nowMs, this.#init.managerStaggerMs);
    this.#begin(nowMs, current, { reason });
  }

  /** Asks those whose turn it is. The search, if it is over and nobody has given a lease. */
  step(nowMs: number): ManagerSearch | undefined {
    const search = this.#search;
    if (search === undefined) return undefined;
    const { contacts } = this.#components;
    for (let address = search.next(nowMs); address !== undefined; address = search.next(nowMs)) contacts.ask(nowMs, address);
    return (search.exhausted && !contacts.isAsking) || search.deadlineMs <= nowMs ? search : undefined;
  }

  /**
   * Ends the one that is under way; what is planned stays.
   * @param patienceMs who was asked so long ago and has not answered is silent
   */
  end(nowMs: number, patienceMs: number): void {
    const { contacts, managers } = this.#components;
    this.#search = undefined;
    for (const address of contacts.dropAsked(nowMs, patienceMs)) managers.failed(address, nowMs, 'silent');
  }

  /** What was planned is not wanted any more. */
  forgetPlan(): void {
    this.#plan = undefined;
  }

  /**
   * One is to begin, no later than what is planned already. While a lease is valid and clients have a relay there is no
   * hurry, and thousands of others have lost the same manager.
   */
  plan(nowMs: number, reason: MoveReason, only?: readonly string[]): void {
    const { random, leases, trouble } = this.#components;
    const lease = trouble.isStranded(nowMs) ? undefined : leases.live(nowMs);
    const patienceMs = lease === undefined ? 0 : Math.min(this.#init.moveJitterMs, (lease.expiresAtMs - nowMs) / 2);
    const atMs = Math.min(this.#plan?.atMs ?? Number.POSITIVE_INFINITY, nowMs + patienceMs * random());
    this.#plan = { atMs, reason, only };
  }

  /** Somebody who answers within this time is looked for, because the site in use is slow. */
  planQuicker(nowMs: number, withinMs: number): void {
    this.#plan = { atMs: nowMs + this.#init.moveJitterMs * this.#components.random(), reason: 'slow', withinMs };
  }

  /** This manager was drawn; it is asked if it is another one and nothing else is going on. */
  planMove(nowMs: number, current: Current, address: string): void {
    const { managers } = this.#components;
    if (address === current || this.isBusy || this.isBlocked(nowMs)) return;
    if (managers.has(address) && managers.isAlive(address)) this.#plan = { atMs: nowMs, reason: 'rehomed', only: [address] };
  }

  /** Clients have no relay: what was to wait for its turn is due. */
  hurry(nowMs: number): void {
    const plan = this.#plan;
    if (plan === undefined || (plan.reason !== undefined && isOptional(plan.reason))) return;
    this.#plan = { ...plan, atMs: Math.min(plan.atMs, nowMs) };
  }

  /** Whether a lease of a manager that was asked is what is looked for. */
  accepts(nowMs: number, site: string, tookMs: number): boolean {
    const search = this.#search;
    if (search === undefined) return true;
    const { leases, moves } = this.#components;
    const isNewSite = site !== leases.lease?.site;
    return search.accepts(site, tookMs) && !(search.isMove && isNewSite && moves.isShunned(nowMs, site));
  }

  /** @param plan undefined: there is no manager, and no reason but that */
  #begin(nowMs: number, current: Current, plan: SearchPlan | undefined): void {
    const { random, managers, leases, moves } = this.#components;
    const reason = plan?.reason;
    const site = leases.lease?.site;
    this.#plan = undefined;
    this.#search = new ManagerSearch(
      { random },
      {
        queue: queueOf(
          { managers, random },
          { nowMs, plan, site, isShunned: (other) => moves.isShunned(nowMs, other), isBarred: (other) => moves.isBarred(nowMs, other) },
        ),
        except: current,
        startedAtMs: nowMs,
        staggerMs: this.#init.managerStaggerMs,
        budgetMs: this.#init.managerBudgetMs,
        reason,
        isHopeful: this.#othersAlive(current) > 0,
        notSite: reason === 'slow' || reason === 'relays' ? site : undefined,
        withinMs: plan?.withinMs,
      },
    );
  }

  /** Infinity: no search is wanted. */
  #dueAtMs(nowMs: number, current: Current): number {
    const { managers, leases } = this.#components;
    const blockedUntilMs = leases.refused?.retryAtMs ?? Number.NEGATIVE_INFINITY;
    if (this.#plan !== undefined) return Math.max(this.#plan.atMs, blockedUntilMs);
    if (current !== undefined || managers.size === 0) return Number.POSITIVE_INFINITY;
    const someoneAtMs = managers.aliveCount > 0 ? nowMs : managers.nextAskAtMs;
    return Math.max(someoneAtMs, blockedUntilMs);
  }

  /** Managers besides the one in use. */
  #othersAlive(current: Current): number {
    const { managers } = this.#components;
    const isOne = current !== undefined && managers.has(current) && managers.isAlive(current);
    return managers.aliveCount - (isOne ? 1 : 0);
  }
}
