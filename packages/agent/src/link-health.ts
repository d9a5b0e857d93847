import type { RefusalCode } from '@sekisho/wire';
import { type BackoffInit, pauseMs } from './backoff.ts';

/** What is remembered of a relay between connections: how it failed, and when it may be tried again. Pure. */
export class LinkHealth {
  readonly #random: () => number;
  readonly #retry: BackoffInit;
  #failures = 0;
  #failure: 'unreachable' | { readonly refused: RefusalCode } | undefined;
  #retryAtMs = 0;

  constructor(components: { readonly random: () => number }, init: { readonly retry: BackoffInit }) {
    this.#random = components.random;
    this.#retry = init.retry;
  }

  /** Undefined while nothing speaks against it. */
  get failure(): 'unreachable' | { readonly refused: RefusalCode } | undefined {
    return this.#failure;
  }

  get failures(): number {
    return this.#failures;
  }

  get retryAtMs(): number {
    return this.#retryAtMs;
  }

  failed(nowMs: number, refused: RefusalCode | undefined, leastPauseMs = 0): void {
    this.#failures += 1;
    this.#failure = refused === undefined ? 'unreachable' : { refused };
    this.#retryAtMs = nowMs + Math.max(leastPauseMs, pauseMs(this.#failures, this.#retry, this.#random));
  }

  /** What it said no to is not what it will be asked next; how often it failed is remembered. */
  forgive(): void {
    this.#failure = undefined;
  }

  /** The relay has admitted us. */
  recovered(): void {
    this.#failures = 0;
    this.#failure = undefined;
  }
}
