import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { resetSocket } from './reset-socket.ts';
import { atEnd } from './testing/pair.ts';

async function pair(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const near = connect({ host: '127.0.0.1', port: address.port, allowHalfOpen: true });
  const [far] = await accepted;
  for (const socket of [near, far]) socket.on('error', () => {});
  atEnd(() => {
    near.destroy();
    far.destroy();
    server.close();
  });
  if (near.connecting) await once(near, 'connect');
  return { near, far };
}

const openSockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

test.each<[string, (socket: Socket) => unknown]>([
  ['as it is', () => {}],
  ['with bytes on their way', (socket) => socket.write(Buffer.alloc(8 * 1024 * 1024))],
  ['right after its end', (socket) => socket.end()],
  ['right after its last words and its end', (socket) => socket.end('221 bye\r\n')],
  ['with bytes on their way and its end behind them', (socket) => socket.end(Buffer.alloc(8 * 1024 * 1024))],
  ['a tick after its end', (socket) => new Promise<void>((resolve) => void socket.end(() => process.nextTick(resolve)))],
  ['a turn after its end', (socket) => turn(socket.end())],
])('a socket is reset and closed: %s', async (_name, before) => {
  const { near, far } = await pair();
  far.resume();
  const open = openSockets();
  await before(near);
  const closed = once(near, 'close');
  resetSocket(near);
  await closed;
  // 'close' is told after the descriptor is gone; the far end's goes with its error.
  if (!far.destroyed) {
    far.write('anybody?');
    await expect.poll(() => far.destroyed).toBe(true);
  }
  expect(far.errored).toMatchObject({ code: expect.stringMatching(/^(ECONNRESET|EPIPE)$/u) as string });
  await expect.poll(openSockets).toBe(open - 2);
});

test('a socket that is gone already stays so', async () => {
  const { near } = await pair();
  near.destroy();
  resetSocket(near);
  await once(near, 'close');
  resetSocket(near);
  expect(near.destroyed).toBe(true);
});
