import { FieldReader, parseStoredJson } from './fields.ts';
import { StoreError } from './store-error.ts';

/** What an operator ordered for a relay at run time, over the configured table. */
export interface Override {
  readonly drain: boolean;
  /** Replaces the configured weight; null leaves it. */
  readonly weight: number | null;
  /** Who ordered it. */
  readonly by: string;
  /** When, in milliseconds since 1970. A store moves it forward past the relay's previous change. */
  readonly at: number;
}

/** Who took an override back, and when (as {@link Override.at}). */
export interface OverrideClearing {
  readonly by: string;
  readonly at: number;
}

/** The last change of one relay's override: an order, or that it was taken back. */
export type OverrideRegister = ({ readonly kind: 'set' } & Override) | ({ readonly kind: 'cleared' } & OverrideClearing);

/** All registers at one moment. */
export interface OverridesSnapshot {
  /** Name of this content of the store; another name, or null, means that what was known before is lost. */
  readonly epoch: string | null;
  /** Number of changes since the epoch began. */
  readonly changes: number;
  /** As `Store.revision()` at the same moment. */
  readonly revision: string;
  readonly registers: ReadonlyMap<string, OverrideRegister>;
}

/** Relays with a register, cleared ones included; the oldest cleared one makes room for a new one. */
export const MAX_OVERRIDES = 1024;
/** The scheduler's, which would not take more; a rule compares the two. */
export const MAX_WEIGHT = 1_000;
const MAX_BY_CHARS = 128;
/** Names and addresses of relays, with or without port. `@` is kept for the store's own fields. */
const RELAY = /^[A-Za-z0-9:[][A-Za-z0-9:.[\]_/%-]{0,254}$/u;

/** Returns the relay's name unchanged. Throws INVALID. */
export function checkRelay(relay: string): string {
  if (typeof relay !== 'string' || !RELAY.test(relay))
    throw new StoreError('INVALID', 'a relay is a name or address of 1 to 255 letters, digits and : . _ / % [ ] -');
  return relay;
}

/** Checks a caller's override. Throws INVALID. */
export function checkOverride(override: Override): OverrideRegister {
  const fields = new FieldReader(override, 'an override', 'INVALID').only(['drain', 'weight', 'by', 'at']);
  return { kind: 'set', ...readOverride(fields) };
}

/** Checks a caller's clearing. Throws INVALID. */
export function checkClearing(clearing: OverrideClearing): OverrideRegister {
  const fields = new FieldReader(clearing, 'a clearing', 'INVALID').only(['by', 'at']);
  return { kind: 'cleared', ...readClearing(fields) };
}

/** The text of a register without its time, which stores keep beside it to compare. */
export function encodeRegister({ at: _at, kind: _kind, ...body }: OverrideRegister): string {
  return JSON.stringify(body);
}

/** Reads what was stored for a relay. Throws CORRUPT. */
export function decodeRegister(relay: string, stored: { kind: string; at: number; body: string }): OverrideRegister {
  const what = `the stored override of ${relay}`;
  const body = parseStoredJson(stored.body, what);
  const fields = new FieldReader(typeof body === 'object' ? { ...body, at: stored.at } : body, what, 'CORRUPT');
  if (stored.kind === 'set') return { kind: 'set', ...readOverride(fields) };
  if (stored.kind === 'cleared') return { kind: 'cleared', ...readClearing(fields) };
  throw new StoreError('CORRUPT', `${what} is of no known kind`);
}

/** The overrides in force among the registers. */
export function overridesInForce(registers: ReadonlyMap<string, OverrideRegister>): Map<string, Override> {
  const inForce = new Map<string, Override>();
  for (const [relay, { kind, ...override }] of registers)
    if (kind === 'set') inForce.set(relay, override as Override);
  return inForce;
}

/** `changes` counts since the epoch began, so neither alone tells a wiped store from an unchanged one. */
export function formatRevision(epoch: string | null, changes: number): string {
  return `${epoch ?? ''}.${changes}`;
}

function readOverride(fields: FieldReader): Override {
  return { drain: fields.flag('drain'), weight: fields.numberOrNull('weight', MAX_WEIGHT), ...readClearing(fields) };
}

function readClearing(fields: FieldReader): OverrideClearing {
  return { by: fields.text('by', MAX_BY_CHARS), at: fields.time('at') };
}
