import { HeldBytes } from '@sekisho/channel';

/** clamd reads a chunk as a whole or not at all once it is past StreamMaxLength: small ones keep its answer readable. */
export const MAX_CHUNK_BYTES = 64 * 1024;
const LENGTH_BYTES = 4;

/** A chunk of no length: the end of the stream. */
export const END_OF_STREAM = Buffer.alloc(LENGTH_BYTES);

/**
 * Puts content into the chunks of INSTREAM: a length of four bytes, big-endian, and so many bytes. The content is not
 * copied, except that pieces of less than 4 KiB are put together.
 */
export async function* instreamFrames(content: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[], void> {
  const held = new HeldBytes();
  for await (const piece of content) {
    for (let at = 0; at < piece.length; at += MAX_CHUNK_BYTES) {
      const part = piece.subarray(at, at + MAX_CHUNK_BYTES);
      if (held.bytes + part.length > MAX_CHUNK_BYTES) yield frame(held);
      held.push(part);
    }
  }
  // An empty chunk would be the end of the stream.
  if (held.bytes > 0) yield frame(held);
}

function frame(held: HeldBytes): readonly Buffer[] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(held.bytes);
  return [length, ...held.take()];
}
