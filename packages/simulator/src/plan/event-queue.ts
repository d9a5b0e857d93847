import { PlanError } from './plan-error.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** More events than this in one run would take minutes: the scenario is not one that can be answered in one. */
const MAX_EVENTS = 200_000_000;
/** So often somebody is asked whether to go on. */
const ASK_EVERY = 8192;

/** Virtual time: what is to happen, in order; what is due at the same moment in the order in which it was asked for. */
export class EventQueue {
  /** Milliseconds; only differences mean something, and none is below 0. */
  now: number;
  #heap: Event[] = [];
  #order = 0;
  #done = 0;

  constructor(init: { readonly startMs: number }) {
    this.now = init.startMs;
  }

  /** Events that have happened. */
  get done(): number {
    return this.#done;
  }

  /** At once when the time is past. */
  at(atMs: number, run: () => void): void {
    this.#order += 1;
    this.#push({ atMs: Math.max(atMs, this.now), order: this.#order, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.now + delayMs, run);
  }

  /**
   * @param goesOn is asked every ASK_EVERY events
   * @returns false when it has said no, and the time is that of the last event
   * @throws PlanError after MAX_EVENTS
   */
  runUntil(endMs: number, goesOn: () => boolean = () => true): boolean {
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#pop();
      this.now = next.atMs;
      this.#done += 1;
      if (this.#done > MAX_EVENTS) throw new PlanError(`more than ${MAX_EVENTS} events: take fewer agents or a shorter time`);
      next.run();
      if (this.#done % ASK_EVERY === 0 && !goesOn()) return false;
    }
    this.now = endMs;
    return true;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      let below = heap[child];
      const right = heap[child + 1];
      if (below !== undefined && right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (below === undefined || isBefore(last, below)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
