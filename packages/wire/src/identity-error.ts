/** What can be wrong with a name that says who somebody is. */
export type IdentityErrorCode = 'BAD_MAC' | 'BAD_SITE' | 'BAD_ROLE' | 'BAD_RIGHTS' | 'BAD_URI';

/** The only error of the identity and MAC address parsers. The message says what is allowed and never quotes the input. */
export class IdentityError extends Error {
  override readonly name = 'IdentityError';
  readonly code: IdentityErrorCode;

  constructor(code: IdentityErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
