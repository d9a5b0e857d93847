import type { Server } from 'node:net';

/**
 * Starts to listen on an address of 127.0.0.0/8 (port 0 = a free one) and resolves with the port.
 * Rejects with the error of the listening socket, e.g. EADDRINUSE.
 */
export async function listenOn(server: Server, address: string, port: number, backlog = 511): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  server.once('error', reject);
  server.listen({ host: address, port, backlog }, () => resolve(undefined));
  await promise;
  server.off('error', reject);
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error(`no port bound on ${address}`);
  return bound.port;
}

/** Stops listening; resolves once the last connection is gone, so end or destroy those first. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    if (!server.listening) resolve();
    else server.close(() => resolve());
  });
}
