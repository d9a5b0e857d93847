import { rmSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whenThisProcessEnds } from './process.ts';

export interface TempDir {
  path: string;
  /** Removes it with all that is in it; once is enough, twice does no harm. */
  remove(): Promise<void>;
}

const RETRIES = { maxRetries: 5, retryDelay: 50 };

/**
 * Makes a directory below the system's one for temporary files, which is removed at the latest when this process ends. The name is
 * short because a path of a unix socket has at most 107 bytes.
 *
 * @param mode 0o755 where a server that gave up root must get in
 */
export async function makeTempDir(prefix: string, mode = 0o700): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), `sekisho-${prefix}-`));
  const forget = whenThisProcessEnds(() => rmSync(path, { recursive: true, force: true, ...RETRIES }));
  await chmod(path, mode);
  return {
    path,
    async remove(): Promise<void> {
      await rm(path, { recursive: true, force: true, ...RETRIES });
      forget();
    },
  };
}
