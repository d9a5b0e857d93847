import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Detection, MAX_DETECTIONS_PER_CALL } from '@sekisho/store';

/** The gateway waits ten minutes for an answer (RFC 5321 4.5.3.2.6), but has other mail to send. */
const RECORD_TIMEOUT_MS = 30_000;

interface Waiting {
  readonly detections: readonly Detection[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Records what many connections bring at the same time together: while one batch is being written the next one gathers, so
 * that a flood of notices costs the store few transactions, and a single one does not wait. Its length is bounded by the
 * connections, each of which waits for its own.
 */
export class RecordBatches {
  readonly #record: (detections: readonly Detection[]) => Promise<void>;
  readonly #timeoutMs: number;
  #waiting: Waiting[] = [];
  #isWriting = false;

  constructor(components: { readonly record: (detections: readonly Detection[]) => Promise<void> }, init: { readonly timeoutMs?: number } = {}) {
    this.#record = components.record;
    this.#timeoutMs = init.timeoutMs ?? RECORD_TIMEOUT_MS;
  }

  /** Resolves when they are recorded; rejects when that failed or took too long, and then they may be recorded or not. */
  add(detections: readonly Detection[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.push({ detections, resolve, reject });
    if (!this.#isWriting) void this.#write();
    return promise;
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      // What the sockets have brought in this turn of the loop goes along, also into a store that writes in no time.
      await nextTurn();
      const batch = this.#take();
      try {
        await this.#recordInTime(batch.flatMap(({ detections }) => detections));
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isWriting = false;
  }

  /** The first ones that fit, at least one. */
  #take(): Waiting[] {
    let count = 0;
    const end = this.#waiting.findIndex(({ detections }, index) => (count += detections.length) > MAX_DETECTIONS_PER_CALL && index > 0);
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  async #recordInTime(detections: readonly Detection[]): Promise<void> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error(`the store took longer than ${this.#timeoutMs} ms`)), this.#timeoutMs);
    try {
      await Promise.race([this.#record(detections), promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}
