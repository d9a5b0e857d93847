import { FieldReader } from './fields.ts';
import { StoreError } from './store-error.ts';

/** The operator's signed revocation list as it was fetched. */
export interface Revocations {
  /** CRL number (RFC 5280 section 5.2.3), which only grows. */
  readonly number: bigint;
  readonly pem: string;
  /** Milliseconds since 1970. */
  readonly fetchedAt: number;
}

/** As {@link Revocations}, with the number in any form that holds it exactly. */
export interface RevocationsInput {
  readonly number: bigint | number;
  readonly pem: string;
  readonly fetchedAt: number;
}

/** As stored: the number padded with zeros, so that comparing texts compares numbers. */
export interface StoredRevocations {
  readonly number: string;
  readonly pem: string;
  readonly fetchedAt: number;
}

/** A list of about 60,000 certificates. */
export const MAX_REVOCATIONS_CHARS = 4 * 1024 * 1024;
/** CRL numbers have at most 20 octets (RFC 5280 section 5.2.3): below 2^160, 49 decimal digits. */
const MAX_NUMBER = 2n ** 160n - 1n;
const NUMBER_DIGITS = MAX_NUMBER.toString().length;
const STORED_NUMBER = new RegExp(`^[0-9]{${NUMBER_DIGITS}}$`, 'u');
// oxlint-disable-next-line no-control-regex -- PEM is ASCII text in lines (RFC 7468).
const ASCII_LINES = /^[\t\r\n\x20-\x7e]+$/u;

/** Checks a caller's list. Throws INVALID. */
export function encodeRevocations(list: RevocationsInput): StoredRevocations {
  const fields = new FieldReader(list, 'a revocation list', 'INVALID').only(['number', 'pem', 'fetchedAt']);
  const { number } = list;
  if (typeof number !== 'bigint' && !Number.isSafeInteger(number))
    throw new StoreError('INVALID', 'a revocation list: number is a whole number');
  if (number < 0 || number > MAX_NUMBER)
    throw new StoreError('INVALID', 'a revocation list: number has at most 20 octets');
  return {
    number: number.toString().padStart(NUMBER_DIGITS, '0'),
    pem: fields.text('pem', MAX_REVOCATIONS_CHARS, ASCII_LINES),
    fetchedAt: fields.time('fetchedAt'),
  };
}

/** Reads a stored list. Throws CORRUPT. */
export function decodeRevocations(stored: unknown): Revocations {
  const fields = new FieldReader(stored, 'the stored revocation list', 'CORRUPT');
  return {
    number: BigInt(fields.text('number', NUMBER_DIGITS, STORED_NUMBER)),
    pem: fields.text('pem', MAX_REVOCATIONS_CHARS, ASCII_LINES),
    fetchedAt: fields.time('fetchedAt'),
  };
}
