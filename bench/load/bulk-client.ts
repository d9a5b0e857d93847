// The near end of bulk transfers (bulk-server.ts).
import { connect } from 'node:net';
import type { BulkTask } from './bulk.ts';
import { writeBytes } from './bulk-writer.ts';
import { serve } from './helper-process.ts';

/** All streams read into the same memory: nobody looks at the bytes. */
const scratch = Buffer.alloc(256 * 1024);

function move({ port, direction, bytes }: BulkTask): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let left = direction === 'up' ? 'taken\n'.length : bytes;
  const onRead = (count: number): boolean => {
    left -= count;
    if (left > 0) return true;
    resolve();
    socket.destroy();
    return true;
  };
  const socket = connect({ host: '127.0.0.1', port, noDelay: true, onread: { buffer: scratch, callback: onRead } });
  socket.once('connect', () => {
    socket.write(`${direction} ${bytes}\n`);
    if (direction === 'up') writeBytes(socket, bytes);
  });
  socket.once('error', reject);
  socket.once('close', () => reject(new Error(`the stream ended ${left} bytes too early`)));
  return promise;
}

serve(async (question) => {
  const task = question as BulkTask;
  const startMs = performance.now();
  await Promise.all(Array.from({ length: task.streams }, () => move(task)));
  return (performance.now() - startMs) / 1000;
});
