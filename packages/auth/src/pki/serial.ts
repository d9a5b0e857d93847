import { randomBytes } from 'node:crypto';
import { PkiError } from './pki-error.ts';

const SERIAL_BYTES = 16;
/** RFC 5280, 4.1.2.2: a serial number has at most 20 octets. */
const MAX_SERIAL_BYTES = 20;

/** A fresh certificate serial number: 16 random bytes, in the spelling of {@link formatSerial}. */
export function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  // DER integers are signed and drop leading zeros: with the top bits 01 a serial is positive and always 16 bytes long.
  bytes.writeUInt8((bytes.readUInt8(0) & 0x3f) | 0x40, 0);
  return bytes.toString('hex');
}

/**
 * Gives a serial number, as Node, OpenSSL or a person writes it in hexadecimal (either case, colons, leading zeros), the
 * one spelling used for comparison: lower case, whole bytes, no leading zero byte. Throws PkiError `BAD_INPUT`.
 */
export function formatSerial(text: string): string {
  const digits = text.replaceAll(':', '').toLowerCase();
  if (!/^[0-9a-f]{1,64}$/u.test(digits)) throw badSerial();
  const shortest = digits.replace(/^0+/u, '');
  if (shortest === '' || shortest.length > 2 * MAX_SERIAL_BYTES) throw badSerial();
  return shortest.length % 2 === 0 ? shortest : `0${shortest}`;
}

function badSerial(): PkiError {
  return new PkiError('BAD_INPUT', 'a serial number is 1 to 20 bytes in hexadecimal, as `sekisho device show` prints it');
}
