/** What the administration of a manager answers when it does not do what was asked, with the HTTP status. */
export const ADMIN_ERRORS = {
  NOT_FOUND: 404,
  BAD_REQUEST: 400,
  UNKNOWN_RELAY: 404,
  /** The order, or its confirmation, names another site. */
  WRONG_SITE: 409,
  /** The relay is the last one that is up; an order that is confirmed drains it all the same. */
  LAST_RELAY: 409,
  /** An order that the site's other managers would not hear of is not carried out. */
  STORE_DOWN: 503,
  INTERNAL: 500,
} as const;

export type AdminErrorCode = keyof typeof ADMIN_ERRORS;

/** A request that is refused. The message says what to do instead. */
export class AdminError extends Error {
  override readonly name = 'AdminError';
  readonly code: AdminErrorCode;

  constructor(code: AdminErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
