import { checkMac } from './device-record.ts';
import { StoreError } from './store-error.ts';
import { type DevicePageRequest, MAX_PAGE_DEVICES } from './store.ts';

/** Checks which page is wanted; `after` is '' for the first. Throws INVALID. */
export function checkPage(page: DevicePageRequest): { after: string; limit: number } {
  const { after, limit } = page;
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_DEVICES)
    throw new StoreError('INVALID', `a page has from 1 to ${MAX_PAGE_DEVICES} devices`);
  return { after: after === undefined ? '' : checkMac(after), limit };
}
