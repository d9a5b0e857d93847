import type { Store } from '@sekisho/store';
import { AlarmBook } from './alarm-book.ts';

/** Characters of who it was. */
export const MAX_BY_CHARS = 128;

export type AckOutcome = 'acknowledged' | 'unknown' | 'over';

/**
 * Notes that somebody takes care of an outbreak: nobody gets digests of it any more; that it is over is told. Rejects with
 * StoreError.
 */
export async function acknowledge(store: Pick<Store, 'alarms' | 'putAlarm'>, name: string, ack: { readonly by: string; readonly at: number }): Promise<AckOutcome> {
  let outcome: AckOutcome = 'unknown';
  const by = ack.by.slice(0, MAX_BY_CHARS).toWellFormed();
  await new AlarmBook({ store }).updateOutbreak(name, (outbreak) => {
    outcome = outbreak.endedAt === null ? 'acknowledged' : 'over';
    return outcome === 'over' ? undefined : { ...outbreak, ack: { by, at: ack.at } };
  });
  return outcome;
}
