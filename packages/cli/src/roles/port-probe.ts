import { X509Certificate } from 'node:crypto';
import type { TcpNetConnectOpts } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { SELF_CHECK_ALPN } from '@sekisho/channel';

/** So long may a loop be late, and everything before it in the kernel. Managers give up on a relay after 3 s. */
const PROBE_TIMEOUT_MS = 4000;

export interface ProbeInit {
  /** For the words of a failure. */
  readonly what: string;
  readonly host: string;
  readonly port: number;
  /** What must be shown there. */
  readonly certPem: string;
}

/**
 * Connects through the kernel to a TLS port of this very process or of its workers. Resolves when our own certificate has
 * answered there and the connection is closed, or is closed at once, as by a port that is full: both take a loop that
 * turns, a backlog alone does neither. Rejects with words.
 */
export function probePort({ what, host, port, certPem }: ProbeInit): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const own = new X509Certificate(certPem).fingerprint256;
  // From the address to which it goes, by which the listener knows that this is no stranger.
  const way: TcpNetConnectOpts = { host, port, localAddress: host };
  const socket: TLSSocket = connect({ ...way, ALPNProtocols: [SELF_CHECK_ALPN], rejectUnauthorized: false, minVersion: 'TLSv1.3' });
  let accepted = false;
  const fail = (reason: string): void => reject(new Error(`${what} ${host}:${port} ${reason}`));
  const timer = setTimeout(() => fail(`does not answer within ${PROBE_TIMEOUT_MS} ms`), PROBE_TIMEOUT_MS);
  socket.once('connect', () => (accepted = true));
  // Ours is closed from the other end, once that has done its part of the handshake.
  socket.once('secureConnect', () => {
    if (!isOwn(socket, own)) fail('shows the certificate of somebody else');
  });
  socket.once('error', (error: NodeJS.ErrnoException) => (accepted ? resolve() : fail(`cannot be reached: ${error.code ?? error.message}`)));
  socket.once('close', () => resolve());
  return promise.finally(() => {
    clearTimeout(timer);
    socket.on('error', () => {});
    socket.destroy();
  });
}

function isOwn(socket: TLSSocket, fingerprint: string): boolean {
  return socket.getPeerX509Certificate()?.fingerprint256 === fingerprint;
}
