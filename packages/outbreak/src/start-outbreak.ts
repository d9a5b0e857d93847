import type { Detection, Store } from '@sekisho/store';
import type { Logger, Metrics } from '@sekisho/telemetry';
import { type NoticeServer, startNoticeServer } from './notices/notice-server.ts';
import type { OutbreakSettings } from './settings.ts';
import { Watch } from './watch.ts';

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

/** Starts the watch of a site, and its intake of notices if there is one. Rejects with the operating system's error when its port cannot be had. */
export async function startOutbreak({ log, metrics, store }: OutbreakComponents, settings: OutbreakSettings): Promise<RunningOutbreak> {
  const watch = new Watch({ log, metrics, store }, settings);
  const record = async (detections: readonly Detection[]): Promise<void> => {
    await store.recordDetections(detections);
  };
  const notices: NoticeServer | undefined = settings.notices === undefined ? undefined : await startNoticeServer({ log, metrics, record }, settings.notices);
  await watch.start();
  log.info({ event: 'started', notices: notices?.port }, 'the watch for outbreaks is ready');
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
