/**
 * A map that forgets what was used longest ago once it holds `maxEntries`: what strangers can grow stays within a bound,
 * and what is in use stays.
 */
export class BoundedMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #maxEntries: number;

  constructor(init: { readonly maxEntries: number }) {
    this.#maxEntries = init.maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value, which now counts as the one used last. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#maxEntries) return;
    const oldest = this.#entries.keys().next();
    if (oldest.done !== true) this.#entries.delete(oldest.value);
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }
}
