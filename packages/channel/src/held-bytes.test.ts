import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HeldBytes } from './held-bytes.ts';

const RECORD_BYTES = 16 * 1024;

/** A chunk as it comes off a TLS connection: a view of the record that it came in. */
const chunkOf = (bytes: number): Buffer => {
  const record = Buffer.allocUnsafeSlow(RECORD_BYTES);
  randomBytes(bytes).copy(record);
  return record.subarray(0, bytes);
};

test('whatever is pushed comes out once, whole and in order', () => {
  const size = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 4000, max: 4200 }), fc.integer({ min: 0, max: RECORD_BYTES }));
  fc.assert(
    fc.property(fc.array(fc.array(size, { maxLength: 40 }), { maxLength: 4 }), (rounds) => {
      const held = new HeldBytes();
      for (const sizes of rounds) {
        const chunks = sizes.map(chunkOf);
        const expected = Buffer.concat(chunks);
        for (const chunk of chunks) {
          held.push(chunk);
          // The record is used again by nobody, but a small chunk must not depend on it.
          if (chunk.length < 1000) Buffer.from(chunk.buffer).fill(0);
        }
        expect(held.bytes).toBe(expected.length);
        expect(Buffer.concat(held.take()).equals(expected)).toBe(true);
        expect([held.bytes, held.take()]).toEqual([0, []]);
      }
    }),
  );
});

test.each<[string, (index: number) => number]>([
  ['single bytes', () => 1],
  ['the largest that are copied', () => 4095],
  ['the smallest that are not copied', () => 4096],
  ['whole records', () => RECORD_BYTES],
  ['small and large ones in turn', (index) => (index % 2 === 0 ? 1 : 4096)],
])('a window of %s costs four windows at most', (_name, sizeOf) => {
  const WINDOW_BYTES = 64 * 1024;
  const held = new HeldBytes();
  for (let index = 0; held.bytes + sizeOf(index) <= WINDOW_BYTES; index += 1) held.push(chunkOf(sizeOf(index)));
  const { bytes } = held;
  const chunks = held.take();
  const memory = new Set(chunks.map(({ buffer }) => buffer));
  expect([...memory].reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(4 * bytes + RECORD_BYTES);
  expect(chunks.length).toBeLessThan(40);
});
