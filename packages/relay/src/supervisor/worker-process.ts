import { createLogger, LOG_LEVELS, type LogLevel } from '@sekisho/telemetry';
import { DEFAULT_DEADLINES, type RelaySettings } from '../settings.ts';
import { RelayWorker } from '../worker.ts';
import type { FromWorker, StartError, ToWorker } from './messages.ts';

/**
 * The program of a worker process: started by the supervisor, told everything by it, and gone when it is gone.
 * Resolves once the process may end.
 */
export async function runRelayWorker(): Promise<void> {
  // A terminal and systemd signal the whole group; it is the supervisor that decides what a signal means.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  process.on('disconnect', () => process.exit());
  const { settings, logLevel, sessionKey } = await startMessage();
  const log = createLogger({
    role: 'relay',
    site: settings.site,
    name: settings.name,
    level: LOG_LEVELS.find((level) => level === logLevel) ?? ('info' satisfies LogLevel),
  });
  let worker: RelayWorker;
  try {
    worker = await RelayWorker.start(
      { log, onDetection: (detection) => say({ type: 'detection', detection }), sessionKey: Buffer.from(sessionKey, 'base64') },
      settings,
    );
  } catch (error) {
    say({ type: 'failed', error: startError(error) });
    return process.disconnect?.();
  }
  const drain = drainMessage((key) => worker.changeSessionKey(key));
  say({ type: 'ready', port: worker.port });
  const reports = setInterval(() => say({ type: 'report', report: worker.report() }), reportMs(settings));
  await drain;
  await worker.drain();
  clearInterval(reports);
  say({ type: 'report', report: worker.report() });
  worker.close();
  process.disconnect?.();
}

function reportMs({ deadlines = DEFAULT_DEADLINES }: RelaySettings): number {
  return deadlines.reportMs;
}

function say(message: FromWorker): void {
  // The supervisor may be gone this very moment; 'disconnect' follows.
  if (process.connected) process.send?.(message);
}

function startMessage(): Promise<Extract<ToWorker, { type: 'start' }>> {
  return new Promise((resolve) =>
    process.once('message', (message: ToWorker) => {
      if (message.type === 'start') resolve(message);
    }),
  );
}

/** Resolves with the order to drain. One listener for all messages: two may come at once. */
function drainMessage(onSessionKey: (key: Buffer) => void): Promise<void> {
  return new Promise((resolve) =>
    process.on('message', (message: ToWorker) => {
      if (message.type === 'sessionKey') onSessionKey(Buffer.from(message.key, 'base64'));
      if (message.type === 'drain') resolve();
    }),
  );
}

function startError(error: unknown): StartError {
  const { message, code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  return { message, code, address, port };
}
