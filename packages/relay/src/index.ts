export { Clamd } from './scan/clamd.ts';
export { type ClamdVersion } from './scan/clamd-reply.ts';
export { parseScannerAddress } from './scan/scanner-address.ts';
export { DEFAULT_DEADLINES, type Deadlines, type RelayLimits, type RelaySettings } from './settings.ts';
export { RelaySupervisor, type RelayStatus, startRelaySupervisor } from './supervisor/supervisor.ts';
export type { WorkerExec } from './supervisor/worker-pool.ts';
export { runRelayWorker } from './supervisor/worker-process.ts';
export { RelayWorker, type Unable, type WorkerReport } from './worker.ts';
