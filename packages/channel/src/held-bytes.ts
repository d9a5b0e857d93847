/**
 * A chunk is the view of a whole TLS record (16 KiB at most): a smaller one is copied, because a peer that sends single
 * bytes would otherwise make each of them hold its record.
 */
const COPY_BELOW_BYTES = 4 * 1024;
const BLOCK_BYTES = 16 * 1024;

/** Bytes that wait for a destination: that it is connected, or reads. Whoever pushes bounds how many. */
export class HeldBytes {
  #chunks: Buffer[] = [];
  /** Small chunks are copied here, one behind the other; what lies between #runStart and #blockUsed is not in #chunks yet. */
  #block: Buffer | undefined;
  #runStart = 0;
  #blockUsed = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (chunk.length >= COPY_BELOW_BYTES) {
      // The rest of the block serves the next small one: small and large ones in turn must not cost a block each.
      this.#endRun();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block === undefined || this.#blockUsed + chunk.length > BLOCK_BYTES) this.#openBlock();
    this.#blockUsed += chunk.copy(this.#block ?? chunk, this.#blockUsed);
  }

  /** Everything, in order; nothing is left. */
  take(): readonly Buffer[] {
    this.#endRun();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#block = undefined;
    return chunks;
  }

  #openBlock(): void {
    this.#endRun();
    this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#runStart = 0;
    this.#blockUsed = 0;
  }

  #endRun(): void {
    if (this.#block === undefined || this.#blockUsed === this.#runStart) return;
    this.#chunks.push(this.#block.subarray(this.#runStart, this.#blockUsed));
    this.#runStart = this.#blockUsed;
  }
}
