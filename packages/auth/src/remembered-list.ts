import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileSource } from './revocation-source.ts';

/** The revocation list in force, in a file of this auth alone: there after a restart whatever else is out of reach. */
export class RememberedList {
  readonly path: string;

  constructor(init: { readonly path: string }) {
    this.path = init.path;
  }

  /** The list in PEM; undefined when none was ever written. Rejects with a reason for people. */
  async read(): Promise<string | undefined> {
    try {
      return await fileSource(this.path).read();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /**
   * Replaces it, whole or not at all. Waits for the disk: a list comes once in days, and of two that were written at
   * the same time the older could stay. Throws the operating system's error.
   */
  write(pem: string): void {
    const draft = `${this.path}.${randomUUID()}.tmp`;
    try {
      const file = openSync(draft, 'wx', 0o600);
      try {
        writeFileSync(file, pem);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(draft, this.path);
    } catch (error) {
      rmSync(draft, { force: true });
      throw error;
    }
  }
}
