/** Numbers remembered. Nobody has so many viruses in one session; past it nothing can be deleted, which loses nothing. */
export const MAX_WITHHELD_MESSAGES = 1024;

/** Messages of this session that the client has asked for and not got: they must not be deleted. */
export class WithheldMessages {
  readonly #numbers = new Set<number>();
  #isOverflowed = false;

  add(message: number): void {
    if (this.#numbers.size < MAX_WITHHELD_MESSAGES) this.#numbers.add(message);
    else this.#isOverflowed ||= !this.#numbers.has(message);
  }

  /** The client has got it after all. */
  delete(message: number): void {
    this.#numbers.delete(message);
  }

  has(message: number): boolean {
    return this.#isOverflowed || this.#numbers.has(message);
  }
}
