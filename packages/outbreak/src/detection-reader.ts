import type { Store } from '@sekisho/store';
import { DeviceBook } from './device-book.ts';
import type { Sighting } from './core/sighting.ts';

/** Detections read at once. */
const PAGE_DETECTIONS = 1000;

/** Reads the log of detections, each once. */
export class DetectionReader {
  readonly #store: Pick<Store, 'detectionsAfter' | 'getDevice'>;
  readonly #devices: DeviceBook;
  #cursor: string | null = null;

  constructor(components: { readonly store: Pick<Store, 'detectionsAfter' | 'getDevice'> }) {
    this.#store = components.store;
    this.#devices = new DeviceBook(components);
  }

  /** What has arrived since the last call, page by page. What was not taken because of a StoreError comes again. */
  async *read(): AsyncIterable<{ readonly sightings: readonly Sighting[]; readonly unreadable: number }> {
    for (;;) {
      const { detections, cursor, unreadable } = await this.#store.detectionsAfter(this.#cursor, PAGE_DETECTIONS);
      const sightings = await this.#devices.sightings(detections);
      this.#cursor = cursor;
      if (detections.length + unreadable > 0) yield { sightings, unreadable };
      if (detections.length + unreadable < PAGE_DETECTIONS) return;
    }
  }
}
