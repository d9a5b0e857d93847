import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach } from 'vitest';
import { connectEndpoint, secureContext } from '../endpoint.ts';
import { Listener } from '../listener.ts';
import { credentials, type Mesh } from './mesh.ts';

const ALPN = 'sekisho-test/1';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

/** Runs when the test is over, the last one first. */
export function atEnd(cleanUp: () => unknown): void {
  cleanUps.push(cleanUp);
}

/** Both ends of one TLS connection: a device's and a relay's. */
export interface Pair {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
}

/**
 * Connects a device to a relay, with the channel's own listener and connectEndpoint.
 * @param through puts something before the relay's port and says where that listens
 */
export async function tlsPair(
  mesh: Mesh,
  through: (port: number) => Promise<number> = (port) => Promise.resolve(port),
): Promise<Pair> {
  const accepted = Promise.withResolvers<TLSSocket>();
  const listener = new Listener(
    {
      host: '127.0.0.1',
      port: 0,
      credentials: credentials(mesh, mesh.site.relay),
      alpn: ALPN,
      handshakeTimeoutMs: 10_000,
      maxConnections: 10,
      maxPerAddress: 10,
    },
    { onConnection: (socket) => accepted.resolve(socket), onReject: (reason) => accepted.reject(new Error(reason)), onError: accepted.reject },
  );
  const { port } = await listener.listen();
  atEnd(() => listener.close());
  const client = await connectEndpoint({
    host: '127.0.0.1',
    port: await through(port),
    context: secureContext(credentials(mesh, mesh.device)),
    alpn: ALPN,
    expect: { role: 'relay', site: 'tokyo-1' },
    timeoutMs: 10_000,
  });
  atEnd(() => client.destroy());
  return { client, server: await accepted.promise };
}

/** A port where each connection is handed to `onConnection` as plain TCP; closed when the test is over. */
export async function tcpServer(onConnection: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(onConnection);
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    atEnd(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  return (server.address() as AddressInfo).port;
}
