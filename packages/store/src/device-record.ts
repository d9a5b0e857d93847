import { FieldReader, parseStoredJson } from './fields.ts';
import { StoreError, type StoreErrorCode } from './store-error.ts';

/** What a site knows of a device beyond its certificate. Times are milliseconds since 1970. */
export interface DeviceRecord {
  /** `02:00:5e:10:00:01`, lower case. */
  readonly mac: string;
  readonly label: string;
  readonly contact: string;
  readonly notes: string;
  readonly state: 'enabled' | 'disabled';
  readonly proof: 'certificate' | 'mac-only';
  /** Serial number of the latest certificate. */
  readonly serial: string | null;
  readonly rights: readonly string[];
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly updatedAt: number;
  readonly lastSeenAt: number | null;
  /** The address it was seen at; null exactly when `lastSeenAt` is null. */
  readonly lastSeenFrom: string | null;
}

/** When and from which address a device was last admitted. */
export interface DeviceSighting {
  readonly at: number;
  readonly from: string;
}

/** A device as both stores keep it: the record without its sighting, which other processes write on their own. */
export interface StoredDevice {
  readonly body: string;
  readonly seenAt: number | null;
  readonly seenFrom: string | null;
}

const MAX_LABEL_CHARS = 256;
const MAX_NOTES_CHARS = 4096;
const MAX_SERIAL_CHARS = 64;
const MAX_RIGHTS = 32;
const MAX_ADDRESS_CHARS = 64;

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/u;
const SERIAL = /^[0-9A-Za-z:]+$/u;
const RIGHT = /^[a-z0-9][a-z0-9-]{0,31}$/u;
const ADDRESS = /^[\x21-\x7e]+$/u;
const FIELDS: readonly string[] = [
  'mac',
  'label',
  'contact',
  'notes',
  'state',
  'proof',
  'serial',
  'rights',
  'expiresAt',
  'revokedAt',
  'updatedAt',
  'lastSeenAt',
  'lastSeenFrom',
] satisfies (keyof DeviceRecord)[];

/** Returns the address unchanged. Throws INVALID unless it is written like `02:00:5e:10:00:01`. */
export function checkMac(mac: string): string {
  if (typeof mac !== 'string' || !MAC.test(mac))
    throw new StoreError('INVALID', 'a MAC address of the registry is written like 02:00:5e:10:00:01, in lower case');
  return mac;
}

/** Returns a copy of a sighting. Throws INVALID. */
export function checkSighting(sighting: DeviceSighting): DeviceSighting {
  const fields = new FieldReader(sighting, 'a sighting', 'INVALID').only(['at', 'from']);
  return { at: fields.time('at'), from: fields.text('from', MAX_ADDRESS_CHARS, ADDRESS) };
}

/** Checks a caller's record and takes it apart for storage. Throws INVALID. */
export function encodeDevice(record: DeviceRecord): StoredDevice {
  const mac = checkMac(record.mac);
  new FieldReader(record, `device ${mac}`, 'INVALID').only(FIELDS);
  const { lastSeenAt, lastSeenFrom, ...body } = readDevice(record, mac, 'INVALID');
  return { body: JSON.stringify(body), seenAt: lastSeenAt, seenFrom: lastSeenFrom };
}

/** Puts together what was stored under `mac`. Throws CORRUPT. */
export function decodeDevice(mac: string, stored: StoredDevice): DeviceRecord {
  const what = `the stored device ${mac}`;
  const body = parseStoredJson(stored.body, what);
  if (typeof body !== 'object' || body === null) throw new StoreError('CORRUPT', `${what} is not a record`);
  const record = readDevice({ ...body, lastSeenAt: stored.seenAt, lastSeenFrom: stored.seenFrom }, mac, 'CORRUPT');
  if (record.mac !== mac) throw new StoreError('CORRUPT', `${what} carries another MAC address`);
  return record;
}

function readDevice(value: unknown, mac: string, code: StoreErrorCode): DeviceRecord {
  const fields = new FieldReader(value, code === 'CORRUPT' ? `the stored device ${mac}` : `device ${mac}`, code);
  const lastSeenAt = fields.timeOrNull('lastSeenAt');
  const lastSeenFrom = fields.textOrNull('lastSeenFrom', MAX_ADDRESS_CHARS, ADDRESS);
  if ((lastSeenAt === null) !== (lastSeenFrom === null))
    throw new StoreError(code, `device ${mac}: lastSeenAt and lastSeenFrom are both null or both set`);
  return {
    mac: fields.text('mac', 17, MAC),
    label: fields.text('label', MAX_LABEL_CHARS),
    contact: fields.text('contact', MAX_LABEL_CHARS),
    notes: fields.text('notes', MAX_NOTES_CHARS),
    state: fields.choice('state', ['enabled', 'disabled']),
    proof: fields.choice('proof', ['certificate', 'mac-only']),
    serial: fields.textOrNull('serial', MAX_SERIAL_CHARS, SERIAL),
    rights: fields.textList('rights', MAX_RIGHTS, RIGHT),
    expiresAt: fields.timeOrNull('expiresAt'),
    revokedAt: fields.timeOrNull('revokedAt'),
    updatedAt: fields.time('updatedAt'),
    lastSeenAt,
    lastSeenFrom,
  };
}
