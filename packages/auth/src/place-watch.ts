import { isIPv6 } from 'node:net';
import { networkOf } from '@sekisho/channel';
import { BoundedMap } from './bounded-map.ts';

interface Places {
  ipv4: Place | undefined;
  ipv6: Place | undefined;
  alarmedAtMs: number;
}

interface Place {
  readonly prefix: string;
  readonly atMs: number;
}

/** Devices remembered; a site is dimensioned for 8,000. */
const MAX_WATCHED_DEVICES = 32_768;

/**
 * Notices a device that is at two places at once, as a copied key would be: two addresses within the life of one ticket.
 * An IPv4 and an IPv6 address are one place, and so is an IPv6 /64: a router has both, and changes the rest.
 */
export class PlaceWatch {
  readonly #devices = new BoundedMap<string, Places>({ maxEntries: MAX_WATCHED_DEVICES });
  readonly #withinMs: number;

  constructor(init: { readonly withinMs: number }) {
    this.#withinMs = init.withinMs;
  }

  /** Notes where a device was admitted; true when that is worth an alarm, at most once within the time. */
  seen(mac: string, address: string, nowMs: number): boolean {
    const places = this.#devices.get(mac) ?? { ipv4: undefined, ipv6: undefined, alarmedAtMs: Number.NEGATIVE_INFINITY };
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    const before = places[family];
    const place = { prefix: networkOf(address), atMs: nowMs };
    places[family] = place;
    this.#devices.set(mac, places);
    if (before === undefined || before.prefix === place.prefix) return false;
    if (nowMs - before.atMs > this.#withinMs || nowMs - places.alarmedAtMs <= this.#withinMs) return false;
    places.alarmedAtMs = nowMs;
    return true;
  }
}
