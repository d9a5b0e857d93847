import { type Alarm, type AlarmChange, checkAlarm, MAX_ALARMS, tooManyAlarms } from './alarm.ts';
import type { SqliteDatabase } from './sqlite-database.ts';

/** The alarms of a SqliteStore. */
export class SqliteAlarms {
  readonly #database: SqliteDatabase;

  constructor(components: { readonly database: SqliteDatabase }) {
    this.#database = components.database;
  }

  async all(): Promise<Map<string, Alarm>> {
    const rows = await this.#database.read(() => this.#database.rows('SELECT * FROM alarm ORDER BY name'));
    return new Map(rows.map(({ name, version, body }) => [String(name), { version: Number(version), body: String(body) }]));
  }

  async put(name: string, change: AlarmChange): Promise<boolean> {
    checkAlarm(name, change);
    return this.#database.write(() => {
      const version = Number(this.#database.row('SELECT version FROM alarm WHERE name = ?', name)?.['version'] ?? 0);
      if (version !== change.expected) return false;
      if (change.body === null) this.#database.change('DELETE FROM alarm WHERE name = ?', name);
      else this.#write(name, change.body, version === 0);
      return true;
    });
  }

  #write(name: string, body: string, isNew: boolean): void {
    if (isNew && Number(this.#database.row('SELECT count(*) AS n FROM alarm')?.['n']) >= MAX_ALARMS) throw tooManyAlarms();
    this.#database.change('UPDATE meta SET alarm_versions = alarm_versions + 1');
    this.#database.change(
      'INSERT OR REPLACE INTO alarm (name, version, body) SELECT ?, alarm_versions, ? FROM meta',
      name,
      body,
    );
  }
}
