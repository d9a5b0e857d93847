import type { Alarm, AlarmChange } from './alarm.ts';
import { DEFAULT_DETECTION_LIMITS, type Detection, type DetectionLimits, type DetectionPage } from './detection.ts';
import {
  checkMac,
  checkSighting,
  decodeDevice,
  encodeDevice,
  type DeviceRecord,
  type DeviceSighting,
  type StoredDevice,
} from './device-record.ts';
import {
  checkClearing,
  checkOverride,
  checkRelay,
  decodeRegister,
  encodeRegister,
  formatRevision,
  MAX_OVERRIDES,
  overridesInForce,
  type Override,
  type OverrideClearing,
  type OverrideRegister,
  type OverridesSnapshot,
} from './override.ts';
import { checkPage } from './page-request.ts';
import { decodeRevocations, encodeRevocations, type Revocations, type RevocationsInput } from './revocations.ts';
import { SqliteAlarms } from './sqlite-alarms.ts';
import { SqliteDatabase, type SqliteDatabaseComponents, type SqliteDatabaseInit } from './sqlite-database.ts';
import { SqliteDetections } from './sqlite-detections.ts';
import { StoreError } from './store-error.ts';
import type { DevicePage, DevicePageRequest, Store } from './store.ts';

/** A time that JavaScript cannot hold would fail all rows; as a floating-point number it spoils only its own. */
const SELECT_PAGE = `SELECT mac, body, CAST(seen_at AS REAL) AS seen_at, seen_from FROM device
  WHERE mac > ? ORDER BY mac LIMIT ?`;
const MAKE_ROOM = `DELETE FROM override WHERE relay =
  (SELECT relay FROM override WHERE kind = 'cleared' ORDER BY at, relay LIMIT 1)`;

/** The store of a site on one server: a file that several processes of that server open at once. */
export class SqliteStore implements Store {
  readonly #database: SqliteDatabase;
  readonly #detections: SqliteDetections;
  readonly #alarms: SqliteAlarms;

  /** @param components clock: milliseconds since 1970 */
  constructor(
    components: { readonly database: SqliteDatabase; readonly clock?: { now(): number } | undefined },
    init: { readonly detectionLimits?: DetectionLimits | undefined } = {},
  ) {
    const { database, clock = Date } = components;
    this.#database = database;
    this.#detections = new SqliteDetections({ database, clock }, init.detectionLimits ?? DEFAULT_DETECTION_LIMITS);
    this.#alarms = new SqliteAlarms({ database });
  }

  /** Opens or creates the file. Throws StoreError DENIED, CORRUPT, INCOMPATIBLE or UNAVAILABLE. */
  static async open(
    components: SqliteDatabaseComponents & { readonly clock?: { now(): number } | undefined },
    init: SqliteDatabaseInit & { readonly detectionLimits?: DetectionLimits | undefined },
  ): Promise<SqliteStore> {
    return new SqliteStore({ database: await SqliteDatabase.open(components, init), clock: components.clock }, init);
  }

  async putDevice(record: DeviceRecord): Promise<void> {
    const { body, seenAt, seenFrom } = encodeDevice(record);
    await this.#change(() => {
      this.#database.change(
        `INSERT INTO device (mac, body) VALUES (?, ?) ON CONFLICT (mac) DO UPDATE SET body = excluded.body`,
        record.mac,
        body,
      );
      if (seenAt !== null && seenFrom !== null) this.#see(record.mac, { at: seenAt, from: seenFrom });
    });
  }

  async getDevice(mac: string): Promise<DeviceRecord | null> {
    checkMac(mac);
    const row = await this.#database.read(() => this.#database.row('SELECT * FROM device WHERE mac = ?', mac));
    return row === undefined ? null : decodeDevice(mac, storedDevice(row));
  }

  async listDevices(page: DevicePageRequest): Promise<DevicePage> {
    const { after, limit } = checkPage(page);
    const rows = await this.#database.read(() => this.#database.rows(SELECT_PAGE, after, limit + 1));
    const devices: DeviceRecord[] = [];
    const corrupt: string[] = [];
    const shown = rows.slice(0, limit);
    for (const row of shown) {
      const mac = String(row['mac']);
      try {
        devices.push(decodeDevice(mac, storedDevice(row)));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        corrupt.push(mac);
      }
    }
    return { devices, corrupt, next: rows.length > limit ? String(shown.at(-1)?.['mac']) : null };
  }

  async deleteDevice(mac: string): Promise<boolean> {
    checkMac(mac);
    return this.#database.write(() => {
      const deleted = this.#database.change('DELETE FROM device WHERE mac = ?', mac) > 0;
      if (deleted) this.#bump();
      return deleted;
    });
  }

  async touchDevice(mac: string, sighting: DeviceSighting): Promise<boolean> {
    checkMac(mac);
    const checked = checkSighting(sighting);
    return this.#database.writeSoftly(() => {
      this.#see(mac, checked);
      return this.#database.row('SELECT 1 FROM device WHERE mac = ?', mac) !== undefined;
    });
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
    return this.#database.read(() => this.#snapshot());
  }

  async restoreOverrides(registers: ReadonlyMap<string, OverrideRegister>): Promise<OverridesSnapshot> {
    for (const relay of registers.keys()) checkRelay(relay);
    return this.#database.write(() => {
      let changed = false;
      for (const [relay, register] of registers) {
        const at = this.#changedAt(relay);
        if (at !== undefined ? at >= register.at : !this.#hasRoom()) continue;
        this.#putRegister(relay, register, register.at);
        changed = true;
      }
      if (changed) this.#bump();
      return this.#snapshot();
    });
  }

  async revision(): Promise<string> {
    const { epoch, changes } = await this.#database.read(() => this.#meta());
    return formatRevision(epoch, changes);
  }

  async putRevocations(list: RevocationsInput): Promise<boolean> {
    const { number, pem, fetchedAt } = encodeRevocations(list);
    return this.#database.write(() => {
      const kept =
        this.#database.change(
          `INSERT INTO revocations (id, number, pem, fetched_at) VALUES (1, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET number = excluded.number, pem = excluded.pem, fetched_at = excluded.fetched_at
           WHERE excluded.number > number OR length(excluded.number) <> length(number)`,
          number,
          pem,
          fetchedAt,
        ) > 0;
      if (kept) this.#bump();
      return kept;
    });
  }

  async getRevocations(): Promise<Revocations | null> {
    const row = await this.#database.read(() =>
      this.#database.row('SELECT number, pem, fetched_at AS fetchedAt FROM revocations'),
    );
    return row === undefined ? null : decodeRevocations(row);
  }

  recordDetections(list: readonly Detection[]): Promise<number> {
    return this.#detections.record(list);
  }

  detectionsAfter(cursor: string | null, limit: number): Promise<DetectionPage> {
    return this.#detections.after(cursor, limit, () => this.#meta().epoch);
  }

  alarms(): Promise<ReadonlyMap<string, Alarm>> {
    return this.#alarms.all();
  }

  putAlarm(name: string, change: AlarmChange): Promise<boolean> {
    return this.#alarms.put(name, change);
  }

  async ping(): Promise<void> {
    await this.revision();
  }

  async close(): Promise<void> {
    this.#database.close();
  }

  #change(work: () => void): Promise<void> {
    return this.#database.write(() => {
      work();
      this.#bump();
    });
  }

  #bump(): void {
    this.#database.change('UPDATE meta SET changes = changes + 1');
  }

  #see(mac: string, { at, from }: DeviceSighting): void {
    this.#database.change(
      'UPDATE device SET seen_at = ?1, seen_from = ?2 WHERE mac = ?3 AND (seen_at IS NULL OR seen_at <= ?1)',
      at,
      from,
      mac,
    );
  }

  #order(relay: string, register: OverrideRegister): Promise<void> {
    return this.#change(() => {
      const previous = this.#changedAt(relay);
      if (previous === undefined && !this.#hasRoom() && this.#database.change(MAKE_ROOM) === 0)
        throw new StoreError('INVALID', `at most ${MAX_OVERRIDES} relays have an override`);
      this.#putRegister(relay, register, Math.max(register.at, (previous ?? -1) + 1));
    });
  }

  #changedAt(relay: string): number | undefined {
    const row = this.#database.row('SELECT at FROM override WHERE relay = ?', relay);
    return row === undefined ? undefined : Number(row['at']);
  }

  #hasRoom(): boolean {
    return Number(this.#database.row('SELECT count(*) AS n FROM override')?.['n']) < MAX_OVERRIDES;
  }

  #putRegister(relay: string, register: OverrideRegister, at: number): void {
    this.#database.change(
      'INSERT OR REPLACE INTO override (relay, kind, at, body) VALUES (?, ?, ?, ?)',
      relay,
      register.kind,
      at,
      encodeRegister(register),
    );
  }

  #snapshot(): OverridesSnapshot {
    const registers = new Map<string, OverrideRegister>();
    for (const row of this.#database.rows('SELECT * FROM override ORDER BY relay')) {
      const relay = String(row['relay']);
      const stored = { kind: String(row['kind']), at: Number(row['at']), body: String(row['body']) };
      registers.set(relay, decodeRegister(relay, stored));
    }
    const { epoch, changes } = this.#meta();
    return { epoch, changes, revision: formatRevision(epoch, changes), registers };
  }

  #meta(): { epoch: string; changes: number } {
    const row = this.#database.row('SELECT epoch, changes FROM meta');
    if (row === undefined) throw new StoreError('CORRUPT', 'the store has lost its epoch');
    return { epoch: String(row['epoch']), changes: Number(row['changes']) };
  }
}

function storedDevice(row: Record<string, unknown>): StoredDevice {
  const { body, seen_at: seenAt, seen_from: seenFrom } = row;
  return {
    body: String(body),
    seenAt: typeof seenAt === 'number' ? seenAt : null,
    seenFrom: typeof seenFrom === 'string' ? seenFrom : null,
  };
}
