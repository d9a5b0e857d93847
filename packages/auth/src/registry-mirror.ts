import { MAX_PAGE_DEVICES, type DeviceRecord, type Store } from '@sekisho/store';
import { packRights, RIGHTS, type Right } from '@sekisho/wire';
import type { RegisteredDevice } from './admission.ts';

/**
 * What admission needs of the site's registry, in memory: a device is admitted without asking the store, and while it
 * does not answer. A registered device costs about 150 bytes.
 */
export class RegistryMirror {
  #devices: ReadonlyMap<string, RegisteredDevice> = new Map();
  #corrupt: ReadonlySet<string> = new Set();

  get size(): number {
    return this.#devices.size;
  }

  /** Devices whose records could not be read at the last load. */
  get corrupt(): ReadonlySet<string> {
    return this.#corrupt;
  }

  device(mac: string): RegisteredDevice | undefined {
    return this.#devices.get(mac);
  }

  /**
   * Reads the whole registry; what was known stays in force until all of it is there, and with `keep` also afterwards
   * for the devices that are not in it. A corrupt record changes nothing: its device stays as it was known. Throws
   * StoreError.
   */
  async load(store: Store, { keep }: { readonly keep: boolean }): Promise<void> {
    const devices = new Map<string, RegisteredDevice>(keep ? this.#devices : []);
    const corrupt = new Set<string>();
    let after: string | undefined;
    do {
      const page = await store.listDevices({ after, limit: MAX_PAGE_DEVICES });
      for (const record of page.devices) devices.set(record.mac, entryOf(record));
      for (const mac of page.corrupt) {
        corrupt.add(mac);
        const known = this.#devices.get(mac);
        if (known !== undefined) devices.set(mac, known);
      }
      after = page.next ?? undefined;
    } while (after !== undefined);
    this.#devices = devices;
    this.#corrupt = corrupt;
  }
}

function entryOf({ state, proof, rights }: DeviceRecord): RegisteredDevice {
  const known = rights.filter((right): right is Right => Object.hasOwn(RIGHTS, right));
  return { disabled: state === 'disabled', macOnly: proof === 'mac-only', rights: packRights([...new Set(known)]) };
}
