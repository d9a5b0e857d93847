// Clients that connect, hear a greeting, and then keep still.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { serve } from './helper-process.ts';

/** Opens so many more; 0 closes all. */
export interface IdleTask {
  readonly port: number;
  readonly count: number;
}

const AT_ONCE = 50;

const open: Socket[] = [];

async function connectOne(port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  open.push(socket);
  await once(socket, 'data');
  for (const over of ['end', 'error']) socket.on(over, (error?: Error) => console.error(`an idle session was ended: ${String(error)}`));
}

serve(async (question) => {
  const { port, count } = question as IdleTask;
  if (count === 0) for (const socket of open.splice(0)) socket.destroy();
  for (let opened = 0; opened < count; opened += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - opened) }, () => connectOne(port)));
});
