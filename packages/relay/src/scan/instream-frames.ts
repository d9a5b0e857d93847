/** clamd reads a chunk as a whole or not at all once it is past StreamMaxLength: small ones keep its answer readable. */
export const MAX_CHUNK_BYTES = 64 * 1024;
/** Smaller pieces are copied together: content with a dot on each line comes in pieces of a line. */
const COPY_BELOW_BYTES = 4 * 1024;
const BLOCK_BYTES = 16 * 1024;
const LENGTH_BYTES = 4;

/** A chunk of no length: the end of the stream. */
export const END_OF_STREAM = Buffer.alloc(LENGTH_BYTES);

/**
 * Puts content into the chunks of INSTREAM: a length of four bytes, big-endian, and so many bytes.
 *
 * Neither side keeps a buffer of the other's: a piece is not looked at after the next one has been asked for, so the
 * content may use its buffers again (a piece that was held and overwritten meanwhile would hide a virus from the scanner), and
 * what is yielded holds its bytes until the next is asked for.
 */
export async function* instreamFrames(content: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[], void> {
  let block = Buffer.alloc(0);
  let used = 0;
  for await (const piece of content) {
    const isSmall = piece.length < COPY_BELOW_BYTES;
    if (used > 0 && (!isSmall || used + piece.length > BLOCK_BYTES)) {
      yield frame(block.subarray(0, used));
      used = 0;
    }
    if (isSmall) {
      if (block.length === 0) block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      used += piece.copy(block, used);
    } else {
      for (let at = 0; at < piece.length; at += MAX_CHUNK_BYTES) yield frame(piece.subarray(at, at + MAX_CHUNK_BYTES));
    }
  }
  // An empty chunk would be the end of the stream.
  if (used > 0) yield frame(block.subarray(0, used));
}

function frame(bytes: Buffer): readonly Buffer[] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(bytes.length);
  return [length, bytes];
}
