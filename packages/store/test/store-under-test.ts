import type { DetectionLimits } from '../src/detection.ts';
import type { Store } from '../src/store.ts';

/** What the suite needs of a kind of store. `open` gives handles on the same data, `wipe` empties it between tests. */
export interface StoreUnderTest {
  open(init?: OpenInit): Promise<Store>;
  wipe(): Promise<void>;
  /** Makes the record of a device unreadable. */
  damage(mac: string): Promise<void>;
}

/** What a test may set of a handle. */
export interface OpenInit {
  readonly clock?: { now(): number };
  readonly detectionLimits?: DetectionLimits;
}

/** Two open handles on the same data. */
export type Handles = () => { store: Store; other: Store };
