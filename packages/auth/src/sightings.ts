import { type Store, StoreError } from '@sekisho/store';

interface Sighting {
  readonly at: number;
  readonly from: string;
}

/** Devices that wait to be written down; what is beyond is not written, and is seen again at its next renewal. */
export const MAX_PENDING_SIGHTINGS = 10_000;
/** At most so many writes a second: the registry's "last seen" must not slow down admission. */
const WRITES_PER_FLUSH = 100;

/** Writes down when and from where registered devices were last seen: late, in small batches, and only if it works. */
export class Sightings {
  readonly #store: Store;
  readonly #pending = new Map<string, Sighting>();
  #flushing = false;

  constructor(components: { readonly store: Store }) {
    this.#store = components.store;
  }

  get size(): number {
    return this.#pending.size;
  }

  note(mac: string, sighting: Sighting): void {
    if (this.#pending.size >= MAX_PENDING_SIGHTINGS && !this.#pending.has(mac)) return;
    this.#pending.set(mac, sighting);
  }

  /** Writes the next few; to be called once a second. Never rejects. */
  async flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    try {
      let left = WRITES_PER_FLUSH;
      for (const [mac, sighting] of this.#pending) {
        if (left === 0) return;
        left -= 1;
        this.#pending.delete(mac);
        if (!(await this.#write(mac, sighting))) return;
      }
    } finally {
      this.#flushing = false;
    }
  }

  /** False when the store is down: the sighting waits, unless a later one does already. */
  async #write(mac: string, sighting: Sighting): Promise<boolean> {
    try {
      await this.#store.touchDevice(mac, sighting);
      return true;
    } catch (error) {
      if (error instanceof StoreError && !error.temporary) return true;
      if (!this.#pending.has(mac)) this.note(mac, sighting);
      return false;
    }
  }
}
