import { readdir, readFile } from 'node:fs/promises';

/** Below this share of the limit there is room for a surge; above it the next connect may fail. */
const FULL_SHARE = 0.95;

/**
 * Whether the process is about to run out of descriptors; false where /proc does not say.
 * Counting costs a system call for each open one, so call it every few seconds at most.
 */
export async function areDescriptorsScarce(): Promise<boolean> {
  try {
    const [open, limits] = await Promise.all([readdir('/proc/self/fd'), readFile('/proc/self/limits', 'utf8')]);
    const [, soft] = /^Max open files\s+(\d+|unlimited)/mu.exec(limits) ?? [];
    return soft !== undefined && open.length > Number(soft) * FULL_SHARE;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE';
  }
}
