import { type Detection, type Store, StoreError } from '@sekisho/store';
import type { Sighting } from './core/sighting.ts';

interface Known {
  readonly label: string;
  readonly contact: string;
  readonly atMs: number;
}

/** Devices whose names are remembered; with more, they are all asked for again. */
const MAX_KNOWN_DEVICES = 10_000;
/** A name or contact that was changed is seen after this. */
const KNOWN_FOR_MS = 60_000;
/** Devices asked for at once. */
const MAX_ASKED_AT_ONCE = 100;

/** What the registry knows of the devices of detections. */
export class DeviceBook {
  readonly #store: Pick<Store, 'getDevice'>;
  readonly #known = new Map<string, Known>();

  constructor(components: { readonly store: Pick<Store, 'getDevice'> }) {
    this.#store = components.store;
  }

  /** Rejects with StoreError UNAVAILABLE or CLOSED; a device whose record cannot be read counts as not registered. */
  async sightings(detections: readonly Detection[]): Promise<Sighting[]> {
    const nowMs = performance.now();
    const isFresh = (mac: string): boolean => (this.#known.get(mac)?.atMs ?? Number.NEGATIVE_INFINITY) > nowMs - KNOWN_FOR_MS;
    const missing = [...new Set(detections.flatMap(({ mac }) => (mac === null || isFresh(mac) ? [] : [mac])))];
    if (this.#known.size + missing.length > MAX_KNOWN_DEVICES) this.#known.clear();
    for (let start = 0; start < missing.length; start += MAX_ASKED_AT_ONCE)
      await Promise.all(missing.slice(start, start + MAX_ASKED_AT_ONCE).map((mac) => this.#ask(mac, nowMs)));
    return detections.map((detection) => {
      const known = detection.mac === null ? undefined : this.#known.get(detection.mac);
      return { detection, label: known?.label ?? '', registeredContact: known?.contact ?? '' };
    });
  }

  async #ask(mac: string, atMs: number): Promise<void> {
    const record = await this.#store.getDevice(mac).catch((error: unknown) => {
      if (error instanceof StoreError && !error.temporary && error.code !== 'CLOSED') return null;
      throw error;
    });
    this.#known.set(mac, { label: record?.label ?? '', contact: record?.contact ?? '', atMs });
  }
}
