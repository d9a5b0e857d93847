/** What can go wrong with certificates, revocation lists and the operator's directory (docs/errors.md lists every one). */
export const PKI_ERROR_CODES = [
  'ALREADY_EXISTS',
  'NOT_AN_OPERATOR_DIRECTORY',
  'UNSUPPORTED_FORMAT',
  'PERMISSIONS_TOO_OPEN',
  'DAMAGED',
  'BUSY',
  'FILE_ERROR',
  'CLOCK_ABSURD',
  'BAD_INPUT',
  'BAD_VALIDITY',
  'LIST_TOO_LARGE',
  'LIST_MALFORMED',
  'LIST_NOT_SIGNED_BY_CA',
  'LIST_UNSUPPORTED',
] as const;
export type PkiErrorCode = (typeof PKI_ERROR_CODES)[number];

/** The one error of this folder; its message says what is wrong and what to do next. */
export class PkiError extends Error {
  override readonly name = 'PkiError';
  readonly code: PkiErrorCode;

  constructor(code: PkiErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
