import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer, type TLSSocket } from 'node:tls';
import type { AddressInfo, Socket } from 'node:net';
import { beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../../test/kit/ports.ts';
import { startBlackHole } from '../../../test/kit/silent-server.ts';
import { connectEndpoint, type ConnectInit, identityMismatch, secureContext, TLS_SETTINGS } from './endpoint.ts';
import { credentials, MANAGER_NAME, makeMesh, type Mesh } from './testing/mesh.ts';
import { atEnd, tcpServer } from './testing/pair.ts';
import { until } from './testing/wait.ts';

const ALPN = 'sekisho-control/1';

let mesh: Mesh;
let stranger: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
  stranger = await makeMesh();
});

interface Server {
  readonly port: number;
  /** Plaintext that arrived within TLS. */
  readonly heard: () => number;
  readonly sockets: TLSSocket[];
  readonly tcpSockets: Socket[];
}

/** A server that takes what it gets, as an attacker's would. */
async function tlsServer(
  { certPem: cert, keyPem: key }: { certPem: string; keyPem: string },
  options: { alpn?: string[]; maxVersion?: 'TLSv1.2' | 'TLSv1.3' } = {},
): Promise<Server> {
  const sockets: TLSSocket[] = [];
  const tcpSockets: Socket[] = [];
  let bytes = 0;
  const server = createServer({
    cert,
    key,
    ca: mesh.caPem,
    requestCert: true,
    rejectUnauthorized: false,
    maxVersion: options.maxVersion ?? 'TLSv1.3',
    ALPNProtocols: options.alpn ?? [ALPN],
  });
  server.on('connection', (socket: Socket) => void tcpSockets.push(socket));
  server.on('secureConnection', (socket) => {
    sockets.push(socket);
    socket.on('error', () => {}).on('data', (chunk: Buffer) => (bytes += chunk.length));
    atEnd(() => socket.destroy());
  });
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => server.close());
  return { port: (server.address() as AddressInfo).port, heard: () => bytes, sockets, tcpSockets };
}

function init(port: number, more: Partial<ConnectInit> = {}): ConnectInit {
  return {
    host: '127.0.0.1',
    port,
    context: secureContext(credentials(mesh, mesh.device)),
    alpn: ALPN,
    expect: { role: 'manager', serverName: MANAGER_NAME },
    timeoutMs: 10_000,
    ...more,
  };
}

/** Connects, and would send mail at once; the error instead. */
async function failure(wanted: ConnectInit): Promise<{ code: string; message: string }> {
  try {
    const socket = await connectEndpoint(wanted);
    socket.write('MAIL FROM:<secret@example.com>\r\n');
    atEnd(() => socket.destroy());
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error('connected');
}

describe('the right server', () => {
  test('a manager with its name, and the name in SNI', async () => {
    const { port, sockets } = await tlsServer(mesh.site.manager);
    const socket = await connectEndpoint(init(port));
    atEnd(() => socket.destroy());
    await until(() => sockets.length === 1);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    // Node's types do not know it; a server is told the name by it.
    expect((sockets[0] as unknown as { servername: unknown }).servername).toBe(MANAGER_NAME);
    expect(sockets[0]!.authorized).toBe(true);
  });

  test('a relay of the right site, without SNI', async () => {
    const { port, sockets } = await tlsServer(mesh.site.relay);
    const socket = await connectEndpoint(init(port, { expect: { role: 'relay', site: 'tokyo-1' } }));
    atEnd(() => socket.destroy());
    await until(() => sockets.length === 1);
    expect((sockets[0] as unknown as { servername: unknown }).servername).toBe(false);
  });

  test('its time-out ends with the handshake', async () => {
    const { port } = await tlsServer(mesh.site.manager);
    const socket = await connectEndpoint(init(port, { timeoutMs: 500 }));
    atEnd(() => socket.destroy());
    await sleep(700);
    expect(socket.destroyed).toBe(false);
  });

  test('a reset between the handshake and the first listener of the caller does not end the process', async () => {
    const { port, sockets, tcpSockets } = await tlsServer(mesh.site.manager);
    const socket = await connectEndpoint(init(port));
    await until(() => sockets.length === 1);
    tcpSockets[0]!.resetAndDestroy();
    await until(() => socket.destroyed);
    expect(socket.errored).toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('another one hears nothing', () => {
  test.each([
    ['another role', () => mesh.site.auth, { role: 'relay' }, /for the role auth, not relay/u],
    ['another site', () => mesh.otherSite.relay, { role: 'relay', site: 'tokyo-1' }, /of site osaka-1, not tokyo-1/u],
    ['without the name', () => mesh.site.relay, { role: 'relay', serverName: MANAGER_NAME }, /not a relay's for manager\.example\.com/u],
    ['with another name', () => mesh.site.manager, { role: 'manager', serverName: 'evil.example.com' }, /not a manager's for evil/u],
    ['the certificate of a device that nobody signed', () => mesh.macOnlyDevice, { role: 'relay' }, /INVALID_PURPOSE/u],
    ['the certificate of a device', () => mesh.device, { role: 'relay' }, /not a relay's: INVALID_PURPOSE/u],
  ] as const)('%s: IDENTITY', async (_what, certificate, expected, message) => {
    const { port, heard } = await tlsServer(certificate());
    const error = await failure(init(port, { expect: expected }));
    expect(error).toMatchObject({ name: 'ChannelError', code: 'IDENTITY', message: expect.stringMatching(message) });
    expect(heard()).toBe(0);
  });

  test('another ALPN name, or none: refused', async () => {
    const none = await tlsServer(mesh.site.manager, { alpn: [] });
    expect(await failure(init(none.port))).toMatchObject({ code: 'IDENTITY', message: 'the server does not speak sekisho-control/1' });
    const other = await tlsServer(mesh.site.manager, { alpn: ['h2'] });
    expect(await failure(init(other.port))).toMatchObject({ code: 'TLS' });
    expect(none.heard() + other.heard()).toBe(0);
  });

  test.each([
    ['of another CA with the same names', () => stranger.site.manager],
    ['expired', () => mesh.expiredSite.manager],
  ])('%s: TLS', async (_what, certificate) => {
    const { port, heard } = await tlsServer(certificate());
    expect(await failure(init(port))).toMatchObject({ code: 'TLS', message: expect.stringContaining('handshake failed: ') });
    expect(heard()).toBe(0);
  });

  test('TLS 1.2: TLS', async () => {
    expect(TLS_SETTINGS).toMatchObject({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
    const { port, heard } = await tlsServer(mesh.site.manager, { maxVersion: 'TLSv1.2' });
    expect(await failure(init(port))).toMatchObject({ code: 'TLS' });
    expect(heard()).toBe(0);
  });

  test('no TLS at all: TLS', async () => {
    const port = await tcpServer((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
    expect(await failure(init(port))).toMatchObject({ code: 'TLS' });
  });

  test('one that closes after the TCP handshake: CLOSED, as by a process that dies, which is no impostor', async () => {
    const ended = await tcpServer((socket) => socket.end());
    expect(await failure(init(ended))).toMatchObject({ code: 'CLOSED' });
    const reset = await tcpServer((socket) => void socket.once('data', () => socket.resetAndDestroy()));
    expect(await failure(init(reset))).toMatchObject({ code: 'CLOSED' });
  });
});

/** Says nothing, and notes who has said hello and who has left. */
async function silentServer(): Promise<{ port: number; greeted: () => number; left: () => number }> {
  let greeted = 0;
  let left = 0;
  const port = await tcpServer((socket) => {
    socket.once('data', () => (greeted += 1));
    socket.once('close', () => (left += 1));
  });
  return { port, greeted: () => greeted, left: () => left };
}

describe('no answer', () => {
  test('nobody listens: UNREACHABLE', async () => {
    const port = await freePort('127.0.0.1');
    expect(await failure(init(port))).toMatchObject({ code: 'UNREACHABLE', message: 'ECONNREFUSED' });
  });

  test('a server that accepts and is silent: TIMEOUT, and the connection is closed', async () => {
    const { port, left } = await silentServer();
    const error = await failure(init(port, { timeoutMs: 200 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', message: 'no TLS answer within 200 ms' });
    await until(() => left() === 1);
  });

  test('a machine that is gone: TIMEOUT', async () => {
    const hole = await startBlackHole();
    atEnd(() => hole.stop());
    const error = await failure(init(hole.port, { timeoutMs: 200 }));
    expect(error).toMatchObject({ code: 'TIMEOUT', message: 'no TCP answer within 200 ms' });
  });

  test('no longer wanted: ABORTED, before and during', async () => {
    const { port, greeted, left } = await silentServer();
    expect(await failure(init(port, { signal: AbortSignal.abort() }))).toMatchObject({ code: 'ABORTED' });
    const controller = new AbortController();
    const waiting = failure(init(port, { signal: controller.signal }));
    await until(() => greeted() === 1);
    controller.abort();
    expect(await waiting).toMatchObject({ code: 'ABORTED' });
    await until(() => left() === 1);
  });

  test('an abort after it is connected is not ours any more', async () => {
    const { port } = await tlsServer(mesh.site.manager);
    const controller = new AbortController();
    const socket = await connectEndpoint(init(port, { signal: controller.signal }));
    atEnd(() => socket.destroy());
    controller.abort();
    expect(socket.destroyed).toBe(false);
  });
});

test('whose certificate is not the operator’s is nobody, whatever stands in it', () => {
  const identity = { kind: 'server', site: 'tokyo-1', role: 'manager' } as const;
  const proved = { verified: true, problem: undefined, identity, fingerprint: Buffer.alloc(32), certificate: Buffer.alloc(1), serial: '01', notBeforeMs: 0, expiresAtMs: 0 };
  const expected = { role: 'manager', site: 'tokyo-1' } as const;
  expect(identityMismatch(proved, expected)).toBeUndefined();
  expect(identityMismatch({ ...proved, verified: false, problem: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, expected)).toMatch(/not the operator's: DEPTH_ZERO/u);
  expect(identityMismatch({ ...proved, identity: undefined }, expected)).toMatch(/not a server's/u);
});
