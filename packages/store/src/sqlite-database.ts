import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { Availability, type OnStateChange } from './availability.ts';
import { fromSqliteError, isSqliteBusy } from './sqlite-error.ts';
import { ensureSchema } from './sqlite-schema.ts';
import { StoreError } from './store-error.ts';

/**
 * SQLite waits for a lock by blocking the thread, and with it every session of the process. So it waits this long at
 * a time only; the rest of the operation's deadline is spent in timers between attempts.
 */
const BUSY_TIMEOUT_MS = 10;
const RETRY_PAUSE_MS = 5;
const RETRY_JITTER_MS = 20;
/** The write-ahead log is cut back to this after a checkpoint. */
const MAX_IDLE_WAL_BYTES = 1024 * 1024;

export interface SqliteDatabaseComponents {
  readonly onStateChange?: OnStateChange | undefined;
}

export interface SqliteDatabaseInit {
  readonly path: string;
  readonly operationTimeoutMs: number;
}

/** One file shared by several processes of a host: deadlines, retries and transactions over node:sqlite. */
export class SqliteDatabase {
  readonly #availability: Availability;
  readonly #operationTimeoutMs: number;
  readonly #statements = new Map<string, StatementSync>();
  #database: DatabaseSync | undefined;

  /** Nothing is opened before {@link open}. */
  constructor(components: SqliteDatabaseComponents, init: SqliteDatabaseInit) {
    this.#availability = new Availability(components.onStateChange);
    this.#operationTimeoutMs = init.operationTimeoutMs;
  }

  /** Opens or creates the file (mode 0600). Throws DENIED, CORRUPT, INCOMPATIBLE or UNAVAILABLE. */
  static async open(components: SqliteDatabaseComponents, init: SqliteDatabaseInit): Promise<SqliteDatabase> {
    const database = new SqliteDatabase(components, init);
    await database.#attempt(() => {
      database.#database = openFile(init.path);
    });
    return database;
  }

  /** Runs reads that see one moment of the data. */
  read<T>(work: () => T): Promise<T> {
    return this.#attempt(() => this.#transaction('BEGIN', work));
  }

  /** Runs reads and writes as one change, which survives a power failure once this returns. */
  write<T>(work: () => T): Promise<T> {
    return this.#attempt(() => this.#transaction('BEGIN IMMEDIATE', work));
  }

  /** As {@link write}, but the change may be lost in a power failure: no waiting for the disk. */
  writeSoftly<T>(work: () => T): Promise<T> {
    return this.#attempt(() => {
      const database = this.#opened();
      database.exec('PRAGMA synchronous = NORMAL');
      try {
        return this.#transaction('BEGIN IMMEDIATE', work);
      } finally {
        database.exec('PRAGMA synchronous = FULL');
      }
    });
  }

  /** The first row of a query, inside {@link read} or {@link write}. */
  row(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#prepare(sql).get(...values);
  }

  rows(sql: string, ...values: SQLInputValue[]): Record<string, unknown>[] {
    return this.#prepare(sql).all(...values);
  }

  /** Number of rows changed. */
  change(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  close(): void {
    const database = this.#database;
    this.#database = undefined;
    this.#statements.clear();
    database?.close();
  }

  async #attempt<T>(work: () => T): Promise<T> {
    const deadline = performance.now() + this.#operationTimeoutMs;
    for (;;) {
      try {
        const result = work();
        this.#availability.up();
        return result;
      } catch (error) {
        if (!isSqliteBusy(error) || performance.now() >= deadline) throw this.#failure(error);
      }
      await sleep(RETRY_PAUSE_MS + Math.random() * RETRY_JITTER_MS);
    }
  }

  #failure(error: unknown): unknown {
    const failure = fromSqliteError(error);
    if (failure instanceof StoreError && failure.code !== 'CLOSED' && failure.code !== 'INVALID')
      this.#availability.down(failure.message);
    return failure;
  }

  #transaction<T>(begin: string, work: () => T): T {
    const database = this.#opened();
    database.exec(begin);
    try {
      const result = work();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  }

  #opened(): DatabaseSync {
    if (this.#database === undefined) throw new StoreError('CLOSED', 'the store is closed');
    return this.#database;
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#opened().prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function openFile(path: string): DatabaseSync {
  createPrivately(path);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${MAX_IDLE_WAL_BYTES}`);
    database.exec('BEGIN IMMEDIATE');
    ensureSchema(database);
    database.exec('COMMIT');
    return database;
  } catch (error) {
    // Closing also rolls back.
    database.close();
    throw error;
  }
}

/**
 * SQLite would create the file readable to everybody. Only a new file may be opened here: closing a descriptor of a
 * database that this process has open drops its locks (https://www.sqlite.org/howtocorrupt.html 2.2).
 */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
    throw new StoreError('DENIED', `the store cannot be created: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}
