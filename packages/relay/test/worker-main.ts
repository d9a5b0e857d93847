import { runRelayWorker } from '../src/supervisor/worker-process.ts';

/** What the supervisor's tests start as a worker. */
await runRelayWorker();
