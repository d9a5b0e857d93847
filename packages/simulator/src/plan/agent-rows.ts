/** A place without an agent, a relay, or a manager. */
export const NONE = -1;

/**
 * What there is to know of each agent, a number each. Agents that hold a lease are listed by manager and relay, in
 * cells, so that a manager finds those that it is to move, and those that renew.
 */
export class AgentRows {
  readonly count: number;
  /** The manager that it is connected to. */
  readonly manager: Int32Array;
  /** The relays of its lease. */
  readonly relay: Int32Array;
  readonly second: Int32Array;
  /** The version of the zone that it has. */
  readonly version: Uint16Array;
  /** The relay through which its sessions go as a matter of course; NONE while each is a story of its own. */
  readonly flow: Int32Array;
  /** 1: it is simulated in full. */
  readonly active: Uint8Array;
  readonly #cell: Int32Array;
  readonly #place: Int32Array;
  readonly #cells: number[][];
  readonly #settled: Int32Array;

  constructor(init: { readonly count: number; readonly cells: number }) {
    const filled = (): Int32Array => new Int32Array(init.count).fill(NONE);
    this.count = init.count;
    this.manager = filled();
    this.relay = filled();
    this.second = filled();
    this.version = new Uint16Array(init.count);
    this.flow = filled();
    this.active = new Uint8Array(init.count);
    this.#cell = filled();
    this.#place = filled();
    this.#cells = Array.from({ length: init.cells }, () => []);
    this.#settled = new Int32Array(init.cells);
  }

  /** The agents in a cell; it changes as they move. */
  cell(cell: number): readonly number[] {
    return this.#cells[cell] ?? [];
  }

  /** How many agents in a cell are nothing but a row. */
  settledIn(cell: number): number {
    return this.#settled[cell] ?? 0;
  }

  /** Takes an agent out of its cell and puts it into another, or into none. */
  move(agent: number, cell: number): void {
    const from = this.#cell[agent] ?? NONE;
    if (from === cell) return;
    const settled = this.active[agent] === 1 ? 0 : 1;
    if (from !== NONE) {
      const agents = this.#cells[from] ?? [];
      const last = agents.pop();
      const place = this.#place[agent] ?? NONE;
      if (last !== undefined && last !== agent) {
        agents[place] = last;
        this.#place[last] = place;
      }
      this.#settled[from] = (this.#settled[from] ?? 0) - settled;
    }
    this.#cell[agent] = cell;
    if (cell === NONE) return;
    const agents = this.#cells[cell] ?? [];
    this.#place[agent] = agents.length;
    agents.push(agent);
    this.#settled[cell] = (this.#settled[cell] ?? 0) + settled;
  }

  setActive(agent: number, active: 0 | 1): void {
    const cell = this.#cell[agent] ?? NONE;
    if (cell !== NONE) this.#settled[cell] = (this.#settled[cell] ?? 0) + (this.active[agent] ?? 0) - active;
    this.active[agent] = active;
  }

  cellOf(agent: number): number {
    return this.#cell[agent] ?? NONE;
  }
}
