import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RedisTls } from '@sekisho/store';
import { CommandError, EXIT } from '../exit-codes.ts';
import { requirePrivate } from './secret-file.ts';

/** The files by which a site proves itself to its store, and the store to the site. */
export interface StoreFiles {
  readonly passwordFile: string | undefined;
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

export interface StoreAccess {
  readonly password: string | undefined;
  /** Undefined when no file says anything about it. */
  readonly tls: RedisTls | undefined;
}

/** Reads them. Throws CommandError (exit 2) naming the file that is missing, damaged, or, for the key, open to others. */
export function readStoreAccess({ passwordFile, caFile, certFile, keyFile }: StoreFiles): StoreAccess {
  const password = read('passwordFile', passwordFile, () => {})?.trim();
  const ca = read('caFile', caFile, (pem) => new X509Certificate(pem));
  const cert = read('certFile', certFile, (pem) => new X509Certificate(pem));
  const key = read('keyFile', keyFile, (pem) => {
    if (cert !== undefined && !new X509Certificate(cert).checkPrivateKey(createPrivateKey(pem)))
      throw new Error('not the key of store.certFile');
  });
  if (keyFile !== undefined) requirePrivate(keyFile);
  const says = [ca, cert, key].some((pem) => pem !== undefined);
  return { password, tls: says ? { ca, cert, key } : undefined };
}

function read(name: keyof StoreFiles, path: string | undefined, check: (text: string) => unknown): string | undefined {
  if (path === undefined) return undefined;
  try {
    const text = readFileSync(path, 'utf8');
    check(text);
    return text;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`store.${name}: ${path} cannot be used (${reason}). Mend it, or name another file.`, EXIT.usage);
  }
}
