import { join } from 'node:path';
import { type DeviceRecord, openStore, type Store, StoreError } from '@sekisho/store';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';

/** A file of SQLite, and handles on it such as the processes of a site have. */
export class SharedStore {
  readonly #directory: TempDir;
  readonly #stores: Store[] = [];

  constructor(directory: TempDir) {
    this.#directory = directory;
  }

  static async make(): Promise<SharedStore> {
    return new SharedStore(await makeTempDir('outbreak'));
  }

  get path(): string {
    return join(this.#directory.path, 'site.db');
  }

  async open(): Promise<Store> {
    const store = await openStore({}, { url: `sqlite:${this.path}`, site: 'tokyo-1', operationTimeoutMs: 5000 });
    this.#stores.push(store);
    return store;
  }

  /** Closes all handles and removes the file. */
  async remove(): Promise<void> {
    for (const store of this.#stores) await store.close();
    await this.#directory.remove();
  }
}

/** The same store, which can be made to fail as one that is down does: with a StoreError and not otherwise. */
export function breakable(store: Store): Store & { isDown: boolean } {
  const state = { isDown: false };
  return new Proxy(store, {
    get(target, name) {
      if (name === 'isDown') return state.isDown;
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => (state.isDown && name !== 'close' ? Promise.reject(new StoreError('UNAVAILABLE', 'the store is down')) : (member.apply(target, args) as unknown));
    },
    set(_target, _name, value: boolean) {
      state.isDown = value;
      return true;
    },
  }) as Store & { isDown: boolean };
}

/** A registered device; `fields` replace its own. */
export function aDevice(mac: string, fields: Partial<DeviceRecord> = {}): DeviceRecord {
  return {
    mac,
    label: 'Front office',
    contact: '',
    notes: '',
    state: 'enabled',
    proof: 'certificate',
    serial: null,
    rights: [],
    expiresAt: null,
    revokedAt: null,
    updatedAt: 0,
    lastSeenAt: null,
    lastSeenFrom: null,
    ...fields,
  };
}
