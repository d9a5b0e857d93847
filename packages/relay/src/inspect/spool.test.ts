import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAX_MESSAGE_MEMORY_BYTES, MAX_SPOOL_PENDING_BYTES, prepareSpoolDirectory, Spool, SPOOL_MEMORY_BYTES, SpoolRoom } from './spool.ts';

let directory: string;
let room: SpoolRoom;
let drains = 0;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sekisho-spool-'));
  room = new SpoolRoom({ maxBytes: 10_000_000, spareMemoryBytes: 0 });
  drains = 0;
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const spoolOf = (init: { directory?: string; room?: SpoolRoom } = {}): Spool =>
  new Spool({ room: init.room ?? room, onDrain: () => (drains += 1) }, { directory: init.directory ?? directory });

async function contentOf(spool: Spool, fromByte = 0): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read(fromByte)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe.each([
  ['in memory', SPOOL_MEMORY_BYTES],
  ['in a file', SPOOL_MEMORY_BYTES + 1],
  ['in a file of many blocks', 3_000_000],
])('a message kept %s', (_, bytes) => {
  test('comes out as it went in, from any byte, as often as wanted', async () => {
    const spool = spoolOf();
    const content = randomBytes(bytes);
    for (let at = 0; at < bytes; at += 7919) spool.push(content.subarray(at, at + 7919));
    await spool.finish();
    expect(spool.failure).toBeUndefined();
    expect(spool.bytes).toBe(bytes);
    for (const from of [0, 1, 7919, 65_536, bytes - 1, bytes]) {
      expect((await contentOf(spool, from)).equals(content.subarray(from)), `from byte ${from}`).toBe(true);
    }
    // With reuse each chunk is still whole when the next one has come.
    let at = 0;
    let before: Buffer = Buffer.alloc(0);
    for await (const chunk of spool.read(0, { reuse: true })) {
      expect(before.equals(content.subarray(at - before.length, at))).toBe(true);
      at += chunk.length;
      before = chunk;
    }
    expect(at).toBe(bytes);
    spool.discard();
    expect(room.usedBytes).toBe(0);
  });

  test('has no name on the disk', async () => {
    const spool = spoolOf();
    spool.push(randomBytes(bytes));
    await spool.finish();
    expect(await readdir(directory)).toEqual([]);
    spool.discard();
  });
});

test('with spare memory a message stays there up to its share, and gives it back', async () => {
  const spareMemoryBytes = MAX_MESSAGE_MEMORY_BYTES;
  const shared = new SpoolRoom({ maxBytes: 10_000_000, spareMemoryBytes });
  const missing = join(directory, 'missing'); // a file there is a failure
  const first = spoolOf({ room: shared, directory: missing });
  const content = randomBytes(MAX_MESSAGE_MEMORY_BYTES);
  for (let at = 0; at < content.length; at += 10_000) first.push(content.subarray(at, at + 10_000));
  await first.finish();
  expect((await contentOf(first)).equals(content)).toBe(true);
  // What is left is not enough for a second one of that size.
  const second = spoolOf({ room: shared, directory: missing });
  second.push(randomBytes(2 * SPOOL_MEMORY_BYTES + 1));
  await second.finish();
  expect(second.failure).toMatch(/ENOENT/u);
  first.discard();
  expect(shared.borrow(spareMemoryBytes)).toBe(true);
  shared.giveBack(spareMemoryBytes);
  // Past its share it goes to the file as a whole, and the memory is free for others.
  const third = spoolOf({ room: shared });
  third.push(randomBytes(MAX_MESSAGE_MEMORY_BYTES));
  third.push(Buffer.alloc(1));
  expect(shared.borrow(spareMemoryBytes)).toBe(true);
  await third.finish();
  expect(third.failure).toBeUndefined();
  third.discard();
});

test('a busy spool says so, and says when it is no longer', async () => {
  const spool = spoolOf();
  spool.push(randomBytes(SPOOL_MEMORY_BYTES));
  expect(spool.isBusy).toBe(false);
  spool.push(randomBytes(MAX_SPOOL_PENDING_BYTES));
  expect(spool.isBusy).toBe(true);
  await expect.poll(() => drains).toBeGreaterThan(0);
  expect(spool.isBusy).toBe(false);
  spool.discard();
});

test('a chunk of nothing, when all is written, does not stop what follows from being written', async () => {
  const spool = spoolOf();
  const content = randomBytes(SPOOL_MEMORY_BYTES + 1);
  spool.push(content);
  await spool.finish();
  spool.push(Buffer.alloc(0));
  spool.push(content);
  await spool.finish();
  expect((await contentOf(spool)).equals(Buffer.concat([content, content]))).toBe(true);
  spool.discard();
});

test('without room it fails, keeps nothing and gives everything back', async () => {
  const small = new SpoolRoom({ maxBytes: 1000 });
  const spool = spoolOf({ room: small });
  spool.push(Buffer.alloc(1000));
  expect(spool.failure).toBeUndefined();
  spool.push(Buffer.alloc(1));
  expect(spool.failure).toMatch(/no room/u);
  expect(small.usedBytes).toBe(0);
  expect(drains).toBe(1);
  spool.push(Buffer.alloc(1));
  await spool.finish();
  expect(small.usedBytes).toBe(0);
});

test('a disk that is not there is a failure, not an exception', async () => {
  const spool = spoolOf({ directory: join(directory, 'missing') });
  spool.push(Buffer.alloc(SPOOL_MEMORY_BYTES + 1));
  await spool.finish();
  expect(spool.failure).toMatch(/ENOENT/u);
  expect(room.usedBytes).toBe(0);
});

test('discarded while it is written or read: the room is given back once, and a reader is told', async () => {
  const spool = spoolOf();
  spool.push(randomBytes(1_000_000));
  spool.discard();
  spool.discard();
  await spool.finish();
  expect(room.usedBytes).toBe(0);

  const other = spoolOf();
  other.push(randomBytes(1_000_000));
  await other.finish();
  const reading = contentOf(other);
  other.discard();
  await expect(reading).rejects.toThrow(/discarded|closed|EBADF/u);
  expect(room.usedBytes).toBe(0);
});

test('what a killed process left is removed at the next start, and nothing else', async () => {
  await writeFile(join(directory, 'spool-1-1'), 'left');
  await writeFile(join(directory, 'other'), 'stays');
  await prepareSpoolDirectory(directory);
  expect(await readdir(directory)).toEqual(['other']);
  await prepareSpoolDirectory(join(directory, 'new', 'deep'));
  expect(await readdir(join(directory, 'new'))).toEqual(['deep']);
});
