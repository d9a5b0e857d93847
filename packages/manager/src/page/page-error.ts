/** What the status page refuses besides what the administration does (`ADMIN_ERRORS`), with the HTTP status. */
export const PAGE_ERRORS = {
  /** The page was asked for by a name that is not its own: DNS rebinding, or `page.hosts` lacks one. */
  HOST_REFUSED: 421,
  /** Another page sent it. */
  ORIGIN_REFUSED: 403,
  /** A token would have gone over a network in the clear. */
  PLAIN_REFUSED: 403,
  NO_TOKEN_FILE: 403,
  TOKEN_REFUSED: 403,
  TOO_MANY_ATTEMPTS: 429,
  NOT_SIGNED_IN: 401,
  METHOD_REFUSED: 405,
  TOO_LARGE: 413,
} as const;

export type PageErrorCode = keyof typeof PAGE_ERRORS;

/** A request that the status page refuses. The message says what to do instead. */
export class PageError extends Error {
  override readonly name = 'PageError';
  readonly code: PageErrorCode;

  constructor(code: PageErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
