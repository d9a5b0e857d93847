/**
 * A chunk is the view of a whole TLS record (16 KiB at most): a smaller one is copied, because a peer that sends single
 * bytes would otherwise make each of them hold its record.
 */
const COPY_BELOW_BYTES = 4 * 1024;
const BLOCK_BYTES = 16 * 1024;

/** Bytes that wait for a destination that does not read. The window of the stream bounds how many. */
export class HeldBytes {
  #chunks: Buffer[] = [];
  /** The last of #chunks while it is a block that still has room; #blockUsed of it is taken. */
  #block: Buffer | undefined;
  #blockUsed = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  push(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (chunk.length >= COPY_BELOW_BYTES) {
      this.#closeBlock();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#block === undefined || this.#blockUsed + chunk.length > BLOCK_BYTES) this.#openBlock();
    this.#blockUsed += chunk.copy(this.#block ?? chunk, this.#blockUsed);
  }

  /** Everything, in order; nothing is left. */
  take(): readonly Buffer[] {
    this.#closeBlock();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    return chunks;
  }

  #openBlock(): void {
    this.#closeBlock();
    this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  #closeBlock(): void {
    if (this.#block !== undefined) this.#chunks.push(this.#block.subarray(0, this.#blockUsed));
    this.#block = undefined;
    this.#blockUsed = 0;
  }
}
