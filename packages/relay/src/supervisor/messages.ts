import type { Detection } from '../inspect/detection.ts';
import type { RelaySettings } from '../settings.ts';
import type { WorkerReport } from '../worker.ts';

/** What a supervisor says to a worker. */
export type ToWorker =
  | { readonly type: 'start'; readonly settings: RelaySettings; readonly logLevel: string; readonly sessionKey: string }
  /** In base64: under which TLS sessions are sealed from now on, so that every worker resumes those of the others. */
  | { readonly type: 'sessionKey'; readonly key: string }
  | { readonly type: 'drain' };

/** What a worker says to its supervisor. Both are one program, so messages are not checked again. */
export type FromWorker =
  | { readonly type: 'ready'; readonly port: number }
  | { readonly type: 'failed'; readonly error: StartError }
  | { readonly type: 'report'; readonly report: WorkerReport }
  | { readonly type: 'detection'; readonly detection: Detection };

/** An error of the operating system, or of the settings, as it passes between processes. */
export interface StartError {
  readonly message: string;
  readonly code?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
}
