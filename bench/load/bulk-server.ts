// The far end of bulk transfers. A connection begins with a line, `up BYTES` or `down BYTES`: that many bytes are taken and
// then answered with a line, or given.
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { writeBytes } from './bulk-writer.ts';
import { serve } from './helper-process.ts';

const BACKLOG = 1024;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy());
  let head = '';
  const onHead = (chunk: Buffer): void => {
    head += chunk.toString('latin1');
    const end = head.indexOf('\n');
    if (end < 0) return;
    socket.off('data', onHead);
    const [direction, bytes] = head.slice(0, end).split(' ');
    if (direction === 'down') writeBytes(socket, Number(bytes));
    else take(socket, Number(bytes) - (head.length - end - 1));
  };
  socket.on('data', onHead);
});

function take(socket: Socket, bytes: number): void {
  let left = bytes;
  const count = (taken: number): void => {
    left -= taken;
    if (left <= 0) socket.write('taken\n');
  };
  socket.on('data', (chunk: Buffer | string) => count(chunk.length));
  count(0);
}

serve(async (question) => {
  const port = question as number;
  server.listen({ host: '127.0.0.1', port, backlog: BACKLOG });
  await once(server, 'listening');
});
