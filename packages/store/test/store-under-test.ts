import type { Store } from '../src/store.ts';

/** What the suite needs of a kind of store. `open` gives handles on the same data, `wipe` empties it between tests. */
export interface StoreUnderTest {
  open(): Promise<Store>;
  wipe(): Promise<void>;
  /** Makes the record of a device unreadable. */
  damage(mac: string): Promise<void>;
}

/** Two open handles on the same data. */
export type Handles = () => { store: Store; other: Store };
