import { StoreError, type StoreErrorCode } from './store-error.ts';

// Primary result codes, https://www.sqlite.org/rescode.html; the low byte of an extended one is its primary.
const BUSY = 5;
const LOCKED = 6;
const CODES: Readonly<Record<number, StoreErrorCode>> = {
  3: 'DENIED', // PERM
  [BUSY]: 'UNAVAILABLE',
  [LOCKED]: 'UNAVAILABLE',
  8: 'DENIED', // READONLY
  10: 'UNAVAILABLE', // IOERR
  11: 'CORRUPT',
  13: 'UNAVAILABLE', // FULL
  14: 'DENIED', // CANTOPEN
  20: 'CORRUPT', // MISMATCH
  23: 'DENIED', // AUTH
  26: 'CORRUPT', // NOTADB
};

/** True when another connection holds the lock, so that trying again helps. */
export function isSqliteBusy(error: unknown): boolean {
  const result = resultCode(error);
  return result === BUSY || result === LOCKED;
}

/** Gives what node:sqlite threw its place in the closed set of codes. Other errors come back as they are. */
export function fromSqliteError(error: unknown): unknown {
  // node:sqlite refuses an integer above 2^53 - 1, which we never write.
  if (error instanceof Error && 'code' in error && error.code === 'ERR_OUT_OF_RANGE')
    return new StoreError('CORRUPT', `SQLite: ${error.message}`);
  const result = resultCode(error);
  if (!(error instanceof Error) || result === undefined) return error;
  return new StoreError(CODES[result] ?? 'INCOMPATIBLE', `SQLite: ${error.message}`);
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}
