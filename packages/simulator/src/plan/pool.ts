import type { Random } from '../load/random.ts';

/** A set of agents of which any one can be drawn. */
export class Pool {
  readonly #agents: number[] = [];
  /** Where an agent is, from 1; 0: nowhere. */
  readonly #places: Int32Array;

  constructor(init: { readonly count: number }) {
    this.#places = new Int32Array(init.count);
  }

  get size(): number {
    return this.#agents.length;
  }

  add(agent: number): void {
    if (this.#places[agent] !== 0) return;
    this.#places[agent] = this.#agents.push(agent);
  }

  delete(agent: number): void {
    const place = this.#places[agent] ?? 0;
    const last = place === 0 ? undefined : this.#agents.pop();
    if (last === undefined) return;
    if (last !== agent) {
      this.#agents[place - 1] = last;
      this.#places[last] = place;
    }
    this.#places[agent] = 0;
  }

  any(random: Random): number | undefined {
    return this.#agents[Math.floor(random() * this.#agents.length)];
  }
}
