import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { instreamFrames, MAX_CHUNK_BYTES } from './instream-frames.ts';

async function* given(pieces: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  yield* pieces;
}

/** Reads frames as clamd does. */
async function read(source: AsyncIterable<Buffer>): Promise<{ lengths: number[]; content: Buffer }> {
  const lengths: number[] = [];
  const content: Buffer[] = [];
  for await (const frame of instreamFrames(source)) {
    const bytes = Buffer.concat(frame);
    const length = bytes.readUInt32BE(0);
    expect(bytes.length).toBe(4 + length);
    lengths.push(length);
    content.push(bytes.subarray(4));
  }
  return { lengths, content: Buffer.concat(content) };
}

const sizes = fc.array(fc.oneof(fc.nat(5), fc.nat(5000), fc.nat(3 * MAX_CHUNK_BYTES)), { maxLength: 20 });

test('however it is cut, the same content in chunks of 1 byte to 64 KiB', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async (sizes) => {
      const pieces = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      const { lengths, content } = await read(given(pieces));
      expect(content.equals(Buffer.concat(pieces))).toBe(true);
      for (const length of lengths) expect(length > 0 && length <= MAX_CHUNK_BYTES).toBe(true);
    }),
    { numRuns: 50 },
  );
});

/** Gives each piece in the same buffer, and spoils it when the next one is asked for. */
async function* spoiled(pieces: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.alloc(Math.max(0, ...pieces.map(({ length }) => length)));
  for (const piece of pieces) {
    piece.copy(buffer);
    yield buffer.subarray(0, piece.length);
    buffer.fill(0xff);
  }
}

test('a source that uses its buffer again does not change what the scanner sees', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, async (sizes) => {
      const pieces = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      expect((await read(spoiled(pieces))).content.equals(Buffer.concat(pieces))).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('no content, or only empty pieces: no chunk, for it would be the end', async () => {
  expect((await read(given([]))).lengths).toEqual([]);
  expect((await read(given([Buffer.alloc(0), Buffer.alloc(0)]))).lengths).toEqual([]);
});

test('many small pieces are few chunks, and a large one is not copied', async () => {
  const small = Array.from({ length: 10_000 }, () => Buffer.from('abc'));
  expect((await read(given(small))).lengths).toEqual([16_383, 13_617]);
  const large = Buffer.alloc(MAX_CHUNK_BYTES);
  for await (const [, part] of instreamFrames(given([large]))) expect(part?.buffer).toBe(large.buffer);
});
