import type { Logger } from '@sekisho/telemetry';
import type { Gate } from './admission.ts';
import type { Caps } from './caps.ts';
import type { Detection } from './inspect/detection.ts';
import type { Inspection } from './inspect/inspection.ts';
import type { DestinationPolicy } from './policy/destination.ts';
import type { DestinationResolver } from './policy/resolve.ts';
import type { Deadlines } from './settings.ts';
import type { Sweep } from './stream/sweep.ts';
import type { Tally } from './tally.ts';

/** What the connections and sessions of one worker share. */
export interface WorkerContext {
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly gate: Gate;
  readonly caps: Caps;
  readonly tally: Tally;
  readonly sweep: Sweep;
  readonly policy: DestinationPolicy;
  readonly resolver: DestinationResolver;
  readonly deadlines: Deadlines;
  readonly connectTimeoutMs: number;
  readonly windowBytes: number;
  readonly maxSessionsPerDevice: number;
  /** `host:port` in lower case, as dialled. */
  readonly proxyTo: ReadonlySet<string>;
  readonly isDraining: () => boolean;
  /** Undefined when nothing is inspected. */
  readonly inspection: Inspection | undefined;
  readonly onDetection: (detection: Detection) => void;
}
