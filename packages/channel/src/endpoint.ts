import { isIP } from 'node:net';
import { checkServerIdentity, connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { ChannelError } from './channel-error.ts';
import { notePeer, type Peer, peerOf, timeProblem } from './peer.ts';
import type { SessionStore, StoredSession } from './session-store.ts';

/** What one end of a channel has: PEM text of the operator's CA, of its own certificate, and of that one's key. */
export interface Credentials {
  readonly caPem: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** TLS 1.3 only. P-256 and X25519 are what the certificates and every TLS library have. */
export const TLS_SETTINGS = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ecdhCurve: 'X25519:P-256' } as const;

/** A context for many connections: parsing keys costs more than a handshake's signature. */
export function secureContext(credentials: Credentials): SecureContext {
  return createSecureContext({
    ...TLS_SETTINGS,
    ca: credentials.caPem,
    cert: credentials.certPem,
    key: credentials.keyPem,
  });
}

/** Who must be at the other end: the role, and where it matters the site or the name in the certificate. */
export interface Expectation {
  readonly role: 'manager' | 'relay' | 'auth';
  readonly site?: string;
  readonly serverName?: string;
}

export interface ConnectInit {
  readonly host: string;
  readonly port: number;
  readonly context: SecureContext;
  readonly alpn: string;
  readonly expect: Expectation;
  /** For TCP and TLS together. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Where sessions to resume are found and put; of this context only. */
  readonly sessions?: SessionStore | undefined;
}

/** How TLS says that a certificate of the operator's is not the one that is needed here. */
const WRONG_CERTIFICATE: ReadonlySet<string | undefined> = new Set(['ERR_TLS_CERT_ALTNAME_INVALID', 'INVALID_PURPOSE']);

/**
 * Connects to a server of the mesh and checks that it is who it must be before a byte is sent: the operator's CA, the
 * role, the site, the name. DNS only finds, it never proves.
 * @throws ChannelError TIMEOUT, UNREACHABLE, ABORTED, TLS (not the operator's, or not TLS at all) or IDENTITY
 */
export function connectEndpoint(init: ConnectInit): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const { expect } = init;
  const stored = storedSession(init);
  let tcpConnected = false;
  const socket = connect({
    host: init.host,
    port: init.port,
    secureContext: init.context,
    ALPNProtocols: [init.alpn],
    ...(stored === undefined ? {} : { session: stored.session }),
    // A name only where the certificate has one; an address is no SNI (RFC 6066 3).
    ...(expect.serverName !== undefined && isIP(expect.serverName) === 0 ? { servername: expect.serverName } : {}),
    checkServerIdentity: (_host, certificate) =>
      expect.serverName === undefined ? undefined : checkServerIdentity(expect.serverName, certificate),
  });
  const fail = (error: ChannelError): void => {
    cleanUp();
    // Should it be the session that a server cannot bear, the next attempt does without.
    if (stored !== undefined && tcpConnected && error.code !== 'ABORTED') init.sessions?.delete(init);
    socket.on('error', () => {}); // whatever it still says is about a connection nobody waits for
    socket.destroy();
    reject(error);
  };
  const onAbort = (): void => fail(new ChannelError('ABORTED', 'no longer wanted'));
  const timer = setTimeout(
    () => fail(new ChannelError('TIMEOUT', `no ${tcpConnected ? 'TLS' : 'TCP'} answer within ${init.timeoutMs} ms`)),
    init.timeoutMs,
  );
  const onError = (error: NodeJS.ErrnoException): void => fail(failure(error, tcpConnected, expect));
  const onClose = (): void =>
    fail(new ChannelError(tcpConnected ? 'CLOSED' : 'UNREACHABLE', 'closed before the handshake was done'));
  const onSecure = (): void => {
    // Resumed: who has the key of that session is who was checked when it began, and Node checks no names again.
    const peer = socket.isSessionReused() ? stored?.peer : peerOf(socket);
    if (peer === undefined) return fail(new ChannelError('IDENTITY', 'the server showed no certificate'));
    const problem = mismatch(socket, peer, init);
    if (problem !== undefined) return fail(new ChannelError('IDENTITY', problem));
    cleanUp();
    notePeer(socket, peer);
    // Behind the handshake, and only after one in full.
    socket.on('session', (session) => init.sessions?.set(init, { session, peer }));
    // Between here and the caller's own listener an error must not end the process; 'close' follows.
    socket.on('error', () => {});
    socket.setNoDelay(true);
    resolve(socket);
  };
  const cleanUp = (): void => {
    clearTimeout(timer);
    init.signal?.removeEventListener('abort', onAbort);
    socket.off('error', onError).off('close', onClose).off('secureConnect', onSecure);
  };
  socket.once('connect', () => (tcpConnected = true));
  socket.on('error', onError).on('close', onClose).on('secureConnect', onSecure);
  if (init.signal?.aborted === true) onAbort();
  else init.signal?.addEventListener('abort', onAbort, { once: true });
  return promise;
}

function failure(error: NodeJS.ErrnoException, tcpConnected: boolean, expect: Expectation): ChannelError {
  if (!tcpConnected) return new ChannelError('UNREACHABLE', error.code ?? error.message);
  // A process that dies in a handshake is no impostor, who would have to show something.
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return new ChannelError('CLOSED', 'closed before the handshake was done');
  if (!WRONG_CERTIFICATE.has(error.code)) return new ChannelError('TLS', `handshake failed: ${error.code ?? error.message}`);
  const wanted = expect.serverName === undefined ? `a ${expect.role}'s` : `a ${expect.role}'s for ${expect.serverName}`;
  return new ChannelError('IDENTITY', `the certificate is not ${wanted}: ${error.code}`);
}

/** One of which its server's certificate would not be accepted any more is of no use either. */
function storedSession(init: ConnectInit): StoredSession | undefined {
  const stored = init.sessions?.get(init);
  return stored === undefined || timeProblem(stored.peer, Date.now()) !== undefined ? undefined : stored;
}

function mismatch(socket: TLSSocket, peer: Peer, { alpn, expect }: ConnectInit): string | undefined {
  return socket.alpnProtocol === alpn ? identityMismatch(peer, expect) : `the server does not speak ${alpn}`;
}

/** Says what is wrong with a verified peer, or undefined when it is the expected one. */
export function identityMismatch(peer: Peer, expect: Expectation): string | undefined {
  const { identity } = peer;
  if (!peer.verified) return `the certificate is not the operator's: ${peer.problem}`;
  if (identity?.kind !== 'server') return `the certificate is not a server's`;
  if (identity.role !== expect.role) return `the certificate is for the role ${identity.role}, not ${expect.role}`;
  if (expect.site !== undefined && identity.site !== expect.site)
    return `the certificate is of site ${identity.site}, not ${expect.site}`;
  return undefined;
}
