import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';
import { KeptNotices } from './kept-notices.ts';

let directory: TempDir;
let now = 0;
const key = (id: number): string => String(id).padStart(43, 'k');
const open = (maxFiles: number, maxBytes: number): Promise<KeptNotices> => KeptNotices.open({ now: () => now }, { directory: join(directory.path, 'kept'), maxFiles, maxBytes });
const files = (): Promise<string[]> => readdir(join(directory.path, 'kept'));
beforeEach(async () => (directory = await makeTempDir('kept')));
afterEach(() => directory.remove());

test('however many come at once, no more are kept than there is room for', async () => {
  const kept = await open(5, 1_000_000);
  const results = await Promise.all(Array.from({ length: 50 }, (_, index) => kept.keep(key(index), Buffer.from('x'))));
  expect(results.filter((file) => file !== undefined)).toHaveLength(5);
  expect([kept.count, (await files()).length]).toEqual([5, 5]);
});

test('the bytes count, of what was there before, too', async () => {
  expect(await (await open(100, 10)).keep(key(1), Buffer.alloc(6))).toMatch(/\.eml$/u);
  const kept = await open(100, 10);
  expect(await kept.keep(key(2), Buffer.alloc(5))).toBeUndefined();
  expect(await kept.keep(key(2), Buffer.alloc(4))).toMatch(/\.eml$/u);
  // Larger than before, in its own place.
  expect(await kept.keep(key(1), Buffer.alloc(7))).toBeUndefined();
  expect(await kept.keep(key(1), Buffer.alloc(5))).toMatch(/\.eml$/u);
});

test('what the operator removes makes room, and other files do not count', async () => {
  const kept = await open(1, 100);
  await writeFile(join(directory.path, 'kept', 'notes.txt'), 'x'.repeat(1000));
  const file = await kept.keep(key(1), Buffer.from('x'));
  await rm(file ?? '');
  expect(await kept.keep(key(2), Buffer.from('x'))).toBeUndefined();
  now += 1000;
  expect(await kept.keep(key(2), Buffer.from('x'))).toMatch(/\.eml$/u);
  expect((await files()).sort()).toEqual([`${key(2)}.eml`, 'notes.txt'].sort());
});

test('a directory that is gone is an error, and leaves nothing reserved', async () => {
  const kept = await open(1, 100);
  await rm(join(directory.path, 'kept'), { recursive: true });
  await expect(kept.keep(key(1), Buffer.from('x'))).rejects.toThrow(/ENOENT/u);
  await open(1, 100);
  expect(await kept.keep(key(2), Buffer.from('x'))).toMatch(/\.eml$/u);
});
