import type { ScanSource } from '../src/scan/scanner.ts';

/** Content in memory, in chunks as a spool gives them. */
export function sourceOf(content: Buffer | string, chunkBytes = 64 * 1024): ScanSource {
  const bytes = Buffer.from(content);
  return {
    bytes: bytes.length,
    async *chunks() {
      for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
    },
  };
}
