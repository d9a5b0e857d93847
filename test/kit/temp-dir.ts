import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TempDir {
  path: string;
  /** Removes it with all that is in it; once is enough, twice does no harm. */
  remove(): Promise<void>;
}

/**
 * Makes a directory below the system's one for temporary files. The name is short because a path of a unix socket has
 * at most 107 bytes.
 *
 * @param mode 0o755 where a server that gave up root must get in
 */
export async function makeTempDir(prefix: string, mode = 0o700): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `sekisho-${prefix}-`));
  await chmod(path, mode);
  return { path, remove: () => rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }) };
}
