import { randomFillSync } from 'node:crypto';
import { SESSION_ID_BYTES } from '@sekisho/wire';

/** Drawn at once: asking OpenSSL for each session was a fiftieth of what a short one costs. */
const IDS_DRAWN = 256;

let drawn = Buffer.alloc(0);

/** A new session's id: random bytes that nobody can guess and nobody else has. */
export function newSessionId(): Buffer {
  // A block of its own each time: the ids of running sessions are views of the old ones.
  if (drawn.length === 0) drawn = randomFillSync(Buffer.allocUnsafeSlow(IDS_DRAWN * SESSION_ID_BYTES));
  const id = drawn.subarray(0, SESSION_ID_BYTES);
  drawn = drawn.subarray(SESSION_ID_BYTES);
  return id;
}
