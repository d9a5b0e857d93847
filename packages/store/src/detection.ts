import { FieldReader, parseStoredJson } from './fields.ts';
import { StoreError, type StoreErrorCode } from './store-error.ts';

/** A virus that was found at the site, or that somebody else's gateway has told us of. */
export interface Detection {
  /** 1 to 64 of `A-Z a-z 0-9 _ -`. Recorded twice, it counts once. */
  readonly key: string;
  /** When it was found, by the reporter's clock: milliseconds since 1970. */
  readonly at: number;
  readonly source: 'relay' | 'notice';
  /** The relay or the gateway. */
  readonly reporter: string;
  /** `02:00:5e:10:00:01`, lower case. */
  readonly mac: string | null;
  readonly signature: string;
  readonly protocol: string | null;
  readonly client: string | null;
  readonly destination: string | null;
  /** A customer's address that a notice names. */
  readonly contact: string | null;
}

/** Detections in the order of their arrival. */
export interface DetectionPage {
  readonly detections: readonly Detection[];
  /** Where the next page begins; it has moved past the unreadable ones, too. */
  readonly cursor: string;
  /** Entries of this page that are damaged, or of a newer version of this program. */
  readonly unreadable: number;
}

/** What is kept; the oldest goes first. */
export interface DetectionLimits {
  /** From its arrival, milliseconds. It goes some time after, when others arrive. */
  readonly keepMs: number;
  readonly maxKept: number;
}

export const DEFAULT_DETECTION_LIMITS: DetectionLimits = { keepMs: 24 * 3_600_000, maxKept: 100_000 };
/** Detections recorded by one call. */
export const MAX_DETECTIONS_PER_CALL = 500;
/** Detections of one page. */
export const MAX_PAGE_DETECTIONS = 1000;
/** Old ones that one call clears away: above what it can add, and soon done. */
export const MAX_DETECTIONS_CLEARED = 2000;

const MAX_KEY_CHARS = 64;
const MAX_REPORTER_CHARS = 255;
const MAX_SIGNATURE_CHARS = 128;
const MAX_PROTOCOL_CHARS = 16;
/** An address and a port, or what a gateway calls its client. */
const MAX_CLIENT_CHARS = 255;
/** RFC 1035: 253 characters of a name; and a port. */
const MAX_DESTINATION_CHARS = 260;
/** RFC 5321 4.5.3.1.3: a path has 256. */
const MAX_CONTACT_CHARS = 256;

const KEY = /^[A-Za-z0-9_-]+$/u;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/u;
const FIELDS: readonly string[] = [
  'key',
  'at',
  'source',
  'reporter',
  'mac',
  'signature',
  'protocol',
  'client',
  'destination',
  'contact',
] satisfies (keyof Detection)[];

/** A detection as both stores keep it. */
export interface StoredDetection {
  readonly key: string;
  readonly body: string;
}

/** Checks a caller's detections. Throws INVALID. */
export function encodeDetections(list: readonly Detection[]): StoredDetection[] {
  if (list.length > MAX_DETECTIONS_PER_CALL)
    throw new StoreError('INVALID', `at most ${MAX_DETECTIONS_PER_CALL} detections are recorded at once`);
  return list.map((detection) => {
    new FieldReader(detection, 'a detection', 'INVALID').only(FIELDS);
    const checked = readDetection(detection, 'INVALID');
    return { key: checked.key, body: JSON.stringify(checked) };
  });
}

/** Puts a page together from the stored texts. */
export function decodePage(bodies: readonly string[], cursor: string): DetectionPage {
  const detections: Detection[] = [];
  for (const body of bodies) {
    try {
      detections.push(readDetection(parseStoredJson(body, 'a stored detection'), 'CORRUPT'));
    } catch (error) {
      // One that cannot be read must not keep the others from being counted.
      if (!(error instanceof StoreError)) throw error;
    }
  }
  return { detections, cursor, unreadable: bodies.length - detections.length };
}

/** Throws INVALID. */
export function checkPageLimit(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_DETECTIONS)
    throw new StoreError('INVALID', `a page has from 1 to ${MAX_PAGE_DETECTIONS} detections`);
  return limit;
}

function readDetection(value: unknown, code: StoreErrorCode): Detection {
  const fields = new FieldReader(value, code === 'CORRUPT' ? 'the stored detection' : 'a detection', code);
  return {
    key: fields.text('key', MAX_KEY_CHARS, KEY),
    at: fields.time('at'),
    source: fields.choice('source', ['relay', 'notice']),
    reporter: fields.text('reporter', MAX_REPORTER_CHARS),
    mac: fields.textOrNull('mac', 17, MAC),
    signature: fields.text('signature', MAX_SIGNATURE_CHARS),
    protocol: fields.textOrNull('protocol', MAX_PROTOCOL_CHARS),
    client: fields.textOrNull('client', MAX_CLIENT_CHARS),
    destination: fields.textOrNull('destination', MAX_DESTINATION_CHARS),
    contact: fields.textOrNull('contact', MAX_CONTACT_CHARS),
  };
}
