import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from './store-error.ts';

/** "seki" in ASCII: tells our files from those of other programs (https://www.sqlite.org/fileformat.html 1.3.15). */
const APPLICATION_ID = 0x73_65_6b_69;
const SCHEMA_VERSION = 2;

/** Version 1, in which every file begins. */
const SCHEMA = `
  CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, changes INTEGER NOT NULL) STRICT;
  CREATE TABLE device (mac TEXT PRIMARY KEY, body TEXT NOT NULL, seen_at INTEGER, seen_from TEXT)
    STRICT, WITHOUT ROWID;
  CREATE TABLE override (relay TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
  CREATE TABLE revocations (id INTEGER PRIMARY KEY CHECK (id = 1), number TEXT NOT NULL, pem TEXT NOT NULL,
    fetched_at INTEGER NOT NULL) STRICT;
`;

/** What the later versions add, from 2 on. A process of an older version that has the file open is not disturbed. */
const ADDITIONS: Readonly<Record<number, string>> = {
  2: `
    CREATE TABLE detection (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT;
    CREATE TABLE alarm (name TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    ALTER TABLE meta ADD COLUMN alarm_versions INTEGER NOT NULL DEFAULT 0;
  `,
};

/**
 * Creates the tables in an empty file, and upgrades a file of an older version. Call inside a write transaction. Throws
 * INCOMPATIBLE for a file not ours or of a newer version.
 */
export function ensureSchema(database: DatabaseSync): void {
  const version = pragma(database, 'user_version');
  if (pragma(database, 'application_id') === APPLICATION_ID) {
    if (version >= 1 && version <= SCHEMA_VERSION) return upgrade(database, version);
    throw new StoreError('INCOMPATIBLE', `the store has schema ${version}, this program speaks ${SCHEMA_VERSION}`);
  }
  if (database.prepare('SELECT name FROM sqlite_schema LIMIT 1').get() !== undefined)
    throw new StoreError('INCOMPATIBLE', 'the file is the database of another program');
  database.exec(SCHEMA);
  database.prepare('INSERT INTO meta (id, epoch, changes) VALUES (1, ?, 0)').run(randomUUID());
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  upgrade(database, 1);
}

/**
 * The schema that a file has and the one that this program speaks, without changing the file. Undefined when there is no
 * file that can be read, or it is not ours.
 */
export function sqliteSchema(path: string): { readonly has: number; readonly speaks: number } | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    if (pragma(database, 'application_id') !== APPLICATION_ID) return undefined;
    return { has: pragma(database, 'user_version'), speaks: SCHEMA_VERSION };
  } catch {
    return undefined;
  } finally {
    database?.close();
  }
}

function upgrade(database: DatabaseSync, from: number): void {
  if (from === SCHEMA_VERSION) return;
  for (let version = from + 1; version <= SCHEMA_VERSION; version += 1) database.exec(ADDITIONS[version] ?? '');
  database.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`);
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}
