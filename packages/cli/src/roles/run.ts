import { createLogger, type Logger, Metrics, type MetricsServer, startMetricsServer } from '@sekisho/telemetry';
import type { SiteConfig } from '../config/site-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { READY } from './process-tree.ts';

/** A role that runs, as the command line sees it. */
interface Running {
  /** Stops taking new work and resolves when the old is done. */
  drain(): Promise<void>;
  /** Ends at once. */
  close(): Promise<void> | void;
}

export interface RoleInit {
  readonly role: string;
  readonly site?: string | undefined;
  readonly name?: string | undefined;
  readonly level: SiteConfig['log']['level'];
  readonly metricsAddress: string;
  readonly metricsPort: number | undefined;
  start(components: { log: Logger; metrics: Metrics }): Promise<Running & { metricsText?(): Promise<string> }>;
}

const LINGER_MS = 2000;

/**
 * Runs one role until it is told to stop: the first SIGTERM or SIGINT drains, the second ends at once. A role that was
 * started by `sekisho up` also stops when that is gone.
 */
export async function runRole(init: RoleInit): Promise<void> {
  const log = createLogger({ role: init.role, site: init.site, name: init.name, level: init.level });
  const metrics = new Metrics();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  const running = await listening(init.role, () => init.start({ log, metrics }));
  const server = await metricsServer(init, () => running.metricsText?.() ?? metrics.text()).catch(async (error: unknown) => {
    await running.close();
    throw error;
  });
  let signals = 0;
  const onSignal = (signal: string): void => {
    signals += 1;
    if (signals === 1) {
      log.info({ event: 'draining', signal }, 'stops taking new work and lets the old finish; once more to end at once');
      running.drain().then(stop, (error: unknown) => {
        log.error({ event: 'drain_failed', err: error }, 'the old could not be let finish; it ends now');
        stop();
      });
    } else stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  process.on('disconnect', () => onSignal('disconnect'));
  process.send?.(READY);
  await stopped;
  server?.close();
  await running.close();
  if (process.connected) process.disconnect?.();
  // What still holds the process now (a socket that lingers, a look-up under way) holds nobody's mail.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

async function metricsServer(init: RoleInit, text: () => Promise<string>): Promise<MetricsServer | undefined> {
  const { role, metricsAddress: host, metricsPort: port } = init;
  return port === undefined ? undefined : listening(`${role}, metrics`, () => startMetricsServer({ host, port, text }));
}

/** Says in words that a port cannot be had, with the exit code that ends `sekisho up`. */
async function listening<T>(who: string, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const { code, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
    if (code === 'EADDRINUSE')
      throw new CommandError(`${who}: ${address}:${port} is in use by another process.`, EXIT.unavailable);
    if (code === 'EADDRNOTAVAIL' || code === 'EACCES')
      throw new CommandError(`${who}: ${address}:${port} cannot be listened at: ${code}.`, EXIT.unavailable);
    throw error;
  }
}
