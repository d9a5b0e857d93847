import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { echo } from '../test/destination.ts';
import type { TestAgent } from '../test/agent.ts';
import { Ledger, Rig } from '../test/rig.ts';
import { DEFAULT_DEADLINES } from './settings.ts';
import type { RelayWorker } from './worker.ts';

const rig = new Rig();
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const MEGABYTE = 1024 * 1024;
const PATIENCE = { timeout: 10_000 };

function collect(socket: Socket): Buffer[] {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}

/** How much fits between an agent and a destination that does not read: buffers of the kernel, and a window. */
async function bytesThatFit(worker: RelayWorker, agent: TestAgent, port: number): Promise<number> {
  const filling = agent.session({ port });
  expect(await filling.answer).toBe('connected');
  void filling.send(Buffer.alloc(25 * MEGABYTE));
  const ledger = new Ledger(worker);
  let last = -1;
  await expect
    .poll(() => {
      const isStill = last === ledger.bytesUp;
      last = ledger.bytesUp;
      ledger.take();
      return isStill && last > 0 && last === ledger.bytesUp;
    }, { ...PATIENCE, interval: 200 })
    .toBe(true);
  filling.reset();
  return ledger.bytesUp;
}

describe('a session', () => {
  test('carries bytes both ways, ends with FIN on both sides, and is told in one line', async () => {
    const { destination, worker, agent } = await rig.path(echo);
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    expect(session.connected?.address).toBe('127.0.0.1');
    expect(session.acked).toBe(true);
    session.stream.write(Buffer.from('EHLO x\r\n'));
    session.end();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('EHLO x\r\n');
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ completed: 1 });
    expect(ledger).toMatchObject({ bytesUp: 8, bytesDown: 8 });
    expect(rig.lines.filter(({ event }) => event === 'session')).toMatchObject([
      {
        session: session.id.toString('hex'),
        device: rig.device.mac,
        client: '192.0.2.7:50123',
        destination: `127.0.0.1:${destination.port}`,
        address: '127.0.0.1',
        protocol: 'smtp',
        bytesUp: 8,
        bytesDown: 8,
        outcome: 'completed',
      },
    ]);
  });

  test('the server ends first, and the client still speaks', async () => {
    const { destination, agent } = await rig.path((socket) => socket.end('221 bye\r\n'));
    const session = agent.session({ port: destination.port });
    expect(await session.over).toBe('end');
    const [server] = destination.sockets;
    const chunks = collect(server!);
    session.stream.write(Buffer.from('late words'));
    session.end();
    await once(server!, 'end');
    expect(Buffer.concat(chunks).toString()).toBe('late words');
  });

  test('the client ends first, and the server still speaks', async () => {
    const { destination, agent } = await rig.path((socket) => {
      socket.resume().once('end', () => setTimeout(() => socket.end('late words'), 50));
    });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    session.end();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('late words');
  });

  test('25 MB both ways at once, byte-identical', async () => {
    const down = randomBytes(25 * MEGABYTE);
    const up = randomBytes(25 * MEGABYTE);
    const { destination, agent } = await rig.path((socket) => socket.end(down));
    const arrived = destination.next().then(async (socket) => {
      const chunks = collect(socket);
      await once(socket, 'end');
      return Buffer.concat(chunks);
    });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    await session.send(up);
    session.end();
    expect(sha256(await arrived)).toBe(sha256(up));
    await session.over;
    expect(sha256(session.received)).toBe(sha256(down));
  }, 30_000);

  test('many small writes arrive whole and in order, however slowly the destination reads', async () => {
    const { destination, agent } = await rig.path((socket) => socket.pause());
    const connected = destination.next();
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    const socket = await connected;
    const pieces = Array.from({ length: 20_000 }, (_, index) => randomBytes(1 + (index % 700)));
    const sending = (async () => {
      for (const piece of pieces) await session.send(piece);
      session.end();
    })();
    await sleep(200);
    const chunks = collect(socket);
    socket.resume();
    await Promise.all([sending, once(socket, 'end')]);
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(Buffer.concat(pieces)));
  }, 30_000);

  test('FIN does not overtake what the destination has not read yet', async () => {
    const { destination, worker, agent } = await rig.path((socket) => socket.pause());
    const fitting = await bytesThatFit(worker, agent, destination.port);
    // A little less: the last of it is held by the relay when FIN comes.
    const mail = randomBytes(fitting - 64 * 1024);
    const connected = destination.next();
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    const socket = await connected;
    await session.send(mail);
    session.end();
    await sleep(300);
    const chunks = collect(socket);
    socket.resume();
    await once(socket, 'end');
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(mail));
  }, 30_000);

  test('bytes before the destination is connected are borne with', async () => {
    const { destination, agent } = await rig.path(echo);
    const session = agent.session({ port: destination.port, early: Buffer.from('too early') });
    expect(await session.answer).toBe('connected');
    session.end();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('too early');
  });

  test('sessions may be opened before the ticket was answered', async () => {
    const destination = await rig.destination(echo);
    const worker = await rig.worker({ ports: [destination.port] });
    const agent = await rig.connect(worker);
    const early = agent.session({ port: destination.port });
    await expect.poll(() => early.acked).toBe(true);
    expect(await agent.show(rig.site.ticket(rig.device))).toBe('admit');
    expect(await early.answer).toBe('connected');
  });

  test('a listed destination gets a PROXY header with the address of the client', async () => {
    const destination = await rig.destination(() => {});
    const worker = await rig.worker({
      destinations: {
        extraPorts: [destination.port],
        allow: ['127.0.0.0/8'],
        ownAddresses: [],
        proxyProtocol: [`127.0.0.1:${destination.port}`],
      },
    });
    const agent = await rig.admitted(worker);
    const connected = destination.next();
    const session = agent.session({ port: destination.port, client: '198.51.100.9:4321' });
    const socket = await connected;
    const chunks = collect(socket);
    expect(await session.answer).toBe('connected');
    await session.send(Buffer.from('EHLO'));
    await expect.poll(() => Buffer.concat(chunks).toString('latin1')).toContain('EHLO');
    const bytes = Buffer.concat(chunks);
    expect(bytes.subarray(0, 28).toString('hex')).toBe(
      `0d0a0d0a000d0a515549540a2111001fc63364097f00000110e1${destination.port.toString(16).padStart(4, '0')}`,
    );
    expect(bytes.subarray(31, 47)).toEqual(session.id);
    expect(bytes.subarray(47).toString()).toBe('EHLO');
  });
});

describe('resets', () => {
  test('the agent breaks off: the destination is reset, not ended', async () => {
    const { destination, worker, agent } = await rig.path((socket) => socket.resume());
    const connected = destination.next();
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    const socket = await connected;
    await session.send(Buffer.from('DATA\r\nhalf a mail'));
    session.reset();
    expect(await howItEnded(socket)).toBe('ECONNRESET');
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ client_reset: 1 });
  });

  test('the connection of the device is lost in the middle of DATA: the destination is reset', async () => {
    const { destination, worker, agent } = await rig.path((socket) => socket.resume());
    const connected = destination.next();
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    const socket = await connected;
    await session.send(Buffer.from('DATA\r\nhalf a mail'));
    agent.mux.socket.destroy();
    expect(await howItEnded(socket)).toBe('ECONNRESET');
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ device_lost: 1 });
    expect(worker.report()).toMatchObject({ devices: 0, sessions: { preamble: 0, connecting: 0, streaming: 0, closing: 0 } });
  });

  test('the destination breaks off: the stream is reset, not ended', async () => {
    const { destination, worker, agent } = await rig.path((socket) => {
      socket.write('354 go on\r\n');
      socket.once('data', () => socket.resetAndDestroy());
    });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    session.stream.write(Buffer.from('half a mail'));
    expect(await session.over).toBe('reset');
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ server_reset: 1 });
  });

  test('the last words of a destination reach the client although it closes the door', async () => {
    // It closes without reading what the client still sends, which the kernel answers with a reset.
    const { destination, worker, agent } = await rig.path((socket) => socket.end('421 too busy\r\n', () => socket.destroy()));
    const session = agent.session({ port: destination.port, reading: false });
    expect(await session.answer).toBe('connected');
    for (let index = 0; index < 20; index += 1) {
      session.stream.write(Buffer.alloc(1000));
      await sleep(5);
    }
    session.read();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('421 too busy\r\n');
    expect(session.wasReset).toBe(false);
    session.end();
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ server_reset: 1 });
  });

  test('a session that nobody uses is ended', async () => {
    const deadlines = { ...DEFAULT_DEADLINES, idleMs: { smtp: 500, pop3: 60_000, imap: 60_000 } };
    const { destination, worker, agent } = await rig.path((socket) => socket.resume(), { deadlines });
    const connected = destination.next();
    const idle = agent.session({ port: destination.port });
    const patient = agent.session({ port: destination.port, protocol: 'imap' });
    expect([await idle.answer, await patient.answer]).toEqual(['connected', 'connected']);
    expect(await howItEnded(await connected)).toBe('ECONNRESET');
    expect(await idle.over).toBe('reset');
    expect(patient.ended).toBeUndefined();
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ idle: 1 });
  });

  test('bytes keep a session alive', async () => {
    const deadlines = { ...DEFAULT_DEADLINES, idleMs: { smtp: 700, pop3: 700, imap: 700 } };
    const { destination, agent } = await rig.path(echo, { deadlines });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    for (let index = 0; index < 10; index += 1) {
      await session.send(Buffer.from('.'));
      await sleep(200);
    }
    expect(session.ended).toBeUndefined();
  });
});

describe('back-pressure', () => {
  test('a client that does not read stops its own session and no other', async () => {
    const mail = randomBytes(25 * MEGABYTE);
    const { destination, worker, agent } = await rig.path((socket) => socket.end(mail));
    const slow = agent.session({ port: destination.port, reading: false });
    expect(await slow.answer).toBe('connected');
    const fast = agent.session({ port: destination.port });
    await fast.over;
    expect(sha256(fast.received)).toBe(sha256(mail));
    expect(slow.receivedBytes).toBeLessThanOrEqual(256 * 1024);
    // What the relay has taken from the destination is bounded, too: a window, and a chunk or two.
    const ledger = new Ledger(worker);
    ledger.take();
    expect(ledger.bytesDown - fast.receivedBytes).toBeLessThan(MEGABYTE);
    slow.read();
    await slow.over;
    expect(sha256(slow.received)).toBe(sha256(mail));
  }, 30_000);

  test('a destination that does not read stops its own session and no other', async () => {
    const mail = randomBytes(25 * MEGABYTE);
    const stuck: Socket[] = [];
    const { destination, worker, agent } = await rig.path((socket) => {
      if (stuck.length === 0) stuck.push(socket.pause());
      else echo(socket);
    });
    const slow = agent.session({ port: destination.port });
    expect(await slow.answer).toBe('connected');
    const sent = slow.send(mail).then(() => slow.end());
    const fast = agent.session({ port: destination.port });
    expect(await fast.answer).toBe('connected');
    await fast.send(mail.subarray(0, 5 * MEGABYTE));
    fast.end();
    await fast.over;
    expect(sha256(fast.received)).toBe(sha256(mail.subarray(0, 5 * MEGABYTE)));
    // Buffers of the kernel take some megabytes on loopback; the relay itself only a window.
    const ledger = new Ledger(worker);
    ledger.take();
    expect(ledger.bytesUp).toBeLessThan(20 * MEGABYTE);
    const chunks = collect(stuck[0]!);
    stuck[0]!.resume();
    await Promise.all([sent, once(stuck[0]!, 'end')]);
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(mail));
  }, 30_000);

  test('200 clients that do not read a mail of 25 MB cost their windows and no more', async () => {
    const mail = Buffer.alloc(25 * MEGABYTE, 'x');
    const { destination, worker, agent } = await rig.path((socket) => socket.end(mail));
    const before = process.memoryUsage().rss;
    const sessions = Array.from({ length: 200 }, () => agent.session({ port: destination.port, reading: false }));
    for (const session of sessions) expect(await session.answer).toBe('connected');
    const ledger = new Ledger(worker);
    let last = -1;
    await expect
      .poll(
        () => {
          ledger.take();
          const isStill = ledger.bytesDown === last;
          last = ledger.bytesDown;
          return isStill;
        },
        { timeout: 20_000, interval: 500 },
      )
      .toBe(true);
    // 5 GB wait. Each session: a window with the agent, who is in this process, too, and up to four chunks here.
    expect(ledger.bytesDown).toBeLessThan(200 * MEGABYTE);
    expect(process.memoryUsage().rss - before).toBeLessThan(250 * MEGABYTE);
    expect(ledger.take().sessions.streaming + ledger.take().sessions.closing).toBe(200);
    agent.close();
    await expect.poll(() => ledger.take().devices, PATIENCE).toBe(0);
  }, 40_000);
});

test('drain: running sessions end, then the connection does', async () => {
  const { destination, worker, agent } = await rig.path(echo);
  const session = agent.session({ port: destination.port });
  expect(await session.answer).toBe('connected');
  let isDrained = false;
  const drained = worker.drain().then(() => (isDrained = true));
  await expect.poll(() => agent.goneAway).toBe(true);
  await session.send(Buffer.from('last words'));
  await expect.poll(() => session.received.toString()).toBe('last words');
  expect(isDrained).toBe(false);
  session.end();
  expect(await session.over).toBe('end');
  await drained;
  expect((await agent.closed).code).toBe('CLOSED');
});

test('drain: what both sides have said to their end is still written, although the device is gone', async () => {
  const { destination, worker, agent } = await rig.path((socket) => socket.pause(), { windowBytes: 2 * MEGABYTE });
  const fitting = await bytesThatFit(worker, agent, destination.port);
  const connected = destination.next();
  const session = agent.session({ port: destination.port });
  expect(await session.answer).toBe('connected');
  const socket = await connected;
  socket.end();
  // Half a window less than fits, so half a window waits here: what the kernel takes is not the same twice.
  const mail = randomBytes(fitting - MEGABYTE);
  const ledger = new Ledger(worker);
  ledger.take();
  const before = ledger.bytesUp;
  await session.send(mail);
  session.end();
  await expect.poll(() => (ledger.take(), ledger.bytesUp - before), PATIENCE).toBe(mail.length);
  expect(await session.over).toBe('end');
  agent.close();
  await expect.poll(() => worker.report().devices).toBe(0);
  let isDrained = false;
  const drained = worker.drain().then(() => (isDrained = true));
  await sleep(300);
  expect(isDrained).toBe(false);
  const chunks = collect(socket);
  socket.resume();
  await once(socket, 'end');
  expect(sha256(Buffer.concat(chunks))).toBe(sha256(mail));
  await drained;
}, 30_000);

/** The code of the error with which a socket ended, or `end`. */
function howItEnded(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.once('end', () => resolve('end'));
  });
}
