import { networkOf } from '@sekisho/channel';

/** Wrong tokens of one address within a minute; then even the right one is not looked at. */
export const MAX_ATTEMPTS = 5;
const ATTEMPTS_WINDOW_MS = 60_000;
/** Addresses with wrong tokens that are remembered; of IPv6, networks of 64 bits. */
const MAX_ADDRESSES = 256;

/** Counts wrong tokens by address, and by /64 of IPv6, in which anybody has as many addresses as he likes. */
export class TokenAttempts {
  readonly #clock: { now(): number };
  readonly #failures = new Map<string, { count: number; untilMs: number }>();

  constructor({ clock }: { readonly clock: { now(): number } }) {
    this.#clock = clock;
  }

  /** Whether this address has tried too often; in how many milliseconds it may again. 0: now. */
  waitMs(address: string): number {
    const failed = this.#failures.get(networkOf(address));
    if (failed === undefined || failed.count < MAX_ATTEMPTS) return 0;
    return Math.max(0, failed.untilMs - this.#clock.now());
  }

  fail(address: string): void {
    const now = this.#clock.now();
    const network = networkOf(address);
    const before = this.#failures.get(network);
    const failed = before === undefined || before.untilMs <= now ? { count: 0, untilMs: now + ATTEMPTS_WINDOW_MS } : before;
    failed.count += 1;
    this.#failures.delete(network);
    this.#failures.set(network, failed);
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest);
  }
}
