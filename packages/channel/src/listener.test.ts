import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, test } from 'vitest';
import { Listener, type ListenerInit, type RejectReason } from './listener.ts';
import type { Peer } from './peer.ts';
import { credentials, MAC, makeMesh, type Mesh } from './testing/mesh.ts';
import { atEnd } from './testing/pair.ts';
import { until } from './testing/wait.ts';

const ALPN = 'sekisho-control/1';

let mesh: Mesh;
let stranger: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
  stranger = await makeMesh();
});

interface Port {
  readonly listener: Listener;
  readonly port: number;
  readonly connections: { socket: TLSSocket; peer: Peer }[];
  readonly rejects: { reason: RejectReason; address: string }[];
}

async function open(init: Partial<ListenerInit> = {}): Promise<Port> {
  const connections: Port['connections'] = [];
  const rejects: Port['rejects'] = [];
  const listener = new Listener(
    {
      host: '127.0.0.1',
      port: 0,
      credentials: credentials(mesh, mesh.site.manager),
      alpn: ALPN,
      handshakeTimeoutMs: 10_000,
      maxConnections: 10,
      maxPerAddress: 10,
      ...init,
    },
    {
      onConnection: (socket, peer) => void connections.push({ socket: socket.resume(), peer }),
      onReject: (reason, address) => void rejects.push({ reason, address }),
      onError: (error) => {
        throw error;
      },
    },
  );
  const { port } = await listener.listen();
  atEnd(() => listener.close());
  return { listener, port, connections, rejects };
}

function device(port: number, options: ConnectionOptions = {}): TLSSocket {
  const { certPem: cert, keyPem: key } = mesh.device;
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    ca: mesh.caPem,
    cert,
    key,
    ALPNProtocols: [ALPN],
    checkServerIdentity: () => undefined,
    ...options,
  });
  socket.on('error', () => {}).resume();
  atEnd(() => socket.destroy());
  return socket;
}

function tcp(port: number, localAddress?: string): Socket {
  const socket = connectTcp({ host: '127.0.0.1', port, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on('error', () => {}).resume();
  atEnd(() => socket.destroy());
  return socket;
}

// Not once(): it rejects with the error of a socket that ends by one.
const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));

describe('who is let in', () => {
  test('a device is handed over with what its certificate says, over TLS 1.3', async () => {
    const { port, connections, rejects } = await open();
    const socket = device(port);
    await once(socket, 'secureConnect');
    await until(() => connections.length === 1);
    expect(socket.getProtocol()).toBe('TLSv1.3');
    expect(connections[0]!.peer).toMatchObject({
      verified: true,
      problem: undefined,
      identity: { kind: 'device', mac: MAC, rights: ['smtp', 'pop3', 'imap'] },
      serial: mesh.device.serial,
      expiresAtMs: mesh.device.expiresAt.getTime(),
    });
    expect(rejects).toEqual([]);
  });

  test('a device that is known is read from what is remembered, and is itself; another one with its names is not', async () => {
    const { port, connections } = await open();
    for (const { certPem: cert, keyPem: key } of [mesh.device, mesh.renewedDevice, mesh.device, stranger.device]) {
      const before = connections.length;
      device(port, { cert, key });
      await until(() => connections.length > before);
    }
    const [first, second, again, other] = connections.map(({ peer }) => peer);
    expect(again).toEqual(first);
    // What is remembered is one and the same, certificate and all.
    expect(again!.certificate).toBe(first!.certificate);
    expect([first!.serial, second!.serial]).toEqual([mesh.device.serial, mesh.renewedDevice.serial]);
    expect(first!.fingerprint.equals(second!.fingerprint)).toBe(false);
    expect(other).toMatchObject({ verified: false, identity: { mac: MAC } });
  });

  test('an expired, a self-signed and a foreign certificate are handed over unverified, with the reason', async () => {
    const { port, connections } = await open();
    for (const { certPem: cert, keyPem: key } of [mesh.expiredDevice, mesh.macOnlyDevice, stranger.device]) {
      const before = connections.length;
      device(port, { cert, key });
      await until(() => connections.length > before);
    }
    expect(connections.map(({ peer }) => [peer.verified, peer.problem])).toEqual([
      [false, 'CERT_HAS_EXPIRED'],
      [false, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
      [false, expect.stringMatching(/^UNABLE_TO_/u)],
    ]);
  });

  test('a session is not resumed: each connection proves its key, and its expiry is looked at', async () => {
    const { port, connections } = await open();
    const first = device(port);
    let session: Buffer | undefined;
    first.on('session', (ticket) => (session = ticket));
    await until(() => connections.length === 1);
    // Bytes of the server follow its tickets.
    connections[0]!.socket.write('x');
    await once(first, 'data');
    const second = device(port, session === undefined ? {} : { session });
    await until(() => connections.length === 2);
    expect(second.isSessionReused()).toBe(false);
    expect(connections[1]!.socket.isSessionReused()).toBe(false);
    expect(connections[1]!.peer).toMatchObject({ verified: true, identity: { kind: 'device', mac: MAC } });
  });
});

describe('who is not', () => {
  test.each([
    ['TLS 1.2', { maxVersion: 'TLSv1.2' }, 'handshake'],
    ['another ALPN name', { ALPNProtocols: ['h2'] }, 'handshake'],
    ['no ALPN name', { ALPNProtocols: [] }, 'alpn'],
    ['no certificate', { cert: undefined, key: undefined }, 'no_certificate'],
  ] as [string, ConnectionOptions, RejectReason][])('%s is closed and counted once', async (_what, options, reason) => {
    const { listener, port, connections, rejects } = await open();
    await closed(device(port, options));
    await until(() => listener.connections === 0);
    expect(rejects).toEqual([{ reason, address: '127.0.0.1' }]);
    expect(connections).toEqual([]);
  });

  test.each([
    ['GET', 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n'],
    ['CONNECT', 'CONNECT mail.example.com:25 HTTP/1.1\r\n\r\n'],
    ['POST', 'POST / HTTP/1.0\r\nContent-Length: 6\r\n\r\nEHLO x\r\n'],
    ['SMTP', 'EHLO client.example.com\r\n'],
    ['SSLv2', Buffer.concat([Buffer.from('802e01000200150000001001008002', 'hex'), Buffer.alloc(100)])],
    ['zeros', Buffer.alloc(4096)],
    ['a record too long', Buffer.concat([Buffer.from('160303ffff', 'hex'), Buffer.alloc(70_000, 1)])],
    ['text', 'hello\n'.repeat(1000)],
  ])('%s is closed without a word of ours and counted once', async (_what, bytes) => {
    const { listener, port, rejects } = await open();
    const socket = tcp(port);
    let answer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (answer = Buffer.concat([answer, chunk])));
    socket.write(bytes);
    await closed(socket);
    await until(() => listener.connections === 0);
    expect(rejects).toEqual([{ reason: 'handshake', address: '127.0.0.1' }]);
    // At most a TLS alert: type 21, 7 bytes.
    expect(answer.length === 0 || (answer[0] === 21 && answer.length === 7)).toBe(true);
  });

  test('one that leaves or resets during the handshake is counted once, with its address', async () => {
    const { listener, port, rejects } = await open();
    for (const leave of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const before = rejects.length;
      const socket = tcp(port);
      socket.write(Buffer.from('1603010200', 'hex'));
      await until(() => listener.connections === 1);
      leave(socket);
      await until(() => listener.connections === 0);
      expect(rejects.slice(before)).toEqual([{ reason: 'handshake', address: '127.0.0.1' }]);
    }
  });
});

describe('handshake deadline', () => {
  test('a silent connection is closed', async () => {
    const { listener, port, rejects } = await open({ handshakeTimeoutMs: 300 });
    await closed(tcp(port));
    await until(() => listener.connections === 0);
    expect(rejects).toEqual([{ reason: 'timeout', address: '127.0.0.1' }]);
  });

  test('one byte after the other does not put it off', async () => {
    const { port, rejects } = await open({ handshakeTimeoutMs: 500 });
    const socket = tcp(port);
    // A ClientHello that never ends.
    const hello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500)]);
    let sent = 0;
    const drip = setInterval(() => socket.write(hello.subarray(sent, ++sent)), 50);
    atEnd(() => clearInterval(drip));
    await closed(socket);
    clearInterval(drip);
    expect(rejects).toEqual([{ reason: 'timeout', address: '127.0.0.1' }]);
    expect(sent).toBeLessThan(hello.length / 2);
  });

  test('it ends with the handshake: a connection that then is idle stays', async () => {
    const { listener, port, connections } = await open({ handshakeTimeoutMs: 200 });
    device(port);
    await until(() => connections.length === 1);
    await sleep(500);
    expect(listener.connections).toBe(1);
  });
});

describe('caps', () => {
  test('maxConnections counts handshakes, refuses at once, and is released on close', async () => {
    const { listener, port, connections, rejects } = await open({ maxConnections: 2 });
    const silent = tcp(port);
    await until(() => listener.connections === 1);
    device(port);
    await until(() => connections.length === 1);
    await closed(device(port));
    expect(rejects).toEqual([{ reason: 'full', address: '127.0.0.1' }]);
    expect(listener.connections).toBe(2);
    silent.destroy();
    await until(() => listener.connections === 1);
    device(port);
    await until(() => connections.length === 2);
    for (const { socket } of connections) socket.destroy();
    await until(() => listener.connections === 0);
    expect(rejects).toEqual([
      { reason: 'full', address: '127.0.0.1' },
      { reason: 'handshake', address: '127.0.0.1' },
    ]);
  });

  test('maxPerAddress is for one address only, and is released on close', async () => {
    const { listener, port, rejects } = await open({ maxPerAddress: 1 });
    const first = tcp(port, '127.0.0.1');
    await until(() => listener.connections === 1);
    await closed(tcp(port, '127.0.0.1'));
    expect(rejects).toEqual([{ reason: 'address_full', address: '127.0.0.1' }]);
    const second = tcp(port, '127.0.0.2');
    await until(() => listener.connections === 2);
    first.destroy();
    await until(() => listener.connections === 1);
    tcp(port, '127.0.0.1');
    await until(() => listener.connections === 2);
    second.destroy();
  });

  test('a trusted address has places of its own, which strangers cannot take and it cannot exceed', async () => {
    const { listener, port, rejects } = await open({ maxConnections: 3, maxPerAddress: 2, trustedAddresses: ['127.0.0.9'] });
    for (const address of ['127.0.0.1', '127.0.0.1', '127.0.0.2']) tcp(port, address);
    await until(() => listener.connections === 3);
    await closed(tcp(port, '127.0.0.3'));
    const trusted = [tcp(port, '127.0.0.9'), tcp(port, '127.0.0.9')];
    await until(() => listener.connections === 5);
    await closed(tcp(port, '127.0.0.9'));
    expect(rejects).toEqual([
      { reason: 'full', address: '127.0.0.3' },
      { reason: 'address_full', address: '127.0.0.9' },
    ]);
    for (const socket of trusted) socket.destroy();
    await until(() => listener.connections === 3);
    // What a trusted address gave back is its own, not a stranger's.
    await closed(tcp(port, '127.0.0.3'));
    expect(rejects.at(-1)).toEqual({ reason: 'full', address: '127.0.0.3' });
    tcp(port, '127.0.0.9');
    await until(() => listener.connections === 4);
  });

  test('a connection of a trusted address takes no stranger’s place', async () => {
    const { listener, port, rejects } = await open({ maxConnections: 1, maxPerAddress: 2, trustedAddresses: ['127.0.0.9'] });
    tcp(port, '127.0.0.9');
    tcp(port, '127.0.0.9');
    await until(() => listener.connections === 2);
    tcp(port, '127.0.0.1');
    await until(() => listener.connections === 3);
    expect(rejects).toEqual([]);
  });

  test('a connection that is discounted takes no place any more, and gives none back', async () => {
    const { listener, port, connections, rejects } = await open({ maxConnections: 1, maxPerAddress: 3 });
    const first = device(port);
    await until(() => connections.length === 1);
    listener.discount(connections[0]!.socket);
    listener.discount(connections[0]!.socket);
    const second = tcp(port);
    await until(() => listener.connections === 2);
    await closed(tcp(port));
    first.destroy();
    await until(() => listener.connections === 1);
    await closed(tcp(port));
    expect(rejects.map(({ reason }) => reason)).toEqual(['full', 'full']);
    second.destroy();
  });

  test('a connection over the cap reads nothing and is told nothing', async () => {
    const { port } = await open({ maxConnections: 1 });
    const holder = tcp(port);
    await once(holder, 'connect');
    const refused = tcp(port);
    let bytes = 0;
    refused.on('data', (chunk: Buffer) => (bytes += chunk.length));
    refused.write('GET / HTTP/1.0\r\n\r\n');
    await closed(refused);
    expect(bytes).toBe(0);
  });
});

describe('the end', () => {
  test('stopAccepting() refuses new connections and leaves the open ones', async () => {
    const { listener, port, connections } = await open();
    const socket = device(port);
    await until(() => connections.length === 1);
    listener.stopAccepting();
    const late = tcp(port);
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    connections[0]!.socket.write('still here');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    expect(chunk.toString()).toBe('still here');
  });

  test('close() ends the open ones, handshakes included', async () => {
    const { listener, port, connections } = await open();
    const sockets = [device(port), tcp(port)];
    await until(() => connections.length === 1 && listener.connections === 2);
    listener.close();
    await Promise.all(sockets.map((socket) => closed(socket)));
    await until(() => listener.connections === 0);
    expect(sockets.every(({ destroyed }) => destroyed)).toBe(true);
  });

  test('several may bind one port with reusePort, and only with it', async () => {
    const { port } = await open({ reusePort: true });
    expect((await open({ reusePort: true, port })).port).toBe(port);
    await expect(open({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('listen() rejects with the error of the system', async () => {
    const { port } = await open();
    await expect(open({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('a peer that resets its connection ends only that', async () => {
    const { listener, port, connections } = await open();
    const raw = tcp(port);
    device(port, { socket: raw });
    await until(() => connections.length === 1);
    raw.resetAndDestroy();
    await until(() => listener.connections === 0);
    expect(connections[0]!.socket.errored).toMatchObject({ code: 'ECONNRESET' });
    device(port);
    await until(() => connections.length === 2);
  });
});
