const FIRST_SIZE = 256;
const NOTHING = Buffer.alloc(0);

/**
 * Bytes that come in pieces and are looked at as one. It doubles, so that a peer who sends single bytes does not make us
 * copy everything for each of them. Whoever pushes bounds how many there are.
 */
export class GrowingBuffer {
  #block = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What there is; valid until the next call. */
  get bytes(): Buffer {
    return this.#block.subarray(0, this.#length);
  }

  push(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#block.length) this.#grow(length);
    piece.copy(this.#block, this.#length);
    this.#length = length;
  }

  /** Everything, for the caller to keep; nothing is left, and no memory held. */
  take(): Buffer {
    const { bytes } = this;
    this.clear();
    return bytes;
  }

  /** Drops what is behind the first `length` bytes. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  clear(): void {
    this.#block = NOTHING;
    this.#length = 0;
  }

  #grow(length: number): void {
    const block = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#block.length, FIRST_SIZE));
    this.#block.copy(block, 0, 0, this.#length);
    this.#block = block;
  }
}
