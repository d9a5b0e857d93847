import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const MODULE = new URL('descriptors.ts', import.meta.url).href;

/** Asks in a process that may open `limit` files, after `opened` were opened. */
async function isScarce(limit: number, opened: number): Promise<string> {
  const script = `
    import { openSync } from 'node:fs';
    import { areDescriptorsScarce } from '${MODULE}';
    try { for (let i = 0; i < ${opened}; i += 1) openSync('/dev/null'); } catch {}
    console.log(await areDescriptorsScarce());
  `;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const { stdout } = await run('/bin/sh', ['-c', `ulimit -n ${limit} && exec "$@"`, 'sh', ...node]);
  return stdout.trim();
}

test('scarce means that the limit is near, or reached', async () => {
  expect(await isScarce(400, 0)).toBe('false');
  expect(await isScarce(400, 200)).toBe('false');
  expect(await isScarce(400, 370)).toBe('true');
  expect(await isScarce(400, 10_000)).toBe('true');
});
