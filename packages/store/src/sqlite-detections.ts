import {
  checkPageLimit,
  decodePage,
  type Detection,
  type DetectionLimits,
  type DetectionPage,
  encodeDetections,
  MAX_DETECTIONS_CLEARED,
} from './detection.ts';
import { formatCursor, numberAt, parseCursor } from './detection-sequence.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

const INSERT = 'INSERT INTO detection (number, key, body) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING';
const CLEAR = 'DELETE FROM detection WHERE number IN (SELECT number FROM detection WHERE number < ? ORDER BY number LIMIT ?)';

/** The detections of a SqliteStore. */
export class SqliteDetections {
  readonly #database: SqliteDatabase;
  readonly #clock: { now(): number };
  readonly #limits: DetectionLimits;

  /** @param components clock: milliseconds since 1970 */
  constructor(
    components: { readonly database: SqliteDatabase; readonly clock: { now(): number } },
    init: DetectionLimits,
  ) {
    this.#database = components.database;
    this.#clock = components.clock;
    this.#limits = init;
  }

  async record(list: readonly Detection[]): Promise<number> {
    const stored = encodeDetections(list);
    if (stored.length === 0) return 0;
    return this.#database.write(() => {
      const nowMs = this.#clock.now();
      this.#database.change(CLEAR, numberAt(nowMs - this.#limits.keepMs), MAX_DETECTIONS_CLEARED);
      let last = Number(this.#database.row('SELECT max(number) AS last FROM detection')?.['last'] ?? 0);
      let recorded = 0;
      for (const { key, body } of stored) {
        const number = Math.max(last + 1, numberAt(nowMs));
        if (this.#database.change(INSERT, number, key, body) === 0) continue;
        last = number;
        recorded += 1;
      }
      const over = Number(this.#database.row('SELECT count(*) AS n FROM detection')?.['n']) - this.#limits.maxKept;
      if (over > 0) this.#database.change(CLEAR, Number.MAX_SAFE_INTEGER, over);
      return recorded;
    });
  }

  /** @param epoch reads the name of the store's content, within the same transaction */
  async after(cursor: string | null, limit: number, epoch: () => string): Promise<DetectionPage> {
    const seen = parseCursor(cursor);
    checkPageLimit(limit);
    return this.#database.read(() => {
      const present = epoch();
      const from = seen.epoch === present ? seen.number : 0;
      const rows = this.#database.rows('SELECT number, body FROM detection WHERE number > ? ORDER BY number LIMIT ?', from, limit);
      const last = Number(rows.at(-1)?.['number'] ?? from);
      return decodePage(rows.map(({ body }) => String(body)), formatCursor(present, last));
    });
  }
}
