import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { encodeFrame } from '@sekisho/wire';
import { describe, expect, test } from 'vitest';
import { echo } from '../test/destination.ts';
import { Ledger, Rig } from '../test/rig.ts';
import { DEFAULT_DEADLINES } from './settings.ts';
import type { RelayWorker } from './worker.ts';

const rig = new Rig();

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

function raw(worker: RelayWorker): Socket {
  const socket = connectTcp(worker.port, '127.0.0.1');
  socket.on('error', () => {});
  rig.defer(() => socket.destroy());
  return socket.resume();
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

function tls(worker: RelayWorker, options: ConnectionOptions) {
  const { caPem, certPem, keyPem } = rig.device.credentials;
  const socket = connectTls({
    host: '127.0.0.1',
    port: worker.port,
    ca: caPem,
    cert: certPem,
    key: keyPem,
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['sekisho-data/1'],
    ...options,
  });
  socket.on('error', () => {});
  rig.defer(() => socket.destroy());
  return socket.resume();
}

describe('what is no agent', () => {
  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['SMTP', Buffer.from('EHLO x\r\n')],
    ['garbage', Buffer.alloc(5000, 0xa5)],
    ['zeros', Buffer.alloc(5000)],
    ['a PROXY header', Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex')],
  ])('%s is closed and counted', async (_name, bytes) => {
    const worker = await rig.worker();
    const socket = raw(worker);
    socket.write(bytes);
    await closed(socket);
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.rejects)).toEqual({ handshake: 1 });
  });

  test.each<[string, string, ConnectionOptions]>([
    ['another ALPN name', 'handshake', { ALPNProtocols: ['h2'] }],
    ['the name of the other channel', 'handshake', { ALPNProtocols: ['sekisho-control/1'] }],
    ['no ALPN name', 'alpn', { ALPNProtocols: [] }],
    ['TLS 1.2', 'handshake', { maxVersion: 'TLSv1.2' }],
    ['no certificate', 'no_certificate', { cert: undefined, key: undefined }],
  ])('%s', async (_name, reason, options) => {
    const worker = await rig.worker();
    await closed(tls(worker, options));
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.rejects)).toEqual({ [reason]: 1 });
  });

  test('a handshake that drips, and one that never begins', async () => {
    const worker = await rig.worker({ deadlines: { ...DEFAULT_DEADLINES, handshakeMs: 800 } });
    const dripping = raw(worker);
    const silent = raw(worker);
    const drip = setInterval(() => dripping.write(Buffer.from([0x16])), 100);
    await Promise.all([closed(dripping), closed(silent)]);
    clearInterval(drip);
    const ledger = new Ledger(worker);
    ledger.take();
    expect(Object.values(ledger.rejects).reduce((sum, count) => sum + count, 0)).toBe(2);
  });

  test('half-open connections of one address stop at the cap, and a device from elsewhere is served', async () => {
    const limits = { maxSessions: 100, maxDevices: 100, maxSessionsPerDevice: 100, maxPerAddress: 200 };
    const destination = await rig.destination(echo);
    const worker = await rig.worker({ ports: [destination.port], limits, listen: { host: '0.0.0.0', port: 0, controlPort: 0 } });
    const flood = Array.from({ length: 300 }, () => {
      const socket = connectTcp({ port: worker.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
      socket.on('error', () => {});
      rig.defer(() => socket.destroy());
      return socket;
    });
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.rejects['address_full'])).toBe(100);
    expect(flood).toHaveLength(300);
    const agent = await rig.admitted(worker);
    expect(await agent.session({ port: destination.port }).answer).toBe('connected');
  });
});

describe('what is no good agent', () => {
  test('no ticket in time', async () => {
    const worker = await rig.worker({ deadlines: { ...DEFAULT_DEADLINES, ticketMs: 500 } });
    const agent = await rig.connect(worker);
    const waiting = agent.session({ port: 25 });
    await agent.closed;
    expect(waiting.ended).toBe('reset');
    const ledger = new Ledger(worker);
    ledger.take();
    expect(ledger.rejects).toEqual({ no_ticket: 1 });
  });

  test('a destination is never connected to before the ticket', async () => {
    const destination = await rig.destination(echo);
    const worker = await rig.worker({ ports: [destination.port] });
    const agent = await rig.connect(worker);
    const session = agent.session({ port: destination.port });
    await expect.poll(() => session.acked).toBe(true);
    await sleep(200);
    expect(destination.sockets).toHaveLength(0);
  });

  test.each([
    ['a frame of the other channel', encodeFrame({ type: 'ping', id: 1 })],
    ['a preamble', Buffer.from([0, 1, 0x22])],
    ['a frame that is too long', Buffer.from([0xff, 0xff, 0x20])],
    ['garbage', Buffer.alloc(64, 0xff)],
  ])('%s on the signalling stream', async (_name, bytes) => {
    const worker = await rig.worker();
    const agent = await rig.connect(worker);
    agent.signal(bytes);
    await agent.closed;
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.rejects)).toEqual({ violation: 1 });
  });

  test.each([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['another version of yamux', Buffer.from('010000010000000100000000', 'hex')],
    ['a first stream that is not the first', Buffer.from('000100010000000300000000', 'hex')],
    ['more than the window', Buffer.from('00000001000000017fffffff', 'hex')],
    ['a stream that nobody opened', Buffer.from('000000000000000500000001', 'hex')],
  ])('in the place of yamux: %s', async (_name, bytes) => {
    const worker = await rig.worker();
    const socket = tls(worker, {});
    socket.write(bytes);
    await closed(socket);
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.rejects)).toEqual({ violation: 1 });
    expect(worker.report().devices).toBe(0);
  });

  test('single bytes before the ticket cost what they are, not an object each', async () => {
    const worker = await rig.worker();
    const stranger = await rig.site.device('02:00:5e:10:00:09', 'mac-only');
    const agent = await rig.connect(worker, stranger);
    const before = heapBytes();
    const pieces = Array.from({ length: 16_000 }, () => Buffer.from('x'));
    const sessions = Array.from({ length: 60 }, () => agent.session({ port: 25 }));
    for (const session of sessions) for (const piece of pieces) session.stream.write(piece);
    for (const session of sessions) await expect.poll(() => session.stream.queuedBytes, { timeout: 10_000 }).toBe(0);
    await expect.poll(() => worker.report().sessions.preamble).toBe(60);
    await sleep(500);
    // A million bytes; as Buffers of their own they cost more than a hundred million.
    expect(heapBytes() - before).toBeLessThan(40_000_000);
    expect(sessions.map(({ ended }) => ended)).toEqual(sessions.map(() => undefined));
  }, 30_000);

  test('a stranger who opens and resets sessions writes nothing into the log', async () => {
    const worker = await rig.worker();
    const agent = await rig.connect(worker, await rig.site.device('02:00:5e:10:00:09', 'mac-only'));
    for (let count = 0; count < 200; count += 1) {
      const session = agent.session({ port: 25 });
      if (count % 10 === 0) await expect.poll(() => session.acked).toBe(true);
      session.reset();
    }
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ abandoned: 200 });
    expect(rig.lines).toEqual([]);
  });

  test('a device that says nothing more is gone after its deadline, and its sessions with it', async () => {
    const { destination, worker, agent } = await rig.path((socket) => socket.resume(), {
      deadlines: { ...DEFAULT_DEADLINES, deadMs: 1000 },
    });
    const connected = destination.next();
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    const socket = await connected;
    // As with a cut line: nothing is reset, and nothing is answered either.
    agent.mux.socket.pause();
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ device_lost: 1 });
  });

  test('a bye is heard and changes nothing', async () => {
    const { destination, worker, agent } = await rig.path(echo);
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    agent.bye(session.id);
    agent.bye(Buffer.alloc(16, 1));
    await session.send(Buffer.from('still here'));
    await expect.poll(() => session.received.toString()).toBe('still here');
    expect(worker.report().devices).toBe(1);
  });
});
