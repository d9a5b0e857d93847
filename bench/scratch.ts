import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * From here on all temporary directories, those of child processes among them, are made in one of this process's own,
 * which is removed when it exits, for whatever reason but SIGKILL. Call it after the first `startProcess`: then the
 * processes are killed first.
 */
export function useScratchDirectory(): void {
  // A short name: below it stand sockets, whose paths have 107 bytes at most (unix(7)). nginx' worker must get in.
  const directory = mkdtempSync(join(tmpdir(), 'skb-'));
  chmodSync(directory, 0o755);
  process.env['TMPDIR'] = directory;
  // A process that was killed a moment ago may still write its last file.
  process.on('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
}
