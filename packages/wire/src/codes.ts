/**
 * The closed set of refusal codes (docs/errors.md lists every one; a test compares the two).
 *
 * - `temporary`: the same request may succeed later. A client hears a 4xx, never a 5xx.
 * - `absence`: the answer means "nobody here can serve you" and not "you may not". Only an absence, like a
 *   time-out, may send an agent directly to the destination; a refusal never does (threats: fail-open as an attack).
 * - `elsewhere`: another relay or site may well say yes, so an agent asks the next one before it gives up.
 * - `enhanced`: the RFC 3463 status that an SMTP client is shown.
 */
export interface RefusalTraits {
  readonly number: number;
  readonly temporary: boolean;
  readonly absence: boolean;
  readonly elsewhere: boolean;
  readonly enhanced: string;
}

const permanent = (number: number, enhanced: string): RefusalTraits => ({
  number,
  temporary: false,
  absence: false,
  elsewhere: false,
  enhanced,
});
const temporary = (number: number, enhanced: string, elsewhere = false, absence = false): RefusalTraits => ({
  number,
  temporary: true,
  absence,
  elsewhere,
  enhanced,
});

export const REFUSALS = {
  VERSION: permanent(1, '5.3.5'),
  PROTOCOL: permanent(2, '5.3.5'),
  IDENTITY: permanent(3, '5.7.8'),
  INTERNAL: temporary(4, '4.3.0', true),

  DEVICE_REFUSED: permanent(10, '5.7.8'),
  DEVICE_DISABLED: permanent(11, '5.7.1'),
  DEVICE_REVOKED: permanent(12, '5.7.1'),
  DEVICE_EXPIRED: permanent(13, '5.7.8'),
  RATE_LIMITED: temporary(14, '4.7.0', true),
  AUTH_UNAVAILABLE: temporary(15, '4.3.2', true, true),

  NO_RELAY: temporary(20, '4.3.2', true, true),
  SHUTTING_DOWN: temporary(21, '4.3.2', true, true),

  TICKET_INVALID: permanent(30, '5.7.8'),
  TICKET_EXPIRED: temporary(31, '4.7.0'),
  TICKET_MISMATCH: permanent(32, '5.7.8'),
  TICKET_REQUIRED: permanent(33, '5.7.8'),

  FULL: temporary(40, '4.3.2', true),
  DEVICE_FULL: temporary(41, '4.3.2'),
  ADDRESS_FULL: temporary(42, '4.3.2'),
  DRAINING: temporary(43, '4.3.2', true),
  UNABLE: temporary(44, '4.3.2', true),

  RIGHTS: permanent(50, '5.7.1'),
  DESTINATION_PORT: permanent(51, '5.7.1'),
  DESTINATION_ADDRESS: permanent(52, '5.7.1'),
  DESTINATION_NAME: permanent(53, '5.1.2'),

  DNS_FAILED: temporary(60, '4.4.3'),
  DNS_NOT_FOUND: temporary(61, '4.4.3'),
  CONNECT_TIMEOUT: temporary(62, '4.4.1'),
  CONNECT_REFUSED: temporary(63, '4.4.1'),
  CONNECT_UNREACHABLE: temporary(64, '4.4.1'),
} as const satisfies Record<string, RefusalTraits>;

export type RefusalCode = keyof typeof REFUSALS;

const BY_NUMBER = new Map<number, RefusalCode>(
  Object.entries(REFUSALS).map(([code, traits]) => [traits.number, code as RefusalCode]),
);

/** The code for a number on the wire. A number from a newer peer is INTERNAL: temporary, and never a reason to go direct. */
export function refusalCode(number: number): RefusalCode {
  return BY_NUMBER.get(number) ?? 'INTERNAL';
}

/**
 * A refusal as it is thrown and carried between the parts of a role. `message` is ours and goes to logs and, escaped,
 * to peers; it never contains what a stranger sent.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: RefusalCode;
  /** How long the peer asks to be left alone, in milliseconds; 0 when it does not say. */
  readonly retryAfterMs: number;

  constructor(code: RefusalCode, message: string, retryAfterMs = 0) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  get temporary(): boolean {
    return REFUSALS[this.code].temporary;
  }

  get absence(): boolean {
    return REFUSALS[this.code].absence;
  }

  get elsewhere(): boolean {
    return REFUSALS[this.code].elsewhere;
  }
}
