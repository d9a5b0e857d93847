export { DEFAULT_DEADLINES, type Deadlines, type RelayLimits, type RelaySettings } from './settings.ts';
export { RelayWorker, type Unable, type WorkerReport } from './worker.ts';
