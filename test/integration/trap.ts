import { createServer, type Server } from 'node:net';
import { listenOn } from '../kit/loopback-listen.ts';
import { freePort } from '../kit/ports.ts';

/** A destination that must not be reached: it counts who came. */
export interface Trap {
  readonly server: Server;
  readonly port: number;
  connections: number;
}

export async function startTrap(address: string): Promise<Trap> {
  const server = createServer((socket) => {
    trap.connections += 1;
    socket.on('error', () => undefined);
    socket.end('220 you should not be here\r\n');
  });
  const trap: Trap = { server, port: await listenOn(server, address, await freePort(address)), connections: 0 };
  return trap;
}
