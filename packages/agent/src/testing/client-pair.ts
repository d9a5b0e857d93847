import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { listenOn } from '../../../../test/kit/loopback-listen.ts';
import { atEnd } from './world.ts';

/** A mail client's socket, and the agent's end of it: accepted and not read from. */
export async function clientPair(): Promise<[Socket, Socket]> {
  const listener = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const port = await listenOn(listener, '127.0.0.1', 0);
  const accepting = once(listener, 'connection') as Promise<[Socket]>;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [accepted] = await accepting;
  for (const socket of [client, accepted]) {
    socket.on('error', () => {});
    atEnd(() => socket.destroy());
  }
  atEnd(() => listener.close());
  return [client, accepted];
}
