const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What offices do in a day, by the hour: mail comes with people, and twice as much in the morning as on average. */
export const OFFICE_HOURS: readonly number[] = [2, 1, 1, 1, 2, 4, 8, 16, 26, 30, 28, 24, 18, 22, 25, 25, 23, 20, 14, 9, 7, 5, 4, 3];
export const FLAT_HOURS: readonly number[] = Array.from({ length: 24 }, () => 1);

/** How many sessions one agent has, by the time of day: 24 points, straight lines between them, the same every day. */
export class LoadCurve {
  readonly #hours: readonly number[];
  readonly #perMs: number;

  /** @param init hours: in proportion to each other, from midnight on */
  constructor(init: { readonly hours: readonly number[]; readonly sessionsPerDay: number }) {
    const sum = init.hours.reduce((total, hour) => total + hour, 0);
    this.#hours = init.hours;
    this.#perMs = sum === 0 ? 0 : init.sessionsPerDay / (sum * HOUR_MS);
  }

  /** Sessions of one agent in a millisecond. */
  ratePerMs(atMs: number): number {
    const hour = (((atMs % DAY_MS) + DAY_MS) % DAY_MS) / HOUR_MS;
    const before = Math.floor(hour);
    const from = this.#hours[before] ?? 0;
    const to = this.#hours[(before + 1) % 24] ?? 0;
    return this.#perMs * (from + (to - from) * (hour - before));
  }

  /** The full hour with most sessions, in milliseconds since midnight. */
  get busiestMs(): number {
    return this.#hours.indexOf(Math.max(...this.#hours)) * HOUR_MS;
  }
}
