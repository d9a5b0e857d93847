import {
  decodeRegister,
  encodeRegister,
  formatRevision,
  type OverrideRegister,
  type OverridesSnapshot,
} from './override.ts';
import { CHANGES_FIELD, EPOCH_FIELD } from './redis-scripts.ts';
import { StoreError } from './store-error.ts';

const REGISTER = /^([0-9]{1,16}):([sc]):(.*)$/su;

/** Kind and body of a register: the script puts the time before it. */
export function registerText(register: OverrideRegister): string {
  return `${register.kind === 'set' ? 's' : 'c'}:${encodeRegister(register)}`;
}

/** Reads the whole table, a list of fields and values as HGETALL in a script gives it. Throws CORRUPT. */
export function readTable(fields: ReadonlyMap<string, string>): OverridesSnapshot {
  const registers = new Map<string, OverrideRegister>();
  for (const relay of [...fields.keys()].toSorted()) {
    if (relay !== EPOCH_FIELD && relay !== CHANGES_FIELD)
      registers.set(relay, readRegister(relay, fields.get(relay) ?? ''));
  }
  const epoch = fields.get(EPOCH_FIELD) ?? null;
  const changes = readChanges(fields.get(CHANGES_FIELD));
  return { epoch, changes, revision: formatRevision(epoch, changes), registers };
}

/** The stored number of changes, 0 if there is none. Throws CORRUPT. */
export function readChanges(text: string | null | undefined): number {
  const changes = Number(text ?? 0);
  if (!Number.isSafeInteger(changes)) throw new StoreError('CORRUPT', 'the stored number of changes is not a number');
  return changes;
}

function readRegister(relay: string, text: string): OverrideRegister {
  const [, at, kind, body] = REGISTER.exec(text) ?? [];
  if (at === undefined || body === undefined)
    throw new StoreError('CORRUPT', `the stored override of ${relay.slice(0, 64)} is not a register`);
  return decodeRegister(relay, { kind: kind === 's' ? 'set' : 'cleared', at: Number(at), body });
}
