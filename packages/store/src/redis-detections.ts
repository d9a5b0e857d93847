import { randomUUID } from 'node:crypto';
import {
  checkPageLimit,
  decodePage,
  type Detection,
  type DetectionLimits,
  type DetectionPage,
  encodeDetections,
  MAX_DETECTIONS_CLEARED,
} from './detection.ts';
import { formatCursor, numberAt, padNumber, parseCursor } from './detection-sequence.ts';
import type { RedisConnection } from './redis-connection.ts';
import { DETECTIONS_AFTER, RECORD_DETECTIONS } from './redis-detection-scripts.ts';
import { StoreError } from './store-error.ts';

const ENTRY = /^([0-9]{16}):[^:]*:(.*)$/su;

/** The detections of a RedisStore. */
export class RedisDetections {
  readonly #connection: RedisConnection;
  readonly #clock: { now(): number };
  readonly #limits: DetectionLimits;
  readonly #keys: readonly [log: string, index: string];

  /** @param components clock: milliseconds since 1970 */
  constructor(
    components: { readonly connection: RedisConnection; readonly clock: { now(): number } },
    init: { readonly prefix: string; readonly limits: DetectionLimits },
  ) {
    this.#connection = components.connection;
    this.#clock = components.clock;
    this.#limits = init.limits;
    this.#keys = [`${init.prefix}detections`, `${init.prefix}detection-index`];
  }

  async record(list: readonly Detection[]): Promise<number> {
    const stored = encodeDetections(list);
    if (stored.length === 0) return 0;
    const nowMs = this.#clock.now();
    const { keepMs, maxKept } = this.#limits;
    const oldest = padNumber(numberAt(nowMs - keepMs));
    const entries = stored.flatMap(({ key, body }) => [key, body]);
    return Number(
      await this.#run(RECORD_DETECTIONS, [randomUUID(), numberAt(nowMs), oldest, maxKept, MAX_DETECTIONS_CLEARED, ...entries]),
    );
  }

  async after(cursor: string | null, limit: number): Promise<DetectionPage> {
    const seen = parseCursor(cursor);
    const reply = await this.#run(DETECTIONS_AFTER, [seen.epoch, padNumber(seen.number), checkPageLimit(limit)]);
    if (!Array.isArray(reply)) throw new StoreError('CORRUPT', 'Redis: a script gave no list');
    const [epoch = '', ...entries] = reply.map(String);
    const read = entries.map((entry) => ENTRY.exec(entry) ?? []);
    const last = Number(read.at(-1)?.[1] ?? (epoch === seen.epoch ? seen.number : 0));
    return decodePage(read.map(([, , body = '']) => body), formatCursor(epoch, last));
  }

  #run(script: string, values: readonly (string | number)[]): Promise<unknown> {
    return this.#connection.run((client) => client.eval(script, this.#keys.length, ...this.#keys, ...values));
  }
}
