import { MAX_UINT32 } from './frame.ts';

/**
 * Ids that a peer passed over and may still open. Go's yamux takes the id and sends SYN in two steps, so streams opened
 * by several goroutines can arrive out of order; a peer that skips more than this loses the oldest ones.
 */
export const MAX_SKIPPED_IDS = 64;

/** The ids of the streams that this side opens, in order and each once. */
export class OutboundIds {
  #next: number;

  /** @param first the first id to hand out: 1 for a client, 2 for a server */
  constructor(first: number) {
    this.#next = first;
  }

  /** The next id, or undefined when the 32 bits are used up. */
  take(): number | undefined {
    if (this.#next > MAX_UINT32) return undefined;
    const id = this.#next;
    this.#next += 2;
    return id;
  }

  /** Whether `id` (of this side's parity) was ever handed out. */
  used(id: number): boolean {
    return id < this.#next;
  }
}

/** Which ids the peer has used, in constant memory. */
export class InboundIds {
  readonly #skipped = new Set<number>();
  #highest: number;

  /** @param first the first id the peer may use: 1 for a client, 2 for a server */
  constructor(first: number) {
    this.#highest = first - 2;
  }

  /** Marks `id` (of the peer's parity) as used; false when it was used before, or passed over too long ago. */
  use(id: number): boolean {
    if (id <= this.#highest) return this.#skipped.delete(id);
    if (id > this.#highest + 2) this.#skipTo(id);
    this.#highest = id;
    return true;
  }

  /** Whether `id` (of the peer's parity) was ever opened, as far as is remembered. */
  used(id: number): boolean {
    return id <= this.#highest && !this.#skipped.has(id);
  }

  #skipTo(id: number): void {
    for (let gap = Math.max(this.#highest + 2, id - 2 * MAX_SKIPPED_IDS); gap < id; gap += 2) this.#skipped.add(gap);
    for (const oldest of this.#skipped) {
      if (this.#skipped.size <= MAX_SKIPPED_IDS) break;
      this.#skipped.delete(oldest);
    }
  }
}
