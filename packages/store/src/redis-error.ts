import { StoreError, type StoreErrorCode } from './store-error.ts';

/** Codes that begin the text of a Redis error reply; everything else is UNAVAILABLE (LOADING, BUSY, OOM, READONLY...). */
const REPLY_CODES: Readonly<Record<string, StoreErrorCode>> = {
  NOAUTH: 'DENIED',
  NOPERM: 'DENIED',
  WRONGPASS: 'DENIED',
  WRONGTYPE: 'CORRUPT',
};

/**
 * Gives what ioredis threw its place in the closed set of codes. Only the text is kept: the error object itself
 * carries the command's arguments, which may be a password or a record.
 */
export function fromRedisError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const text = errorText(error);
  // The reply of a script's failing call stands inside another sentence in some versions of Redis.
  const reply = Object.keys(REPLY_CODES).find((code) => new RegExp(`\\b${code}\\b`, 'u').test(text)) ?? '';
  return new StoreError(REPLY_CODES[reply] ?? 'UNAVAILABLE', `Redis: ${text}`);
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return 'failed without a reason';
  // connect() to a name with several addresses fails with an AggregateError, which has no text of its own.
  if (error.message === '' && 'code' in error) return String(error.code);
  return error.message;
}
