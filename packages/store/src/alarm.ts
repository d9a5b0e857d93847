import { StoreError } from './store-error.ts';

/** A small document that several servers write in turn. */
export interface Alarm {
  /**
   * Another one after each change, also of an alarm that was deleted and made again. It only compares: what it will be
   * after a change, nobody can tell beforehand. 0 is "there is none".
   */
  readonly version: number;
  readonly body: string;
}

/** What a writer has seen, and what it wants to be there; null: nothing. */
export interface AlarmChange {
  readonly expected: number;
  readonly body: string | null;
}

/** Every device of a site, and as many contacts and signatures. */
export const MAX_ALARMS = 10_000;
export const MAX_ALARM_CHARS = 16_384;
const MAX_ALARM_NAME_CHARS = 200;
const NAME = /^[^\p{Cc}]+$/u;

/** Throws INVALID. */
export function checkAlarm(name: string, { expected, body }: AlarmChange): void {
  if (name.length > MAX_ALARM_NAME_CHARS || !NAME.test(name) || !name.isWellFormed())
    throw new StoreError('INVALID', `an alarm has a name of 1 to ${MAX_ALARM_NAME_CHARS} characters`);
  if (!Number.isSafeInteger(expected) || expected < 0)
    throw new StoreError('INVALID', 'the expected version of an alarm is a whole number');
  // Texts that come out of SQLite or Redis other than they went in.
  if (body !== null && (body.length > MAX_ALARM_CHARS || !body.isWellFormed() || body.includes('\0')))
    throw new StoreError('INVALID', `an alarm is a text of at most ${MAX_ALARM_CHARS} characters`);
}

export function tooManyAlarms(): StoreError {
  return new StoreError('INVALID', `there are at most ${MAX_ALARMS} alarms`);
}
