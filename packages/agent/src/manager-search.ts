import type { RefusalCode } from '@sekisho/wire';

export interface SearchInit {
  readonly queue: readonly string[];
  readonly startedAtMs: number;
  /** A silent manager is raced against the next after so long. */
  readonly staggerMs: number;
  /** In all. */
  readonly budgetMs: number;
  /** There is a lease and a manager already; this is for a better one. */
  readonly isMove: boolean;
}

/** One search for a lease: whom to ask, one after the other, while the earlier may still answer. Pure. */
export class ManagerSearch {
  readonly isMove: boolean;
  readonly startedAtMs: number;
  readonly deadlineMs: number;
  /** The first no that another manager might have overruled. */
  refusal: { readonly code: RefusalCode; readonly retryAfterMs: number } | undefined = undefined;
  readonly #staggerMs: number;
  #queue: string[];
  #nextAtMs: number;

  constructor(init: SearchInit) {
    this.isMove = init.isMove;
    this.startedAtMs = init.startedAtMs;
    this.deadlineMs = init.startedAtMs + init.budgetMs;
    this.#staggerMs = init.staggerMs;
    this.#queue = [...init.queue];
    this.#nextAtMs = init.startedAtMs;
  }

  /** Nobody is left to be asked. */
  get exhausted(): boolean {
    return this.#queue.length === 0;
  }

  /** When the next one is to be asked, or the time is up. */
  get wakeAtMs(): number {
    return this.exhausted ? this.deadlineMs : Math.min(this.#nextAtMs, this.deadlineMs);
  }

  /** Whom to ask now; undefined while it is the turn of those who were. */
  next(nowMs: number): string | undefined {
    if (nowMs < this.#nextAtMs || nowMs >= this.deadlineMs) return undefined;
    const address = this.#queue.shift();
    if (address !== undefined) this.#nextAtMs = nowMs + this.#staggerMs;
    return address;
  }

  /** One of those who were asked is out: there is nothing to wait for. */
  hasten(nowMs: number): void {
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs);
  }

  /** The zone changed. */
  follow(gained: readonly string[], lost: readonly string[]): void {
    this.#queue = this.#queue.filter((address) => !lost.includes(address));
    this.#queue.push(...gained);
  }
}
