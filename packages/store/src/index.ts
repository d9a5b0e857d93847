export type { Alarm, AlarmChange } from './alarm.ts';
export type { OnStateChange, StoreState } from './availability.ts';
export {
  type Detection,
  type DetectionLimits,
  type DetectionPage,
  MAX_DETECTIONS_PER_CALL,
  MAX_PAGE_DETECTIONS,
} from './detection.ts';
export type { DeviceRecord, DeviceSighting } from './device-record.ts';
export { openStore, type StoreComponents, type StoreSpec } from './open-store.ts';
export {
  MAX_WEIGHT,
  type Override,
  type OverrideClearing,
  type OverrideRegister,
  type OverridesSnapshot,
} from './override.ts';
export {
  OverridesView,
  type OverridesViewComponents,
  type OverridesViewStatus,
  type ViewLog,
} from './overrides-view.ts';
export type { RedisTls } from './redis-client.ts';
export type { Revocations, RevocationsInput } from './revocations.ts';
export { sqliteSchema } from './sqlite-schema.ts';
export { StoreError, type StoreErrorCode } from './store-error.ts';
export { parseStoreUrl } from './store-url.ts';
export { MAX_PAGE_DEVICES, type DevicePage, type DevicePageRequest, type Store } from './store.ts';
