import { type BackoffInit, pauseMs } from './backoff.ts';
import { inRandomOrder } from './random-order.ts';
import { contains } from './sorted-addresses.ts';

/** Why a manager could not be used; a closed set, also a metric's label. */
export const MANAGER_FAILURES = [
  'silent', // no answer in time
  'unreachable', // no TCP connection
  'tls', // not the operator's certificate, or no TLS at all
  'identity', // the operator's certificate, but not a manager's, or of another name or site
  'closed', // the connection ended
  'protocol', // it said what is not in the protocol
  'absent', // it said that nobody there can serve us
  'refused', // it said no in a way that another one may overrule
] as const;
export type ManagerFailure = (typeof MANAGER_FAILURES)[number];

/** Good answers after which a manager that had failed is one like the others again. */
const GOOD_ANSWERS_TO_RETURN = 2;
/** One that fails again so soon after it was back has not been well: it is probed less and less often before it is back again. */
const RELAPSE_MS = 1_800_000;

export interface ManagerHealth {
  readonly address: string;
  readonly state: 'alive' | 'dead';
  /** In a row. */
  readonly failures: number;
  /** Since it died. */
  readonly goodAnswers: number;
  /** When a dead one may be tried again. */
  readonly retryAtMs: number;
  readonly lastFailure: ManagerFailure | undefined;
}

/** What is remembered of one that has failed and is not yet alive again. */
type Failing = { -readonly [K in keyof Omit<ManagerHealth, 'state'>]: ManagerHealth[K] } & {
  /** How often it has died lately. */
  readonly deaths: number;
  /** When it may be asked for a lease, should nobody be alive: what it did before is then no reason to let it wait longer. */
  readonly askAtMs: number;
};

export interface ManagerSetInit {
  readonly retry: BackoffInit;
}

/**
 * The managers of the zone with what is known of their health. Who failed is dead: asked after all others, tried again
 * with growing pauses, and alive after two good answers to probes, which come later the more often it has died lately. A lease makes it alive at once, because the dead are
 * asked for one only when no living manager has answered: insisting on two answers would only prolong the time without
 * a manager. Pure: time and chance are passed in.
 */
export class ManagerSet {
  readonly #random: () => number;
  readonly #init: ManagerSetInit;
  #addresses: readonly string[] = [];
  /** The dead. Nothing is remembered of the living: a zone may have hundreds, and agents are many where they are simulated. */
  readonly #failing = new Map<string, Failing>();
  /** Those that came back not long ago. */
  readonly #returned = new Map<string, { readonly deaths: number; readonly atMs: number }>();
  /** Of those that have given a lease. */
  readonly #sites = new Map<string, string>();

  constructor(components: { readonly random: () => number }, init: ManagerSetInit) {
    this.#random = components.random;
    this.#init = init;
  }

  get size(): number {
    return this.#addresses.length;
  }

  /**
   * Follows the zone: what is new counts as alive until it fails, what is gone is forgotten.
   * @param addresses in ascending order and each once, as Zone has them
   */
  update(addresses: readonly string[]): void {
    this.#addresses = addresses;
    for (const known of [this.#failing, this.#returned, this.#sites])
      for (const address of known.keys()) if (!contains(addresses, address)) known.delete(address);
  }

  has(address: string): boolean {
    return contains(this.#addresses, address);
  }

  isAlive(address: string): boolean {
    return !this.#failing.has(address);
  }

  /** @param leastPauseMs what the manager asked for */
  failed(address: string, nowMs: number, cause: ManagerFailure, leastPauseMs = 0): void {
    if (!this.has(address)) return;
    const before = this.#failing.get(address);
    const failures = (before?.failures ?? 0) + 1;
    const deaths = before?.deaths ?? this.#deathsBefore(address, nowMs) + 1;
    const after = (steps: number): number => nowMs + Math.max(leastPauseMs, pauseMs(steps, this.#init.retry, this.#random));
    const askAtMs = after(failures);
    const retryAtMs = deaths === 1 ? askAtMs : after(failures + deaths - 1);
    this.#failing.set(address, { address, failures, goodAnswers: 0, retryAtMs, askAtMs, lastFailure: cause, deaths });
  }

  #deathsBefore(address: string, nowMs: number): number {
    const returned = this.#returned.get(address);
    return returned === undefined || nowMs - returned.atMs > RELAPSE_MS ? 0 : returned.deaths;
  }

  /** It answered a probe. */
  good(address: string, nowMs: number): void {
    const entry = this.#failing.get(address);
    if (entry === undefined) return;
    entry.goodAnswers += 1;
    if (entry.goodAnswers >= GOOD_ANSWERS_TO_RETURN) this.#revive(address, nowMs);
    else entry.retryAtMs = nowMs + pauseMs(entry.deaths, this.#init.retry, this.#random);
  }

  /** It gave a lease. */
  leased(address: string, nowMs: number, site: string): void {
    this.#revive(address, nowMs);
    if (this.has(address)) this.#sites.set(address, site);
  }

  /** The site of a manager that has given a lease. */
  siteOf(address: string): string | undefined {
    return this.#sites.get(address);
  }

  /**
   * Whom to ask for a lease: the living in random order, then the dead whose pause is over; as things are when the first is asked for.
   * @param isLast those of the living who come after the others, because of what is known of their site
   */
  *candidates(nowMs: number, isLast: (site: string) => boolean = () => false): Generator<string, void, undefined> {
    const due = [...this.#failing.values()].filter(({ askAtMs }) => askAtMs <= nowMs);
    due.sort((a, b) => a.askAtMs - b.askAtMs);
    const last: string[] = [];
    for (const address of inRandomOrder(this.#living, this.#random)) {
      const site = this.#sites.get(address);
      if (site !== undefined && isLast(site)) last.push(address);
      else yield address;
    }
    yield* last;
    for (const { address } of due) yield address;
  }

  /**
   * The living, but for those of which it is known that their site is one of these; in random order.
   * @param isLast those who come after the others
   */
  *livingElsewhere(isOut: (site: string) => boolean, isLast: (site: string) => boolean = () => false): Generator<string, void, undefined> {
    const last: string[] = [];
    for (const address of inRandomOrder(this.#living, this.#random)) {
      const site = this.#sites.get(address);
      if (site !== undefined && isOut(site)) continue;
      if (site !== undefined && isLast(site)) last.push(address);
      else yield address;
    }
    yield* last;
  }

  get #living(): readonly string[] {
    return this.#failing.size === 0 ? this.#addresses : this.#addresses.filter((address) => !this.#failing.has(address));
  }

  #revive(address: string, nowMs: number): void {
    const entry = this.#failing.get(address);
    if (entry === undefined) return;
    this.#failing.delete(address);
    this.#returned.set(address, { deaths: entry.deaths, atMs: nowMs });
  }

  /** The dead whose pause is over. */
  due(nowMs: number): string[] {
    return [...this.#failing.values()].filter(({ retryAtMs }) => retryAtMs <= nowMs).map(({ address }) => address);
  }

  /** When the next dead one is due, but for those that `isBusy` with an attempt; Infinity without one. */
  nextRetryAtMs(isBusy: (address: string) => boolean): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { address, retryAtMs } of this.#failing.values()) if (!isBusy(address)) soonest = Math.min(soonest, retryAtMs);
    return soonest;
  }

  /** When the first of the dead may be asked for a lease; Infinity when there is none. */
  get nextAskAtMs(): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { askAtMs } of this.#failing.values()) soonest = Math.min(soonest, askAtMs);
    return soonest;
  }

  get aliveCount(): number {
    return this.#addresses.length - this.#failing.size;
  }

  get dead(): string[] {
    return [...this.#failing.keys()];
  }

  /** Whether at least one of them said that it cannot serve us, instead of saying nothing. */
  get someAbsent(): boolean {
    for (const { lastFailure } of this.#failing.values()) if (lastFailure === 'absent') return true;
    return false;
  }

  /** Of all, in the order of their addresses. */
  health(): ManagerHealth[] {
    return this.#addresses.map((address) => {
      const failing = this.#failing.get(address);
      if (failing !== undefined) {
        const { deaths: _deaths, askAtMs: _askAtMs, ...health } = failing;
        return { ...health, state: 'dead' };
      }
      return { address, state: 'alive', failures: 0, goodAnswers: 0, retryAtMs: 0, lastFailure: undefined };
    });
  }
}
