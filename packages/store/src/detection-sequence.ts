import { StoreError } from './store-error.ts';

/**
 * Detections are numbered as they arrive. A number is at least the time of arrival, so it also says how old an entry
 * is; and numbers go on rising when the last writes before a crash of Redis are lost, so that nobody's cursor stands
 * ahead of what comes next.
 */
const NUMBERS_PER_MS = 1024;
/** Padded, so that comparing texts compares numbers: 2^53 has 16 digits. */
const NUMBER_DIGITS = 16;
const CURSOR = /^([0-9a-f-]{0,36})\.([0-9]{16})$/u;

/** The least number of an entry that arrives now. @param nowMs milliseconds since 1970 */
export function numberAt(nowMs: number): number {
  return Math.max(0, Math.floor(nowMs)) * NUMBERS_PER_MS;
}

export function padNumber(number: number): string {
  return String(number).padStart(NUMBER_DIGITS, '0');
}

/** Behind the entry with this number, in the content of the store that the epoch names ('' when there is none). */
export function formatCursor(epoch: string, number: number): string {
  return `${epoch}.${padNumber(number)}`;
}

/** Null is before the first entry. Throws INVALID. */
export function parseCursor(cursor: string | null): { readonly epoch: string; readonly number: number } {
  if (cursor === null) return { epoch: '', number: 0 };
  const [, epoch, number] = CURSOR.exec(cursor) ?? [];
  if (epoch === undefined || number === undefined) throw new StoreError('INVALID', 'the cursor is none of a store');
  return { epoch, number: Number(number) };
}
