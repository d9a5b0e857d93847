export { DEFAULT_DEADLINES, type Deadlines, type RelayLimits, type RelaySettings } from './settings.ts';
export { RelaySupervisor, type RelayStatus, startRelaySupervisor } from './supervisor/supervisor.ts';
export type { WorkerExec } from './supervisor/worker-pool.ts';
export { runRelayWorker } from './supervisor/worker-process.ts';
export { RelayWorker, type Unable, type WorkerReport } from './worker.ts';
