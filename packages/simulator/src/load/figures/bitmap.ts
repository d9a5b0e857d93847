const FIRST_BYTES = 1024;

/** A set of small numbers, a bit each. Grows as it must, up to `maxNumbers`. */
export class Bitmap {
  readonly #maxNumbers: number;
  #bytes: Uint8Array;

  constructor(init: { readonly maxNumbers: number; readonly bytes?: Uint8Array }) {
    this.#maxNumbers = init.maxNumbers;
    this.#bytes = init.bytes ?? new Uint8Array(FIRST_BYTES);
  }

  /** False when it was there already. Throws RangeError for a number past the limit. */
  add(number: number): boolean {
    if (number < 0 || number >= this.#maxNumbers) throw new RangeError(`${number} is not below ${this.#maxNumbers}`);
    const index = number >>> 3;
    if (index >= this.#bytes.length) this.#grow(index + 1);
    const before = this.#bytes[index] ?? 0;
    const after = before | (1 << (number & 7));
    this.#bytes[index] = after;
    return after !== before;
  }

  /** The bits, as they go to another process. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  #grow(wantedBytes: number): void {
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, wantedBytes));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** How many numbers are in both, in the first only, in the second only. */
export function compareBits(first: Uint8Array, second: Uint8Array): { both: number; first: number; second: number } {
  const counts = { both: 0, first: 0, second: 0 };
  for (let index = 0; index < Math.max(first.length, second.length); index += 1) {
    const a = first[index] ?? 0;
    const b = second[index] ?? 0;
    counts.both += ones(a & b);
    counts.first += ones(a & ~b);
    counts.second += ones(b & ~a);
  }
  return counts;
}

/** The union, in the first; returns how many numbers were in both. */
export function mergeBits(into: Uint8Array, from: Uint8Array): { bytes: Uint8Array; both: number } {
  const { both } = compareBits(into, from);
  const bytes = new Uint8Array(Math.max(into.length, from.length));
  bytes.set(into);
  from.forEach((byte, index) => (bytes[index] = (bytes[index] ?? 0) | byte));
  return { bytes, both };
}

function ones(byte: number): number {
  let count = 0;
  for (let left = byte & 0xff; left > 0; left &= left - 1) count += 1;
  return count;
}
