import { randomUUID } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from './store-error.ts';

/** "seki" in ASCII: tells our files from those of other programs (https://www.sqlite.org/fileformat.html 1.3.15). */
const APPLICATION_ID = 0x73_65_6b_69;
const SCHEMA_VERSION = 1;

const SCHEMA = `
  CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), epoch TEXT NOT NULL, changes INTEGER NOT NULL) STRICT;
  CREATE TABLE device (mac TEXT PRIMARY KEY, body TEXT NOT NULL, seen_at INTEGER, seen_from TEXT)
    STRICT, WITHOUT ROWID;
  CREATE TABLE override (relay TEXT PRIMARY KEY, kind TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL)
    STRICT, WITHOUT ROWID;
  CREATE TABLE revocations (id INTEGER PRIMARY KEY CHECK (id = 1), number TEXT NOT NULL, pem TEXT NOT NULL,
    fetched_at INTEGER NOT NULL) STRICT;
`;

/** Creates the tables in an empty file. Call inside a write transaction. Throws INCOMPATIBLE for a file not ours. */
export function ensureSchema(database: DatabaseSync): void {
  const version = pragma(database, 'user_version');
  if (pragma(database, 'application_id') === APPLICATION_ID) {
    if (version === SCHEMA_VERSION) return;
    throw new StoreError('INCOMPATIBLE', `the store has schema ${version}, this program speaks ${SCHEMA_VERSION}`);
  }
  if (database.prepare('SELECT name FROM sqlite_schema LIMIT 1').get() !== undefined)
    throw new StoreError('INCOMPATIBLE', 'the file is the database of another program');
  database.exec(SCHEMA);
  database.prepare('INSERT INTO meta (id, epoch, changes) VALUES (1, ?, 0)').run(randomUUID());
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
}
