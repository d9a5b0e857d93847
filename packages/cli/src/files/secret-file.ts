import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { CommandError } from '../exit-codes.ts';

/** Makes a directory that only its owner can enter. */
export function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
}

/** Writes a file that only its owner can read: whole or not at all, never over an existing one unless `replace`. */
export function writeSecretFile(path: string, text: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace !== true && statSync(path, { throwIfNoEntry: false }) !== undefined)
    throw new CommandError(`${path} exists already; it is not overwritten. Move it away, or choose another name.`);
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Refuses a key that other users of the machine could read. */
export function requirePrivate(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new CommandError(`${path} is missing.`);
  if ((stat.mode & 0o077) !== 0)
    throw new CommandError(`${path} can be read by others (mode ${(stat.mode & 0o777).toString(8)}). Run: chmod 600 ${path}`);
}
