import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { closeServer, listenOn } from './loopback-listen.ts';

/**
 * Below the range from which the kernel takes the ports of outgoing connections (32768 and up by default): a port found
 * free there stays free until the server that was promised it has started.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_000;
const ATTEMPTS = 200;

const handedOut = new Set<string>();

/**
 * A port free for TCP and UDP on an address of 127.0.0.0/8, for a server in another process; never the same one twice
 * from this process.
 */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    const name = `${address}:${port}`;
    if (handedOut.has(name)) continue;
    if (!(await tcpIsFree(address, port)) || !(await udpIsFree(address, port))) continue;
    handedOut.add(name);
    return port;
  }
  throw new Error(`no free port on ${address} in ${ATTEMPTS} attempts`);
}

async function tcpIsFree(address: string, port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listenOn(server, address, port);
  } catch {
    return false;
  }
  await closeServer(server);
  return true;
}

function udpIsFree(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
