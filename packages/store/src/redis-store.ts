import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Alarm, AlarmChange } from './alarm.ts';
import { DEFAULT_DETECTION_LIMITS, type Detection, type DetectionLimits, type DetectionPage } from './detection.ts';
import {
  checkMac,
  checkSighting,
  decodeDevice,
  encodeDevice,
  type DeviceRecord,
  type DeviceSighting,
} from './device-record.ts';
import {
  checkClearing,
  checkOverride,
  checkRelay,
  formatRevision,
  MAX_OVERRIDES,
  overridesInForce,
  type Override,
  type OverrideClearing,
  type OverrideRegister,
  type OverridesSnapshot,
} from './override.ts';
import { checkPage } from './page-request.ts';
import { RedisAlarms } from './redis-alarms.ts';
import type { RedisConnection } from './redis-connection.ts';
import { RedisDetections } from './redis-detections.ts';
import { fromRedisError } from './redis-error.ts';
import { readChanges, readTable, registerText } from './redis-register.ts';
import {
  CHANGES_FIELD,
  DELETE_DEVICE,
  EPOCH_FIELD,
  PUT_DEVICE,
  PUT_REGISTER,
  PUT_REVOCATIONS,
  RESTORE_REGISTERS,
  TOUCH_DEVICE,
} from './redis-scripts.ts';
import { decodeRevocations, encodeRevocations, type Revocations, type RevocationsInput } from './revocations.ts';
import { StoreError } from './store-error.ts';
import type { DevicePage, DevicePageRequest, Store } from './store.ts';

/** A DNS label, as the names of sites are. */
const SITE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u;

/** Returns the name of a site unchanged. Throws INVALID. */
export function checkSite(site: string): string {
  if (!SITE.test(site)) throw new StoreError('INVALID', 'a site is a DNS label in lower case');
  return site;
}

/** The store that several servers of one site share. Its keys begin with `sekisho:{SITE}:`. */
export class RedisStore implements Store {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #detections: RedisDetections;
  readonly #alarms: RedisAlarms;

  /**
   * Throws StoreError INVALID for a site that is not a DNS label.
   * @param components clock: milliseconds since 1970
   */
  constructor(
    components: { readonly connection: RedisConnection; readonly clock?: { now(): number } | undefined },
    init: { readonly site: string; readonly detectionLimits?: DetectionLimits | undefined },
  ) {
    const { connection, clock = Date } = components;
    this.#connection = connection;
    // The braces keep the keys of a site together, as a script needs it (Redis cluster specification, hash tags).
    this.#prefix = `sekisho:{${checkSite(init.site)}}:`;
    const limits = init.detectionLimits ?? DEFAULT_DETECTION_LIMITS;
    this.#detections = new RedisDetections({ connection, clock }, { prefix: this.#prefix, limits });
    this.#alarms = new RedisAlarms({ connection }, { prefix: this.#prefix });
  }

  async putDevice(record: DeviceRecord): Promise<void> {
    const { body, seenAt, seenFrom } = encodeDevice(record);
    await this.#run(PUT_DEVICE, this.#deviceKeys(record.mac), [
      randomUUID(),
      record.mac,
      body,
      String(seenAt ?? ''),
      seenFrom ?? '',
    ]);
  }

  async getDevice(mac: string): Promise<DeviceRecord | null> {
    checkMac(mac);
    return this.#connection.run((client) => this.#readDevice(client, mac));
  }

  async listDevices(page: DevicePageRequest): Promise<DevicePage> {
    const { after, limit } = checkPage(page);
    return this.#connection.run(async (client) => {
      const from = after === '' ? '-' : `(${after}`;
      const macs = await client.zrangebylex(this.#key('devices'), from, '+', 'LIMIT', 0, limit + 1);
      const shown = macs.slice(0, limit);
      const corrupt: string[] = [];
      const read = shown.map(async (mac) => {
        try {
          return await this.#readDevice(client, mac);
        } catch (error) {
          if (fromRedisError(error).code !== 'CORRUPT') throw error;
          corrupt.push(mac);
          return null;
        }
      });
      const devices = await Promise.all(read);
      // A name without a record: deleted a moment ago, or Redis was told to evict keys and took this one.
      return {
        devices: devices.filter((device) => device !== null),
        corrupt: corrupt.toSorted(),
        next: macs.length > limit ? (shown.at(-1) ?? null) : null,
      };
    });
  }

  async deleteDevice(mac: string): Promise<boolean> {
    const keys = this.#deviceKeys(checkMac(mac));
    return (await this.#run(DELETE_DEVICE, keys, [randomUUID(), mac])) === 1;
  }

  async touchDevice(mac: string, sighting: DeviceSighting): Promise<boolean> {
    const key = this.#deviceKey(checkMac(mac));
    const { at, from } = checkSighting(sighting);
    return (await this.#run(TOUCH_DEVICE, [key], [at, from])) === 1;
  }

  async setOverride(relay: string, override: Override): Promise<void> {
    const register = checkOverride(override);
    await this.#order(checkRelay(relay), register);
  }

  async clearOverride(relay: string, clearing: OverrideClearing): Promise<void> {
    const register = checkClearing(clearing);
    await this.#order(checkRelay(relay), register);
  }

  async overrides(): Promise<Map<string, Override>> {
    return overridesInForce((await this.overridesSnapshot()).registers);
  }

  async overridesSnapshot(): Promise<OverridesSnapshot> {
    const table = await this.#connection.run((client) => client.hgetall(this.#key('table')));
    return readTable(new Map(Object.entries(table)));
  }

  async restoreOverrides(registers: ReadonlyMap<string, OverrideRegister>): Promise<OverridesSnapshot> {
    const entries = [...registers].flatMap(([relay, register]) => [
      checkRelay(relay),
      register.at,
      `${register.at}:${registerText(register)}`,
    ]);
    const reply = textList(
      await this.#run(RESTORE_REGISTERS, [this.#key('table')], [randomUUID(), MAX_OVERRIDES, ...entries]),
    );
    const fields = new Map<string, string>();
    for (let at = 0; at < reply.length; at += 2) fields.set(reply[at] ?? '', reply[at + 1] ?? '');
    return readTable(fields);
  }

  async revision(): Promise<string> {
    const [epoch, changes] = await this.#connection.run((client) =>
      client.hmget(this.#key('table'), EPOCH_FIELD, CHANGES_FIELD),
    );
    return formatRevision(epoch ?? null, readChanges(changes));
  }

  async putRevocations(list: RevocationsInput): Promise<boolean> {
    const { number, pem, fetchedAt } = encodeRevocations(list);
    const keys = [this.#key('table'), this.#key('revocations')];
    return (await this.#run(PUT_REVOCATIONS, keys, [randomUUID(), number, pem, fetchedAt])) === 1;
  }

  async getRevocations(): Promise<Revocations | null> {
    const stored = await this.#connection.run((client) => client.hgetall(this.#key('revocations')));
    if (Object.keys(stored).length === 0) return null;
    return decodeRevocations({ ...stored, fetchedAt: Number(stored['fetchedAt']) });
  }

  recordDetections(list: readonly Detection[]): Promise<number> {
    return this.#detections.record(list);
  }

  detectionsAfter(cursor: string | null, limit: number): Promise<DetectionPage> {
    return this.#detections.after(cursor, limit);
  }

  alarms(): Promise<ReadonlyMap<string, Alarm>> {
    return this.#alarms.all();
  }

  putAlarm(name: string, change: AlarmChange): Promise<boolean> {
    return this.#alarms.put(name, change);
  }

  async ping(): Promise<void> {
    await this.#connection.run((client) => client.ping());
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #order(relay: string, register: OverrideRegister): Promise<void> {
    const values = [randomUUID(), relay, register.at, registerText(register), MAX_OVERRIDES];
    if ((await this.#run(PUT_REGISTER, [this.#key('table')], values)) === 0)
      throw new StoreError('INVALID', `at most ${MAX_OVERRIDES} relays have an override`);
  }

  async #readDevice(client: Redis, mac: string): Promise<DeviceRecord | null> {
    const [body, seenAt, seenFrom] = await client.hmget(this.#deviceKey(mac), 'body', 'seenAt', 'seenFrom');
    if (body === undefined || body === null) return null;
    return decodeDevice(mac, {
      body,
      seenAt: typeof seenAt === 'string' ? Number(seenAt) : null,
      seenFrom: seenFrom ?? null,
    });
  }

  #run(script: string, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    return this.#connection.run((client) => client.eval(script, keys.length, ...keys, ...values));
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  #deviceKey(mac: string): string {
    return this.#key(`device:${mac}`);
  }

  #deviceKeys(mac: string): string[] {
    return [this.#key('table'), this.#key('devices'), this.#deviceKey(mac)];
  }
}

function textList(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new StoreError('CORRUPT', 'Redis: a script gave no list');
  return reply.map(String);
}
