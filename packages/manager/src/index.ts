export { type AdminErrorCode } from './admin-error.ts';
export { adminRequest, type AdminResponse } from './admin-client.ts';
export type { ManagerEvent } from './event-log.ts';
export type { RedundancyStatus } from './redundancy-watch.ts';
export { type Manager, type ManagerComponents, type ManagerStatus, startManager } from './manager.ts';
export type { AuthServerAddress, ManagerSettings, RelayServer } from './settings.ts';
