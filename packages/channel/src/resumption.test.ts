import { constants, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTls, createServer, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { connectEndpoint, type ConnectInit, secureContext } from './endpoint.ts';
import { Listener, type ListenerInit, type RejectReason } from './listener.ts';
import { type Peer, peerOf } from './peer.ts';
import { SessionKeys } from './session-keys.ts';
import { SessionStore } from './session-store.ts';
import { credentials, MAC, MANAGER_NAME, makeMesh, type Mesh } from './testing/mesh.ts';
import { atEnd } from './testing/pair.ts';
import { EARLY_DATA_TAG, inner, LIFETIME_TAG, SECRET, sessionParts, TICKET_TAG, withBytes } from './testing/tls-session.ts';
import { until } from './testing/wait.ts';

const ALPN = 'sekisho-control/1';

let mesh: Mesh;
let stranger: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
  stranger = await makeMesh();
});
afterEach(() => void vi.useRealTimers());

interface Port {
  readonly listener: Listener;
  readonly port: number;
  readonly connections: { socket: TLSSocket; peer: Peer }[];
  readonly rejects: RejectReason[];
}

async function open(init: Partial<ListenerInit> = {}): Promise<Port> {
  const connections: Port['connections'] = [];
  const rejects: RejectReason[] = [];
  const listener = new Listener(
    {
      host: '127.0.0.1',
      port: 0,
      credentials: credentials(mesh, mesh.site.manager),
      alpn: ALPN,
      handshakeTimeoutMs: 10_000,
      maxConnections: 100,
      maxPerAddress: 100,
      sessionKey: randomBytes(48),
      ...init,
    },
    {
      onConnection: (socket, peer) => {
        connections.push({ socket: socket.resume(), peer });
        socket.write('x');
      },
      onReject: (reason) => void rejects.push(reason),
      onError: (error) => {
        throw error;
      },
    },
  );
  const { port } = await listener.listen();
  atEnd(() => listener.close());
  return { listener, port, connections, rejects };
}

interface Visit {
  /** As the server saw it; undefined when it let nobody in. */
  readonly peer: Peer | undefined;
  readonly isResumed: boolean;
  readonly sessions: readonly Buffer[];
  readonly socket: TLSSocket;
}

/** One connection of whoever has this certificate, with the session if there is one. */
async function visit(to: Port, certificate: { certPem: string; keyPem: string } | undefined, options: ConnectionOptions = {}): Promise<Visit> {
  const before = to.connections.length;
  const socket = connectTls({
    host: '127.0.0.1',
    port: to.port,
    ca: mesh.caPem,
    cert: certificate?.certPem,
    key: certificate?.keyPem,
    ALPNProtocols: [ALPN],
    checkServerIdentity: () => undefined,
    ...options,
  });
  atEnd(() => socket.destroy());
  const sessions: Buffer[] = [];
  socket.on('session', (session) => sessions.push(session)).on('error', () => {});
  const isOver = new Promise<void>((resolve) => socket.once('data', () => resolve()).once('close', () => resolve()));
  await isOver;
  const isResumed = socket.isSessionReused();
  return { peer: to.connections[before]?.peer, isResumed, sessions, socket };
}

async function sessionAt(to: Port, certificate: { certPem: string; keyPem: string } | undefined = mesh.device): Promise<Buffer> {
  const { sessions } = await visit(to, certificate);
  const session = sessions.at(-1);
  if (session === undefined) throw new Error('no session was issued');
  return session;
}

describe('a device that comes back', () => {
  test('is the same device, with the certificate that tickets are bound to', async () => {
    const port = await open();
    const session = await sessionAt(port);
    const { isResumed, peer } = await visit(port, mesh.device, { session });
    expect(isResumed).toBe(true);
    expect(peer).toEqual(port.connections[0]!.peer);
    expect(peer).toMatchObject({ verified: true, identity: { kind: 'device', mac: MAC } });
    expect(port.connections[1]!.socket.isSessionReused()).toBe(true);
  });

  test('at another process with the same key, too', async () => {
    const sessionKey = randomBytes(48);
    const [first, second] = [await open({ sessionKey }), await open({ sessionKey })];
    expect(await visit(second, mesh.device, { session: await sessionAt(first) })).toMatchObject({ isResumed: true, peer: { verified: true } });
  });

  test('gets no new session: within five minutes of the full handshake it is over, whatever it does', async () => {
    const port = await open();
    const session = await sessionAt(port);
    for (let time = 0; time < 3; time += 1)
      expect(await visit(port, mesh.device, { session })).toMatchObject({ isResumed: true, sessions: [] });
    const lifetime = sessionParts(session).find(({ tag }) => tag === LIFETIME_TAG)!;
    const { start, end } = inner(session, lifetime);
    expect(session.readUIntBE(start, end - start)).toBe(300);
  });

  test('agrees on a fresh key though it would do without, and may send nothing early', async () => {
    const port = await open();
    const session = await sessionAt(port);
    const { isResumed, socket } = await visit(port, mesh.device, { session, secureOptions: constants.SSL_OP_ALLOW_NO_DHE_KEX });
    expect(isResumed).toBe(true);
    expect(socket.getEphemeralKeyInfo()).toMatchObject({ type: 'ECDH', name: 'X25519' });
    expect(sessionParts(session).some(({ tag }) => tag === EARLY_DATA_TAG)).toBe(false);
  });
});

describe('what a session does not do', () => {
  test.each([
    ['expired', (peer: Peer) => peer.expiresAtMs, 'CERT_HAS_EXPIRED'],
    ['not valid yet, by a clock that was set back', (peer: Peer) => peer.notBeforeMs - 1, 'CERT_NOT_YET_VALID'],
  ])('outlive the certificate: %s', async (_what, nowMs, problem) => {
    const port = await open();
    const session = await sessionAt(port);
    vi.useFakeTimers({ toFake: ['Date'], now: nowMs(port.connections[0]!.peer) });
    const late = await visit(port, mesh.device, { session });
    expect(late.isResumed).toBe(true);
    expect(late.peer).toMatchObject({ verified: false, problem, identity: { mac: MAC } });
    vi.setSystemTime(port.connections[0]!.peer.expiresAtMs - 1);
    expect((await visit(port, mesh.device, { session })).peer).toMatchObject({ verified: true });
  });

  test.each([
    ['expired', () => mesh.expiredDevice],
    ['self-signed', () => mesh.macOnlyDevice],
    ['of another operator', () => stranger.device],
  ])('make a certificate the operator’s: %s', async (_what, certificate) => {
    const port = await open();
    const session = await sessionAt(port, certificate());
    const again = await visit(port, certificate(), { session });
    expect(again.isResumed).toBe(true);
    expect(again.peer).toMatchObject({ verified: false, problem: port.connections[0]!.peer.problem });
    expect(again.peer?.problem).toBeTypeOf('string');
  });

  test('let in who showed no certificate', async () => {
    const port = await open();
    const first = await visit(port, undefined);
    const again = await visit(port, undefined, { session: first.sessions.at(-1) });
    expect([first.peer, again.peer]).toEqual([undefined, undefined]);
    expect(port.rejects).toEqual(['no_certificate', 'no_certificate']);
    // The connection is over before its session is on the way.
    expect(first.sessions).toEqual([]);
  });

  test('make one device another: it is the one that began it, whatever certificate the client has', async () => {
    const port = await open();
    const session = await sessionAt(port);
    const other = await visit(port, mesh.macOnlyDevice, { session });
    expect(other.isResumed).toBe(true);
    expect(other.peer).toEqual(port.connections[0]!.peer);
  });

  test('serve who has seen the ticket pass and does not know its secret', async () => {
    const port = await open();
    const session = await sessionAt(port);
    const secret = sessionParts(session)[SECRET]!;
    const guessed = withBytes(session, secret, randomBytes(secret.end - secret.start));
    const thief = await visit(port, mesh.macOnlyDevice, { session: guessed });
    expect(thief.peer).toBeUndefined();
    expect(port.rejects).toEqual(['handshake']);
  });

  test('survive a change of any byte of its ticket: the handshake is a full one', async () => {
    const port = await open();
    const session = await sessionAt(port);
    const ticket = inner(session, sessionParts(session).find(({ tag }) => tag === TICKET_TAG)!);
    const length = ticket.end - ticket.start;
    expect(length).toBeGreaterThan(500);
    for (const offset of [0, 15, 16, 31, 32, 33, 100, 300, length - 33, length - 32, length - 1]) {
      const changed = Buffer.from([session[ticket.start + offset]! ^ 1]);
      const { isResumed, peer } = await visit(port, mesh.device, { session: withBytes(session, ticket, changed, offset) });
      expect([offset, isResumed, peer?.verified]).toEqual([offset, false, true]);
    }
  });
});

describe('whose session it is', () => {
  test.each<[string, () => Partial<ListenerInit>]>([
    ['another key, as after a restart', () => ({ sessionKey: randomBytes(48) })],
    ['another role of the site', () => ({ credentials: credentials(mesh, mesh.site.relay) })],
    ['another site', () => ({ credentials: credentials(mesh, mesh.otherSite.manager) })],
    ['another CA', () => ({ credentials: { ...credentials(mesh, mesh.site.manager), caPem: `${mesh.caPem}${stranger.caPem}` } })],
  ])('%s: a full handshake', async (_what, change) => {
    const sessionKey = randomBytes(48);
    const first = await open({ sessionKey });
    const second = await open({ sessionKey, ...change() });
    const { isResumed, peer } = await visit(second, mesh.device, { session: await sessionAt(first) });
    expect([isResumed, peer?.verified]).toEqual([false, true]);
  });

  test('another protocol: a full handshake', async () => {
    const sessionKey = randomBytes(48);
    const first = await open({ sessionKey });
    const second = await open({ sessionKey, alpn: 'sekisho-data/1' });
    const session = await sessionAt(first);
    expect(await visit(second, mesh.device, { session, ALPNProtocols: ['sekisho-data/1'] })).toMatchObject({ isResumed: false });
    // And an old session does not carry the old protocol into the port.
    expect((await visit(second, mesh.device, { session })).peer).toBeUndefined();
  });

  test('when the key changes, sessions of the one before are over, and new ones begin', async () => {
    const port = await open();
    const session = await sessionAt(port);
    port.listener.changeSessionKey(randomBytes(48));
    const { isResumed, sessions } = await visit(port, mesh.device, { session });
    expect([isResumed, sessions.length > 0]).toEqual([false, true]);
    expect(await visit(port, mesh.device, { session: sessions.at(-1) })).toMatchObject({ isResumed: true });
  });

  test('the key is random and another one each hour, until it is closed', () => {
    vi.useFakeTimers();
    const changes: Buffer[] = [];
    const keys = new SessionKeys({ onChange: (key) => changes.push(key) });
    const seen = [keys.current];
    for (let hour = 0; hour < 3; hour += 1) {
      vi.advanceTimersByTime(3_600_000);
      seen.push(keys.current);
    }
    keys.close();
    vi.advanceTimersByTime(36_000_000);
    expect(changes).toEqual(seen.slice(1));
    expect(new Set(seen.map((key) => key.toString('hex'))).size).toBe(4);
    expect(seen.every(({ length }) => length === 48)).toBe(true);
  });
});

describe('connectEndpoint with a store', () => {
  function target(port: number, more: Partial<ConnectInit> = {}): ConnectInit {
    return {
      host: '127.0.0.1',
      port,
      context: secureContext(credentials(mesh, mesh.device)),
      alpn: ALPN,
      expect: { role: 'manager', serverName: MANAGER_NAME },
      timeoutMs: 10_000,
      sessions: new SessionStore(),
      ...more,
    };
  }

  /** Connects, waits for what follows the handshake, and leaves. */
  async function call(init: ConnectInit): Promise<{ isResumed: boolean; peer: Peer | undefined }> {
    const socket = await connectEndpoint(init);
    atEnd(() => socket.destroy());
    await once(socket.resume(), 'data');
    const met = { isResumed: socket.isSessionReused(), peer: peerOf(socket) };
    socket.destroy();
    return met;
  }

  test('resumes, and knows the server though Node does not show its certificate again', async () => {
    const { port } = await open();
    const init = target(port);
    const first = await call(init);
    expect(first).toMatchObject({ isResumed: false, peer: { verified: true, identity: { kind: 'server', site: 'tokyo-1', role: 'manager' } } });
    expect(await call(init)).toEqual({ isResumed: true, peer: first.peer });
    expect(await call(init)).toMatchObject({ isResumed: true });
    expect(await call({ ...init, sessions: undefined })).toMatchObject({ isResumed: false });
  });

  test('a server that has forgotten, or changed its key: a full handshake, and nobody notices', async () => {
    const before = await open();
    const init = target(before.port);
    await call(init);
    before.listener.changeSessionKey(randomBytes(48));
    expect(await call(init)).toMatchObject({ isResumed: false });
    expect(await call(init)).toMatchObject({ isResumed: true });
    before.listener.close();
    const { port } = await open({ port: before.port });
    expect(port).toBe(before.port);
    expect(await call(init)).toMatchObject({ isResumed: false });
    expect(await call(init)).toMatchObject({ isResumed: true });
  });

  test.each<[string, Partial<ConnectInit>]>([
    ['name', { expect: { role: 'manager', serverName: 'evil.example.com' } }],
    ['role', { expect: { role: 'relay', serverName: MANAGER_NAME } }],
    ['site', { expect: { role: 'manager', serverName: MANAGER_NAME, site: 'osaka-1' } }],
  ])('a server of another %s than is wanted now is not let through by an old session', async (_what, wanted) => {
    const { port, connections, rejects } = await open();
    const init = target(port);
    await call(init);
    await expect(connectEndpoint({ ...init, ...wanted })).rejects.toMatchObject({ code: 'IDENTITY' });
    await until(() => connections.length + rejects.length === 2);
    expect(connections.every(({ socket }) => !socket.isSessionReused())).toBe(true);
  });

  test('a session does not outlive the certificate of its server', async () => {
    const { port } = await open();
    const init = target(port);
    const { peer } = await call(init);
    vi.useFakeTimers({ toFake: ['Date'], now: peer!.expiresAtMs });
    await expect(connectEndpoint(init)).rejects.toMatchObject({ code: 'IDENTITY', message: expect.stringContaining('CERT_HAS_EXPIRED') });
  });

  test('an impostor at the same address gets no further than without a session, which is then forgotten', async () => {
    const real = await open();
    const init = target(real.port);
    await call(init);
    real.listener.close();
    const { certPem: cert, keyPem: key } = stranger.site.manager;
    const impostor = createServer({ cert, key, ALPNProtocols: [ALPN], ticketKeys: randomBytes(48) });
    impostor.on('tlsClientError', (_error, socket) => socket.destroy());
    impostor.listen(real.port, '127.0.0.1');
    await once(impostor, 'listening');
    expect((impostor.address() as AddressInfo).port).toBe(real.port);
    await expect(connectEndpoint(init)).rejects.toMatchObject({ code: 'TLS' });
    expect(init.sessions?.size).toBe(0);
    impostor.close();
    await once(impostor, 'close');
    await open({ port: real.port });
    expect(await call(init)).toMatchObject({ isResumed: false });
  });

  test('a session that the server breaks off at is not tried twice', async () => {
    const { port, connections } = await open();
    const init = target(port);
    await call(init);
    const stored = init.sessions!.get(init)!;
    const secret = sessionParts(stored.session)[SECRET]!;
    init.sessions!.set(init, { ...stored, session: withBytes(stored.session, secret, randomBytes(secret.end - secret.start)) });
    await expect(connectEndpoint(init)).rejects.toMatchObject({ code: 'TLS' });
    expect(await call(init)).toMatchObject({ isResumed: false });
    await until(() => connections.length === 2);
  });

  test('a connection that was called off, and one that found nobody, cost no session', async () => {
    const first = await open();
    const init = target(first.port);
    await call(init);
    await expect(connectEndpoint({ ...init, signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(init.sessions?.size).toBe(1);
    first.listener.close();
    await expect(connectEndpoint(init)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(init.sessions?.size).toBe(1);
  });
});

test('a session is found by the address, the protocol and everything that its server was checked for', () => {
  const store = new SessionStore();
  const target = { host: '192.0.2.1', port: 7025, alpn: ALPN, expect: { role: 'relay', site: 'tokyo-1', serverName: MANAGER_NAME } } as const;
  store.set(target, { session: Buffer.alloc(1), peer: {} as Peer });
  expect(store.get({ ...target, expect: { ...target.expect } })).toBeDefined();
  for (const other of [
    { ...target, host: '192.0.2.2' },
    { ...target, port: 7026 },
    { ...target, alpn: 'sekisho-data/1' },
    { ...target, expect: { ...target.expect, role: 'manager' } as const },
    { ...target, expect: { ...target.expect, site: 'osaka-1' } },
    { ...target, expect: { ...target.expect, serverName: 'evil.example.com' } },
    { ...target, expect: { role: 'relay', site: 'tokyo-1' } as const },
    { ...target, expect: { role: 'relay', serverName: MANAGER_NAME } as const },
  ])
    expect(store.get(other), JSON.stringify(other)).toBeUndefined();
});

test('a store keeps the sessions of the 64 servers met last, and none of a size that none has', () => {
  const store = new SessionStore();
  const expectation = { role: 'relay' } as const;
  const at = (port: number) => ({ host: '192.0.2.1', port, alpn: ALPN, expect: expectation });
  const peer = { expiresAtMs: 0 } as Peer;
  for (let port = 1; port <= 64; port += 1) store.set(at(port), { session: Buffer.alloc(1), peer });
  store.set(at(1), { session: Buffer.alloc(2), peer });
  store.set(at(65), { session: Buffer.alloc(1), peer });
  expect([store.size, store.get(at(1))?.session.length, store.get(at(2)), store.get(at(65))?.session.length]).toEqual([64, 2, undefined, 1]);
  store.set(at(66), { session: Buffer.alloc(16_385), peer });
  expect(store.get(at(66))).toBeUndefined();
  store.delete(at(1));
  expect(store.get(at(1))).toBeUndefined();
});
