import type { Detection } from '@sekisho/store';
import type { Level } from './level.ts';

/** A detection, and what the registry of the site knows of its device. */
export interface Sighting {
  readonly detection: Detection;
  /** The registered name of the device; '' when there is none. */
  readonly label: string;
  /** Whom the registry names for the device; '' when nobody. What a notice claims is not here. */
  readonly registeredContact: string;
}

/** What a sighting is counted by at a level; undefined when it does not say. */
export function keyOf(level: Level, { detection, registeredContact }: Sighting): string | undefined {
  if (level === 'device') return detection.mac ?? undefined;
  if (level === 'signature') return detection.signature;
  const contact = registeredContact === '' ? (detection.contact ?? '') : registeredContact;
  return contact.trim().toLowerCase() || undefined;
}
