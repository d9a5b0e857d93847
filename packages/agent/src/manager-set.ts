import { type BackoffInit, pauseMs } from './backoff.ts';

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

type Entry = { -readonly [K in keyof ManagerHealth]: ManagerHealth[K] };

export interface ManagerSetInit {
  readonly retry: BackoffInit;
}

/**
 * The managers of the zone with what is known of their health. Who failed is dead: asked after all others, tried again
 * with growing pauses, and alive after two good answers to probes. A lease makes it alive at once, because the dead are
 * asked for one only when no living manager has answered: insisting on two answers would only prolong the time without
 * a manager. Pure: time and chance are passed in.
 */
export class ManagerSet {
  readonly #random: () => number;
  readonly #init: ManagerSetInit;
  readonly #entries = new Map<string, Entry>();

  constructor(components: { readonly random: () => number }, init: ManagerSetInit) {
    this.#random = components.random;
    this.#init = init;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Follows the zone: what is new counts as alive until it fails, what is gone is forgotten. */
  update(addresses: readonly string[]): void {
    for (const address of this.#entries.keys()) if (!addresses.includes(address)) this.#entries.delete(address);
    for (const address of addresses) {
      if (this.#entries.has(address)) continue;
      this.#entries.set(address, {
        address,
        state: 'alive',
        failures: 0,
        goodAnswers: 0,
        retryAtMs: 0,
        lastFailure: undefined,
      });
    }
  }

  has(address: string): boolean {
    return this.#entries.has(address);
  }

  isAlive(address: string): boolean {
    return this.#entries.get(address)?.state !== 'dead';
  }

  /** @param leastPauseMs what the manager asked for */
  failed(address: string, nowMs: number, cause: ManagerFailure, leastPauseMs = 0): void {
    const entry = this.#entries.get(address);
    if (entry === undefined) return;
    entry.state = 'dead';
    entry.goodAnswers = 0;
    entry.failures += 1;
    entry.lastFailure = cause;
    entry.retryAtMs = nowMs + Math.max(leastPauseMs, pauseMs(entry.failures, this.#init.retry, this.#random));
  }

  /** It answered a probe. */
  good(address: string, nowMs: number): void {
    const entry = this.#entries.get(address);
    if (entry === undefined || entry.state === 'alive') return;
    entry.goodAnswers += 1;
    if (entry.goodAnswers >= GOOD_ANSWERS_TO_RETURN) revive(entry);
    else entry.retryAtMs = nowMs + pauseMs(1, this.#init.retry, this.#random);
  }

  /** It gave a lease. */
  leased(address: string): void {
    const entry = this.#entries.get(address);
    if (entry !== undefined) revive(entry);
  }

  /** Whom to ask for a lease: the living in random order, then the dead whose pause is over. */
  candidates(nowMs: number): string[] {
    const living: string[] = [];
    const due: Entry[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.state === 'alive') living.push(entry.address);
      else if (entry.retryAtMs <= nowMs) due.push(entry);
    }
    due.sort((a, b) => a.retryAtMs - b.retryAtMs);
    return [...this.shuffled(living), ...due.map(({ address }) => address)];
  }

  /** The dead whose pause is over. */
  due(nowMs: number): string[] {
    return [...this.#entries.values()]
      .filter(({ state, retryAtMs }) => state === 'dead' && retryAtMs <= nowMs)
      .map(({ address }) => address);
  }

  /** When the next dead one is due, but for those that `isBusy` with an attempt; Infinity without one. */
  nextRetryAtMs(isBusy: (address: string) => boolean): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const { address, state, retryAtMs } of this.#entries.values())
      if (state === 'dead' && !isBusy(address)) soonest = Math.min(soonest, retryAtMs);
    return soonest;
  }

  get aliveCount(): number {
    let count = 0;
    for (const { state } of this.#entries.values()) if (state === 'alive') count += 1;
    return count;
  }

  /** Whether at least one of them said that it cannot serve us, instead of saying nothing. */
  get someAbsent(): boolean {
    for (const { lastFailure } of this.#entries.values()) if (lastFailure === 'absent') return true;
    return false;
  }

  health(): ManagerHealth[] {
    return [...this.#entries.values()].map((entry) => ({ ...entry }));
  }

  /** Fisher and Yates. */
  shuffled(addresses: readonly string[]): string[] {
    const result = [...addresses];
    for (let left = result.length - 1; left > 0; left -= 1) {
      const pick = Math.floor(this.#random() * (left + 1));
      const [a, b] = [result[left], result[pick]];
      if (a === undefined || b === undefined) continue;
      result[left] = b;
      result[pick] = a;
    }
    return result;
  }
}

function revive(entry: Entry): void {
  entry.state = 'alive';
  entry.failures = 0;
  entry.goodAnswers = 0;
  entry.lastFailure = undefined;
}
