/** What a parser of this package can find wrong with its input. */
export type WireErrorCode =
  | 'TOO_LONG'
  | 'TRUNCATED'
  | 'MISSING'
  | 'DUPLICATE'
  | 'RANGE'
  | 'TEXT'
  | 'UNKNOWN_TYPE'
  | 'DEAD';

/** Malformed input from a peer, or a value of our own that does not fit its field. The message never quotes the input. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: WireErrorCode;

  constructor(code: WireErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
