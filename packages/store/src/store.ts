import type { Alarm, AlarmChange } from './alarm.ts';
import type { Detection, DetectionPage } from './detection.ts';
import type { DeviceRecord, DeviceSighting } from './device-record.ts';
import type { Override, OverrideClearing, OverrideRegister, OverridesSnapshot } from './override.ts';
import type { Revocations, RevocationsInput } from './revocations.ts';

/** Devices of one page of a listing. */
export const MAX_PAGE_DEVICES = 500;

/** Which page of the registry: devices after this MAC address, at most `limit` of them (1 to MAX_PAGE_DEVICES). */
export interface DevicePageRequest {
  readonly after?: string | undefined;
  readonly limit: number;
}

/** `next` is the `after` of the next page, or null when there is none. */
export interface DevicePage {
  readonly devices: readonly DeviceRecord[];
  /** MAC addresses of the page whose records cannot be read; getDevice() says why. */
  readonly corrupt: readonly string[];
  readonly next: string | null;
}

/**
 * What the servers of one site share. Every operation ends within the store's operation timeout and fails with a
 * StoreError only. A write that fails with UNAVAILABLE may have been carried out.
 */
export interface Store {
  /**
   * Creates or replaces a device. A sighting is never moved back: the later one of the record and the store stays, so
   * that an edit does not undo a `touchDevice` made meanwhile.
   */
  putDevice(record: DeviceRecord): Promise<void>;
  getDevice(mac: string): Promise<DeviceRecord | null>;
  /** Devices in the order of their MAC addresses. A corrupt record is only named, so that it hides no other. */
  listDevices(page: DevicePageRequest): Promise<DevicePage>;
  /** False when there was none. */
  deleteDevice(mac: string): Promise<boolean>;
  /** Notes when a device was seen, if it is registered (else false). Does not change the revision. */
  touchDevice(mac: string, sighting: DeviceSighting): Promise<boolean>;

  setOverride(relay: string, override: Override): Promise<void>;
  /** Takes an override back, and remembers that, so that nobody's memory brings it back after a loss of data. */
  clearOverride(relay: string, clearing: OverrideClearing): Promise<void>;
  /** The overrides in force, by relay. */
  overrides(): Promise<Map<string, Override>>;
  /** Overrides and clearings with the epoch and revision of the same moment. */
  overridesSnapshot(): Promise<OverridesSnapshot>;
  /**
   * Merges what a process remembers into a store that lost its data: of each relay the later change stays. Doing it
   * twice, or by several processes in any order, has the effect of doing it once. Returns what is there afterwards.
   */
  restoreOverrides(registers: ReadonlyMap<string, OverrideRegister>): Promise<OverridesSnapshot>;
  /** An opaque text that differs after any change of a device, an override or the revocation list. Cheap. */
  revision(): Promise<string>;

  /** Keeps the list if its number is higher than that of the stored one; else changes nothing and returns false. */
  putRevocations(list: RevocationsInput): Promise<boolean>;
  getRevocations(): Promise<Revocations | null>;

  /**
   * Records what was found, at most MAX_DETECTIONS_PER_CALL at once. A key that is there already changes nothing, so that
   * several servers may record the same. Returns how many were new. Does not change the revision.
   */
  recordDetections(list: readonly Detection[]): Promise<number>;
  /**
   * The next detections (at most `limit`, 1 to MAX_PAGE_DETECTIONS) in the order of arrival. Null, and a cursor from
   * before the store lost its data, begin with the oldest that is kept.
   */
  detectionsAfter(cursor: string | null, limit: number): Promise<DetectionPage>;

  /** All alarms by name. */
  alarms(): Promise<ReadonlyMap<string, Alarm>>;
  /** Writes an alarm, or with a null body deletes it, if its version is still the expected one; else returns false. */
  putAlarm(name: string, change: AlarmChange): Promise<boolean>;

  ping(): Promise<void>;
  /** Ends the store; operations under way and later ones fail with CLOSED. May be called twice. */
  close(): Promise<void>;
}
