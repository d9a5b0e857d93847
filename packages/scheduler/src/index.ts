export { RelayTable } from './relay-table.ts';
export type { Pick, PickReason, PickRequest, RelayTableInit, Transition } from './relay-table.ts';
export type { RelayOverride, RelayState } from './health.ts';
export type { LoadReport } from './load.ts';
export type { Policy, SchedulerSettings } from './settings.ts';
export type { RelaySnapshot, TableSnapshot } from './snapshot.ts';
export { MAX_WEIGHT } from './table-entry.ts';
export type { TableEntry } from './table-entry.ts';
