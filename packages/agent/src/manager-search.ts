import type { RefusalCode } from '@sekisho/wire';
import { isOptional, type MoveReason } from './moves.ts';
import { inRandomOrder } from './random-order.ts';

/**
 * So many who are out make room for the next at once; then the others have their turn only. Where hundreds of managers say no
 * within a round trip, as when all sites are full, each agent would begin a TLS connection with all of them.
 */
const MAX_HASTENED = 16;

export interface SearchInit {
  /** Whom to ask, in order. */
  readonly queue: Iterable<string>;
  /** Who is not asked, because it is in use. */
  readonly except: string | undefined;
  readonly startedAtMs: number;
  /** A silent manager is raced against the next after so long. */
  readonly staggerMs: number;
  /** In all. */
  readonly budgetMs: number;
  /** Undefined: there was no manager before. */
  readonly reason: MoveReason | undefined;
  /** One of those who are asked may well answer: nothing speaks against it yet. */
  readonly isHopeful: boolean;
  /** A lease of this site is of no use. */
  readonly notSite?: string | undefined;
  /** A lease that takes longer than this is of no use. */
  readonly withinMs?: number | undefined;
}

/** One search for a lease: whom to ask, one after the other, while the earlier may still answer. Pure. */
export class ManagerSearch {
  readonly reason: MoveReason | undefined;
  /** There is a lease and a manager; this is for a better one. */
  readonly isMove: boolean;
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  readonly isHopeful: boolean;
  /** The first no that another manager might have overruled. */
  refusal: { readonly code: RefusalCode; readonly retryAfterMs: number } | undefined = undefined;
  readonly #random: () => number;
  readonly #init: SearchInit;
  readonly #staggerMs: number;
  #queue: Iterator<string, void, undefined>;
  /** The first of the queue, once somebody had to know whether there is one. */
  #head: string | undefined;
  #nextAtMs: number;
  #hastened = 0;

  constructor(components: { readonly random: () => number }, init: SearchInit) {
    this.#random = components.random;
    this.#init = init;
    this.reason = init.reason;
    this.isMove = init.reason !== undefined && isOptional(init.reason);
    this.isHopeful = init.isHopeful;
    this.startedAtMs = init.startedAtMs;
    this.deadlineMs = init.startedAtMs + init.budgetMs;
    this.#staggerMs = init.staggerMs;
    this.#queue = without(init.queue, (address) => address === init.except);
    this.#nextAtMs = init.startedAtMs;
  }

  /** Nobody is left to be asked. */
  get exhausted(): boolean {
    return this.#peek() === undefined;
  }

  /** When the next one is to be asked, or the time is up. */
  get wakeAtMs(): number {
    return this.exhausted ? this.deadlineMs : Math.min(this.#nextAtMs, this.deadlineMs);
  }

  /** Whom to ask now; undefined while it is the turn of those who were. */
  next(nowMs: number): string | undefined {
    if (nowMs < this.#nextAtMs || nowMs >= this.deadlineMs) return undefined;
    const address = this.#peek();
    this.#head = undefined;
    if (address !== undefined) this.#nextAtMs = nowMs + this.#staggerMs;
    return address;
  }

  /** Whether a lease of this site, which took so long, is what is looked for. */
  accepts(site: string, tookMs: number): boolean {
    const { notSite, withinMs = Number.POSITIVE_INFINITY } = this.#init;
    return site !== notSite && tookMs <= withinMs;
  }

  /** One of those who were asked is out: there is nothing to wait for. */
  hasten(nowMs: number): void {
    if (this.#hastened >= MAX_HASTENED || this.#nextAtMs <= nowMs) return;
    this.#hastened += 1;
    this.#nextAtMs = nowMs;
  }

  /** The zone changed. */
  follow(gained: readonly string[], lost: readonly string[]): void {
    if (gained.length === 0 && lost.length === 0) return;
    const rest = this.#rest();
    this.#head = undefined;
    this.#queue = chain(without(rest, (address) => lost.includes(address)), inRandomOrder(gained, this.#random));
  }

  #peek(): string | undefined {
    this.#head ??= this.#queue.next().value ?? undefined;
    return this.#head;
  }

  #rest(): Iterable<string> {
    const head = this.#peek();
    const queue = this.#queue;
    return chain(head === undefined ? [] : [head], { [Symbol.iterator]: () => queue });
  }
}

function* without(addresses: Iterable<string>, isOut: (address: string) => boolean): Generator<string, void, undefined> {
  for (const address of addresses) if (!isOut(address)) yield address;
}

function* chain(first: Iterable<string>, then: Iterable<string>): Generator<string, void, undefined> {
  yield* first;
  yield* then;
}
