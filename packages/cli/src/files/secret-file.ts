import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { CommandError, EXIT } from '../exit-codes.ts';

/** Makes a directory that only its owner can enter. One that exists keeps its mode: it may be somebody's home. */
export function makePrivateDirectory(path: string): void {
  attempt(path, () => mkdirSync(path, { recursive: true, mode: 0o700 }));
}

/** Throws CommandError when something is there already. */
export function requireAbsent(path: string): void {
  let found: unknown;
  attempt(path, () => (found = lstatSync(path, { throwIfNoEntry: false })));
  if (found !== undefined)
    throw new CommandError(`${path} exists already; it is not overwritten. Move it away, or choose another name.`);
}

/** Throws CommandError when no file can be made at this path, before work is done that would be lost. */
export function requireWritable(path: string): void {
  attempt(path, () => accessSync(dirname(path), constants.W_OK | constants.X_OK));
}

/** Writes a file that only its owner can read: whole or not at all, never over an existing one unless `replace`. */
export function writeSecretFile(path: string, text: string, options: { readonly replace?: boolean } = {}): void {
  if (options.replace !== true) requireAbsent(path);
  attempt(path, () => writeWhole(path, text));
}

function writeWhole(path: string, text: string): void {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`);
  const file = openSync(temporary, 'wx', 0o600);
  try {
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Refuses a key that other users of the machine could read. */
export function requirePrivate(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined)
    throw new CommandError(`${path} is missing. Bring it from where \`sekisho site init\` or \`device enroll\` wrote it.`, EXIT.usage);
  if ((stat.mode & 0o077) !== 0)
    throw new CommandError(`${path} can be read by others (mode ${(stat.mode & 0o777).toString(8)}). Run: chmod 600 ${path}`, EXIT.usage);
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist; make it first',
  ENOTDIR: 'its directory is a file; choose another place',
  EEXIST: 'its directory is a file; choose another place',
  EACCES: 'this user may not write there; choose another place, or run this as its owner',
  EROFS: 'nothing can be written there; choose another place',
  ENOSPC: 'the disk is full; make room, or choose another place',
};

function attempt(path: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    throw new CommandError(`${path} cannot be written: ${ADVICE[code] ?? message}.`);
  }
}
