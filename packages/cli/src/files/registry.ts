import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type DeviceRecord, MAX_PAGE_DEVICES, openStore, type Store } from '@sekisho/store';
import { CommandError } from '../exit-codes.ts';
import { loadSite } from './site.ts';

/** Where `device` commands look: the operator's registry of what was issued, or the registry of a site. */
export interface RegistryOptions {
  readonly operator?: string | undefined;
  readonly config?: string | undefined;
}

/** Opens the registry that the options name, runs `work` on it and closes it. */
export async function withRegistry<T>(options: RegistryOptions, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openRegistry(options);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

function openRegistry({ operator, config }: RegistryOptions): Promise<Store> {
  if ((operator === undefined) === (config === undefined))
    throw new CommandError("Say whose devices: --operator DIRECTORY (everything issued) or --config site.yaml (one site's).", 2);
  if (config !== undefined) return loadSite(config).openStore();
  const directory = operator ?? '';
  if (!existsSync(join(directory, 'operator.json')))
    throw new CommandError(`${directory} is not an operator's directory: there is no operator.json in it. Make one: sekisho operator init ${directory}`);
  return openStore({}, { url: `sqlite:${join(directory, 'registry.db')}`, site: 'operator' });
}

/** Every device, and the MAC addresses of those whose records cannot be read. */
export async function allDevices(store: Store): Promise<{ devices: DeviceRecord[]; corrupt: string[] }> {
  const devices: DeviceRecord[] = [];
  const corrupt: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.listDevices({ after, limit: MAX_PAGE_DEVICES });
    devices.push(...page.devices);
    corrupt.push(...page.corrupt);
    after = page.next ?? undefined;
  } while (after !== undefined);
  return { devices, corrupt };
}
