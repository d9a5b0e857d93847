import { createLogger, type Logger, Metrics, type MetricsServer, startMetricsServer } from '@sekisho/telemetry';
import type { SiteConfig } from '../config/site-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { Notifier } from './notify.ts';
import { isProve, READY, type Reply } from './process-tree.ts';
import { type Checked, SelfCheck } from './self-check.ts';

/** A role that runs, as the command line sees it. */
interface Running extends Checked {
  /** How long drain() may take at most. */
  readonly drainTimeoutMs?: number;
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
/** From the end of the longest drain until the process is gone; it ends itself, and is not killed. */
export const AFTER_DRAIN_MS = 30_000;

/**
 * Runs one role until it is told to stop: the first SIGTERM or SIGINT drains, the second ends at once. A role that was
 * started by `sekisho up` also stops when that is gone.
 */
export async function runRole(init: RoleInit): Promise<void> {
  const log = createLogger({ role: init.role, site: init.site, name: init.name, level: init.level });
  // Before anything is started, so that it is nobody else's.
  const notifier = Notifier.fromEnvironment({ log }, process.env, process.pid);
  const metrics = new Metrics();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
  const running = await listening(init.role, () => init.start({ log, metrics }));
  const server = await metricsServer(init, () => running.metricsText?.() ?? metrics.text()).catch(async (error: unknown) => {
    await running.close();
    throw error;
  });
  const watch = notifier?.watchdogIntervalMs === undefined ? undefined : new SelfCheck({ log, notifier, role: running }, { intervalMs: notifier.watchdogIntervalMs });
  let signals = 0;
  const onSignal = (signal: string): void => {
    signals += 1;
    if (signals === 1) {
      log.info({ event: 'draining', signal }, 'stops taking new work and lets the old finish; once more to end at once');
      watch?.drain();
      notifier?.stopping('draining', running.drainTimeoutMs === undefined ? undefined : running.drainTimeoutMs + AFTER_DRAIN_MS);
      running.drain().then(stop, (error: unknown) => {
        log.error({ event: 'drain_failed', err: error }, 'the old could not be let finish; it ends now');
        stop();
      });
    } else stop();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  process.on('disconnect', () => onSignal('disconnect'));
  if (process.send !== undefined) process.on('message', (message) => void (isProve(message) && prove(signals === 0 ? running : {})));
  process.send?.(READY);
  notifier?.ready(running.statusLine?.() ?? 'serving');
  await stopped;
  watch?.stop();
  server?.close();
  await running.close();
  if (process.connected) process.disconnect?.();
  // What still holds the process now (a socket that lingers, a look-up under way) holds nobody's mail.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

/** Answers `sekisho up`, which asks only when it is watched itself. */
async function prove(role: Checked): Promise<void> {
  const reply: Reply = await (role.selfCheck?.() ?? Promise.resolve()).then(
    () => ({ proven: true }),
    (error: unknown) => ({ proven: false, reason: (error as Error).message }),
  );
  if (process.connected) process.send?.(reply, () => {});
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
