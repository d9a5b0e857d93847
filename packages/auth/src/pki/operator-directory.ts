import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { PkiError } from './pki-error.ts';

/** The files of an operator's directory that this folder writes; the CLI keeps its registry beside them. */
export const OPERATOR_FILES = {
  caKey: 'ca.key.pem',
  caCert: 'ca.cert.pem',
  settings: 'operator.json',
  revocations: 'revocations.crl.pem',
} as const;
type OperatorFile = (typeof OPERATOR_FILES)[keyof typeof OPERATOR_FILES];

const LOCK_FILE = 'revocations.lock';

/**
 * Makes the directory with all its files at once, or not at all; an empty directory may be there already.
 * Throws PkiError `ALREADY_EXISTS`, `FILE_ERROR`.
 */
export async function createDirectory(path: string, files: Readonly<Record<OperatorFile, string>>): Promise<void> {
  const target = resolve(path);
  await attempt(`make ${target}`, () => mkdir(dirname(target), { recursive: true }));
  // mkdtemp makes it 0700; being in the same parent, the rename is atomic and fails when anything is there.
  const draft = await attempt(`write to ${dirname(target)}`, () => mkdtemp(join(dirname(target), `.${basename(target)}-`)));
  try {
    for (const [name, text] of Object.entries(files)) await writePrivateFile(join(draft, name), text);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errorCode(error)))
      throw new PkiError('ALREADY_EXISTS', `${path} already exists and is not overwritten: name another directory`, {
        cause: error,
      });
    throw fileError(`make ${target}`, error);
  }
  await syncDirectory(dirname(target));
}

/** Throws PkiError `NOT_AN_OPERATOR_DIRECTORY` or, when others can get at the key, `PERMISSIONS_TOO_OPEN`. */
export async function requireOperatorDirectory(path: string): Promise<void> {
  await requirePrivate(path, path, '700');
  await requirePrivate(join(path, OPERATOR_FILES.caKey), path, '600');
}

/** Reads one file of the directory. Throws PkiError `DAMAGED` when it is missing, `FILE_ERROR`. */
export async function readOperatorFile(path: string, name: OperatorFile): Promise<string> {
  const file = join(path, name);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT')
      throw new PkiError('DAMAGED', `${file} is missing: restore it from a backup`, { cause: error });
    throw fileError(`read ${file}`, error);
  }
}

/** Replaces one file of the directory: a reader, or a machine that loses power, sees the old text or the new. */
export async function replaceOperatorFile(path: string, name: OperatorFile, text: string): Promise<void> {
  const file = join(path, name);
  const draft = `${file}.${randomUUID()}.tmp`;
  try {
    await writePrivateFile(draft, text);
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw fileError(`write ${file}`, error);
  }
  await syncDirectory(path);
}

/** Runs `work` while no other process does so in this directory. Throws PkiError `BUSY`. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const file = join(path, LOCK_FILE);
  try {
    await writePrivateFile(file, `${process.pid}\n`);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw fileError(`write ${file}`, error);
    const message = `another command is changing the revocation list; if none is running, delete ${file} and try again`;
    throw new PkiError('BUSY', message, { cause: error });
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function requirePrivate(file: string, directory: string, mode: '600' | '700'): Promise<void> {
  let permissions: number;
  try {
    permissions = (await stat(file)).mode & 0o777;
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error))) throw fileError(`read ${file}`, error);
    const message = `${directory} is not an operator's directory: make one with \`sekisho operator init ${directory}\``;
    throw new PkiError('NOT_AN_OPERATOR_DIRECTORY', message, { cause: error });
  }
  if ((permissions & 0o077) !== 0)
    throw new PkiError(
      'PERMISSIONS_TOO_OPEN',
      `${file} is open to others (mode ${permissions.toString(8)}): run \`chmod ${mode} ${file}\`, and if others could ` +
        'read the key, make a new operator',
    );
}

// 'wx' never follows what somebody else has put there.
async function writePrivateFile(file: string, text: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await attempt(`read ${path}`, () => open(path, 'r'));
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function attempt<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(action, error);
  }
}

function fileError(action: string, error: unknown): PkiError {
  const reason = error instanceof Error ? error.message : String(error);
  return new PkiError('FILE_ERROR', `can't ${action}: ${reason}`, { cause: error });
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
