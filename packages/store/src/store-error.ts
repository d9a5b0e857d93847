/**
 * Why an operation of a store failed (docs/errors.md lists every one; a test compares the two). The value says whether
 * the same operation may succeed later without anybody doing anything.
 */
export const STORE_ERROR_CODES = {
  /** Not reached, not answering in time, or busy. A write that ended so may have been carried out all the same. */
  UNAVAILABLE: { temporary: true },
  /** The store refuses us: credentials, permissions or a path that cannot be opened. */
  DENIED: { temporary: false },
  /** What is stored cannot be read back as what it should be. */
  CORRUPT: { temporary: false },
  /** What is stored was written by another version of this program, or by another program. */
  INCOMPATIBLE: { temporary: false },
  /** The caller's argument is not allowed, or a limit is reached. */
  INVALID: { temporary: false },
  /** The store was closed by this process. */
  CLOSED: { temporary: false },
} as const;

export type StoreErrorCode = keyof typeof STORE_ERROR_CODES;

/** The one error of every store. Its text never holds a password or the content of a record. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;
  readonly temporary: boolean;

  constructor(code: StoreErrorCode, message: string) {
    super(message);
    this.code = code;
    this.temporary = STORE_ERROR_CODES[code].temporary;
  }
}
