import type { Detection, Store } from '@sekisho/store';
import type { Logger, Metrics } from '@sekisho/telemetry';
import type { OutbreakSettings } from './settings.ts';

export interface OutbreakComponents {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: Store;
}

export interface RunningOutbreak {
  /** Where notices are taken in; undefined when they are not. */
  readonly noticesPort: number | undefined;
  /** Takes and counts nothing more, and resolves when the alerts that are being sent are sent. */
  drain(): Promise<void>;
  /** Ends at once; an alert that is being sent is left to another server, or to the next start. */
  close(): Promise<void>;
}

/**
 * Starts the watch of a site, and its intake of notices if there is one. Rejects with the operating system's error when the
 * port for notices or the directory of kept ones cannot be had.
 */
export async function startOutbreak({ log, metrics, store }: OutbreakComponents, settings: OutbreakSettings): Promise<RunningOutbreak> {
  // Loaded here: every command reads site.yaml, whose schema needs this package, and few of them a mail server.
  const { Watch } = await import('./watch.ts');
  const { startNoticeServer } = await import('./notices/notice-server.ts');
  const watch = new Watch({ log, metrics, store }, settings);
  const record = async (detections: readonly Detection[]): Promise<void> => {
    await store.recordDetections(detections);
  };
  const notices = settings.notices === undefined ? undefined : await startNoticeServer({ log, metrics, record }, settings.notices);
  await watch.start();
  log.info({ event: 'started', noticesPort: notices?.port }, 'the watch for outbreaks is ready');
  return {
    noticesPort: notices?.port,
    drain: async () => {
      await notices?.close();
      await watch.drain();
    },
    close: async () => {
      await watch.close();
      await notices?.close();
    },
  };
}
