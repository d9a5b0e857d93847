import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestSession } from '../../test/agent.ts';
import { pop3Server, smtpServer } from '../../test/mail-server.ts';
import { ALL_PASS, inspectSettings } from '../../test/inspect-settings.ts';
import { Ledger, Rig } from '../../test/rig.ts';
import { DEFAULT_DEADLINES } from '../settings.ts';
import type { InspectSettings } from './settings.ts';

const rig = new Rig();
let directory: string;
/** A scanner that never answers, and the connections that bring it a message. */
let silent: Server;
const scanners = new Set<Socket>();
const scans = new Set<Socket>();
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sekisho-spool-'));
  silent = createServer((socket) => {
    scanners.add(socket.on('error', () => {}));
    socket.once('data', (chunk: Buffer) => chunk.includes('INSTREAM') && scans.add(socket));
    socket.on('close', () => scans.delete(socket));
  });
  await new Promise<void>((resolve) => silent.listen(join(directory, 'silent.sock'), resolve));
});
afterAll(() => {
  for (const socket of scanners) socket.destroy();
  silent.close();
  rmSync(directory, { recursive: true });
});

const inspect = (change: Partial<InspectSettings> = {}): InspectSettings =>
  inspectSettings({ onUnscannable: ALL_PASS, spoolDirectory: directory, ...change });
const PATIENCE = { timeout: 15_000 };
const HEAD = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\n\r\n';
const CLEAN = `${HEAD}a word\r\n..a dot\r\n`;
const ENVELOPE = 'EHLO client\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n';

const text = (session: TestSession): string => session.received.toString('latin1');
const says = (session: TestSession, what: string | RegExp): Promise<void> => expect.poll(() => text(session), PATIENCE).toMatch(what);

test('SMTP: the room ends within a chunk that goes on behind the message', async () => {
  const server = smtpServer();
  const { agent, destination } = await rig.path(server.serve, { inspect: inspect({ maxSpoolBytes: 10 }) });
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from(ENVELOPE));
  await says(session, '354 ');
  session.stream.write(Buffer.from(`${CLEAN}.\r\nQUIT\r\n`));
  await says(session, '250 queued\r\n221 bye');
  expect(server.traces[0]?.messages.map(String)).toEqual([CLEAN]);
});

test.each([
  ['in memory', 100],
  ['on the disk', 60_000],
])('POP3: a message too big to be scanned, %s, is given whole', async (_, lines) => {
  const message = `${HEAD}${`${'y'.repeat(76)}\r\n`.repeat(lines)}`;
  const server = pop3Server([Buffer.from(message)]);
  const { agent, destination } = await rig.path(server.serve, { inspect: inspect({ maxScanBytes: 1000 }) });
  const session = agent.session({ port: destination.port, protocol: 'pop3' });
  await says(session, /^\+OK ready/u);
  session.stream.write(Buffer.from('RETR 1\r\nQUIT\r\n'));
  await says(session, /\+OK bye/u);
  expect(session.received.length).toBe(`+OK ready\r\n+OK ${message.length} octets\r\n${message}.\r\n+OK bye\r\n`.length);
});

test('SMTP: what the client had sent ahead is given back to its window when the server ends', async () => {
  const { agent, destination } = await rig.path(
    smtpServer({ onCommand: (line) => (line === 'DATA' ? '' : undefined) }).serve,
    { inspect: inspect() },
  );
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from(ENVELOPE));
  await says(session, /250 ok\r\n250 ok\r\n$/u);
  const sent = session.send(Buffer.alloc(700_000, 'x'));
  await new Promise((resolve) => setTimeout(resolve, 50));
  destination.sockets[0]?.end();
  expect(await session.over).toBe('end');
  await sent;
  session.end();
  await expect.poll(() => rig.lines.filter(({ event }) => event === 'session'), PATIENCE).toMatchObject([{ outcome: 'completed' }]);
});

test('POP3: without room, a message that the policy would pass is deferred, and the session goes on', async () => {
  const { agent, destination } = await rig.path(pop3Server([Buffer.from(CLEAN)]).serve, { inspect: inspect({ maxSpoolBytes: 10 }) });
  const session = agent.session({ port: destination.port, protocol: 'pop3' });
  await says(session, /^\+OK ready/u);
  session.stream.write(Buffer.from('RETR 1\r\nQUIT\r\n'));
  await says(session, /^-ERR \[SYS\/TEMP\] .*no room.*\r\n\+OK bye\r\n$/mu);
  expect(rig.lines.filter(({ event }) => event === 'unscannable')).toMatchObject([{ cause: 'no_room', action: 'deferred' }]);
});

type Event = 'client ends' | 'client breaks off' | 'server ends' | 'server breaks off';

describe.each(['commands', 'content', 'held', 'blind'] as const)('SMTP, %s:', (state) => {
  const open = async () => {
    const server = smtpServer({ capabilities: ['STARTTLS'], onCommand: (line) => (line === 'STARTTLS' ? '220 go\r\n' : undefined) });
    const settings = inspect({ clamd: [`unix:${join(directory, 'silent.sock')}`], scanTimeoutMs: 300 });
    const { agent, destination, worker } = await rig.path(server.serve, { inspect: settings });
    const session = agent.session({ port: destination.port });
    await says(session, /^220 /u);
    if (state === 'blind') {
      session.stream.write(Buffer.from('STARTTLS\r\n'));
      await says(session, '220 go');
      session.stream.write(Buffer.from('a handshake'));
    } else if (state !== 'commands') {
      session.stream.write(Buffer.from(ENVELOPE));
      await says(session, '354 ');
      session.stream.write(Buffer.from(`${CLEAN}${state === 'held' ? '.\r\n' : ''}`));
      await expect.poll(() => worker.report().inspection?.spoolBytes).toBe(CLEAN.length);
    }
    return { session, destination, worker, trace: server.traces[0]! };
  };

  const EVENTS: Record<Event, (session: TestSession, server: Socket | undefined) => unknown> = {
    'client ends': (session) => session.end(),
    'client breaks off': (session) => session.reset(),
    'server ends': (_, server) => server?.end(),
    'server breaks off': (_, server) => server?.resetAndDestroy(),
  };
  /** What the other side sees, and the outcome in the line of the session. */
  const expected = (event: Event): readonly [string, string] => {
    if (event === 'client breaks off') return ['reset', 'client_reset'];
    if (event === 'server breaks off') return ['reset', 'server_reset'];
    if (event === 'client ends' && state === 'content') return ['reset', 'completed'];
    return ['end', 'completed'];
  };

  test.each(Object.keys(EVENTS) as Event[])('%s', async (event) => {
    const { session, destination, worker, trace } = await open();
    const [seen, outcome] = expected(event);
    EVENTS[event](session, destination.sockets[0]);
    if (event === 'client ends' && state === 'held') await expect.poll(() => worker.report().sessions.closing).toBe(1);
    if (event.startsWith('client')) await expect.poll(() => trace.ended, PATIENCE).toBe(seen === 'end' ? 'fin' : seen);
    else expect(await session.over).toBe(seen);
    if (event === 'server ends') {
      // A message under way was not accepted: the client is told so.
      if (state === 'content' || state === 'held') expect(text(session)).toMatch(/\r\n4\d\d [^\r\n]*\r\n$/u);
      session.end();
    }
    await expect.poll(() => rig.lines.filter((line) => line['event'] === 'session'), PATIENCE).toMatchObject([{ outcome }]);
    expect(worker.report().inspection?.spoolBytes).toBe(0);
    // What the client had ended properly before it ended its side is delivered, and nothing else.
    const isDelivered = state === 'held' && event === 'client ends';
    expect(trace.messages.map(String)).toEqual(isDelivered ? [CLEAN] : []);
    expect(rig.lines.filter((line) => line['event'] === 'unscannable')).toHaveLength(isDelivered ? 1 : 0);
  });
});

const LARGE = `${HEAD}${`${'y'.repeat(76)}\r\n`.repeat(20_000)}`;

/** A POP3 server of one message: without its second half if it is to halt. */
function pop3Mailbox(message: string, init: { readonly halts: boolean }) {
  const trace = { ended: 'no' };
  const serve = (socket: Socket): void => {
    socket.write('+OK ready\r\n');
    socket.on('error', () => (trace.ended = 'reset'));
    socket.on('end', () => {
      trace.ended = 'fin';
      socket.end();
    });
    socket.on('data', () => socket.write(init.halts ? `+OK\r\n${message}` : `+OK\r\n${message}.\r\n`));
  };
  return { serve, trace };
}

describe.each(['content', 'held', 'releasing'] as const)('POP3, %s:', (state) => {
  const message = state === 'releasing' ? LARGE : CLEAN;
  const open = async () => {
    const { serve, trace } = pop3Mailbox(message, { halts: state === 'content' });
    const clamd = state === 'held' ? `unix:${join(directory, 'silent.sock')}` : 'unix:/nonexistent/clamd.sock';
    const { agent, destination, worker } = await rig.path(serve, { inspect: inspect({ clamd: [clamd], scanTimeoutMs: 300 }) });
    const session = agent.session({ port: destination.port, protocol: 'pop3', reading: state !== 'releasing' });
    await says(session, /^\+OK ready/u);
    session.stream.write(Buffer.from('RETR 1\r\n'));
    if (state === 'releasing') await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
    await expect.poll(() => worker.report().inspection?.spoolBytes).toBe(message.length);
    return { session, server: destination.sockets[0], worker, trace };
  };
  const whole = `+OK ready\r\n+OK\r\n${message}.\r\n`;

  test('client ends', async () => {
    const { session, worker, trace } = await open();
    session.end();
    // Nobody waits for a message that has not been judged; one that is being given is given whole.
    await expect.poll(() => trace.ended, PATIENCE).toBe(state === 'releasing' ? 'fin' : 'reset');
    session.read();
    expect(await session.over).toBe('end');
    expect(text(session)).toBe(state === 'releasing' ? whole : '+OK ready\r\n');
    await expect.poll(() => rig.lines.filter((line) => line['event'] === 'session'), PATIENCE).toMatchObject([{ outcome: 'completed' }]);
    expect(worker.report().inspection?.spoolBytes).toBe(0);
  });

  test('server ends', async () => {
    const { session, server, worker } = await open();
    server?.end();
    session.read();
    expect(await session.over).toBe('end');
    expect(text(session)).toBe(state === 'content' ? '+OK ready\r\n' : whole);
    session.end();
    await expect.poll(() => rig.lines.filter((line) => line['event'] === 'session'), PATIENCE).toMatchObject([{ outcome: 'completed' }]);
    expect(worker.report().inspection?.spoolBytes).toBe(0);
  });

  test.each(['client', 'server'] as const)('%s breaks off', async (who) => {
    const { session, server, worker, trace } = await open();
    if (who === 'client') session.reset();
    else server?.resetAndDestroy();
    if (who === 'client') await expect.poll(() => trace.ended, PATIENCE).toBe('reset');
    else expect(await session.over).toBe('reset');
    await expect.poll(() => rig.lines.filter((line) => line['event'] === 'session'), PATIENCE).toMatchObject([{ outcome: `${who}_reset` }]);
    expect(worker.report().inspection?.spoolBytes).toBe(0);
  });
});

test.each(['ends', 'breaks off'])('after a refusal the client %s', async (how) => {
  const server = smtpServer();
  const { agent, destination, worker } = await rig.path(server.serve, {
    inspect: inspect({ onUnscannable: { ...inspect().onUnscannable, scannerDown: 'reject' } }),
  });
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from(ENVELOPE));
  await says(session, '354 ');
  session.stream.write(Buffer.from(`${CLEAN}.\r\n`));
  await says(session, /^554 5\.7\.1 /mu);
  await expect.poll(() => server.traces[0], PATIENCE).toMatchObject({ ended: 'reset', messages: [] });
  if (how === 'ends') session.end();
  else session.reset();
  const outcome = how === 'ends' ? 'completed' : 'client_reset';
  await expect.poll(() => rig.lines.filter((line) => line['event'] === 'session')).toMatchObject([{ outcome, unscannable: 1 }]);
  expect(worker.report().inspection?.spoolBytes).toBe(0);
});

test('a scan that nobody waits for any more is ended', async () => {
  const { agent, destination } = await rig.path(smtpServer().serve, { inspect: inspect({ clamd: [`unix:${join(directory, 'silent.sock')}`] }) });
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from(ENVELOPE));
  await says(session, '354 ');
  session.stream.write(Buffer.from(`${CLEAN}.\r\n`));
  await expect.poll(() => scans.size, PATIENCE).toBe(1);
  session.reset();
  await expect.poll(() => scans.size).toBe(0);
});

test('POP3: a client that takes a large message slowly is not idle', async () => {
  const deadlines = { ...DEFAULT_DEADLINES, idleMs: { ...DEFAULT_DEADLINES.idleMs, pop3: 750 } };
  const { agent, destination } = await rig.path(pop3Server([Buffer.from(LARGE)]).serve, { inspect: inspect(), deadlines });
  const session = agent.session({ port: destination.port, protocol: 'pop3', reading: false });
  await says(session, /^\+OK ready/u);
  session.stream.write(Buffer.from('RETR 1\r\n'));
  await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
  for (let step = 0; step < 5; step += 1) {
    session.stream.consumed(131_072);
    await new Promise((resolve) => setTimeout(resolve, 350));
  }
  expect(session.ended).toBeUndefined();
  // And one that takes nothing more is.
  expect(await session.over).toBe('reset');
  await expect.poll(() => rig.lines.filter(({ event }) => event === 'session')).toMatchObject([{ outcome: 'idle' }]);
});

test('blind: a destination that does not read costs a window, and no more', async () => {
  const { agent, destination, worker } = await rig.path(
    (socket) => {
      socket.write('220 ready\r\n');
      socket.once('data', () => {
        socket.write('220 go\r\n');
        socket.pause();
      });
    },
    { inspect: inspect() },
  );
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from('STARTTLS\r\n'));
  await says(session, '220 go');
  session.stream.write(Buffer.alloc(30_000_000));
  let bytesUp = 0;
  let before = -1;
  await expect
    .poll(() => {
      [before, bytesUp] = [bytesUp, bytesUp + worker.report().counts.bytesUp];
      return bytesUp > 0 && bytesUp === before;
    }, { ...PATIENCE, interval: 150 })
    .toBe(true);
  // The kernel's buffers, and a window.
  expect(bytesUp).toBeLessThan(20_000_000);
});

test('a client that reads none of our own answers is asked to wait', async () => {
  const { agent, destination, worker } = await rig.path(smtpServer().serve, { inspect: inspect() });
  const session = agent.session({ port: destination.port, reading: false });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from('XYZZY\r\n'.repeat(300_000)));
  await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(worker.report().counts.bytesUp).toBeLessThan(700_000);
});

test('SMTP: a client that sends all it has at once, and its end, is served', async () => {
  const server = smtpServer();
  const { agent, destination } = await rig.path(server.serve, { inspect: inspect() });
  const session = agent.session({ port: destination.port });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from(`${ENVELOPE}${CLEAN}.\r\nQUIT\r\n`));
  session.end();
  expect(await session.over).toBe('end');
  expect(text(session)).toMatch(/250 queued\r\n221 bye\r\n$/u);
  expect(server.traces[0]?.messages.map(String)).toEqual([CLEAN]);
});

test('blind: a server that says much to a client that does not read is asked to wait', async () => {
  const { agent, destination, worker } = await rig.path(
    (socket) => {
      socket.write('220 ready\r\n');
      socket.once('data', () => {
        socket.write('220 go\r\n');
        socket.once('data', () => socket.write(Buffer.alloc(10_000_000)));
      });
    },
    { inspect: inspect() },
  );
  const session = agent.session({ port: destination.port, reading: false });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from('STARTTLS\r\n'));
  await says(session, '220 go');
  session.stream.write(Buffer.from('a handshake'));
  await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(worker.report().counts.bytesDown).toBeLessThan(700_000);
});

test('POP3: a server that says much behind a message that is judged is asked to wait', async () => {
  const { agent, destination, worker } = await rig.path(
    (socket) => {
      socket.write('+OK ready\r\n');
      socket.once('data', () => socket.write(`+OK\r\n${CLEAN}.\r\n${'x'.repeat(10_000_000)}`));
    },
    { inspect: inspect({ clamd: [`unix:${join(directory, 'silent.sock')}`] }) },
  );
  const session = agent.session({ port: destination.port, protocol: 'pop3' });
  await says(session, /^\+OK ready/u);
  session.stream.write(Buffer.from('RETR 1\r\n'));
  const ledger = new Ledger(worker);
  await expect.poll(() => ledger.take().inspection?.spoolBytes, PATIENCE).toBe(CLEAN.length);
  await new Promise((resolve) => setTimeout(resolve, 200));
  ledger.take();
  expect(ledger.bytesDown).toBeLessThan(300_000);
});

test('POP3: a client that breaks the protocol while it is given a message gets no end of that message', async () => {
  const { agent, destination } = await rig.path(pop3Server([Buffer.from(LARGE)]).serve, { inspect: inspect() });
  const session = agent.session({ port: destination.port, protocol: 'pop3', reading: false });
  await says(session, /^\+OK ready/u);
  session.stream.write(Buffer.from('RETR 1\r\n'));
  await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
  session.stream.write(Buffer.from('bare\n'));
  session.read();
  expect(await session.over).toBe('end');
  expect(text(session).endsWith('\r\n.\r\n')).toBe(false);
  expect(session.receivedBytes).toBeLessThan(LARGE.length);
  session.end();
  await expect.poll(() => rig.lines.filter(({ event }) => event === 'session'), PATIENCE).toMatchObject([{ outcome: 'violation' }]);
  expect(rig.lines.filter(({ event }) => event === 'session_failed')).toEqual([]);
});

test('what the agent sent before the destination was there, and its end, reach it', async () => {
  const server = smtpServer();
  const { agent, destination } = await rig.path(server.serve, { inspect: inspect() });
  const session = agent.session({ port: destination.port, early: Buffer.from('EHLO early\r\n') });
  session.end();
  await says(session, '250 PIPELINING');
  expect(await session.over).toBe('end');
  expect(server.traces[0]).toMatchObject({ commands: ['EHLO early'], ended: 'fin' });
});

test('blind: megabytes pass in both directions although both sides halt, and the end after them', async () => {
  /** Says everything again, in its own time. */
  const echo = (socket: Socket): void => {
    socket.write('220 ready\r\n');
    socket.once('data', () => {
      socket.write('220 go\r\n');
      const halts = setInterval(() => {
        socket.unpipe();
        setTimeout(() => socket.pipe(socket), 5);
      }, 15);
      socket.pipe(socket);
      socket.on('close', () => clearInterval(halts));
    });
  };
  const { agent, destination, worker } = await rig.path(echo, { inspect: inspect() });
  const session = agent.session({ port: destination.port, reading: false });
  await says(session, /^220 /u);
  session.stream.write(Buffer.from('STARTTLS\r\n'));
  await says(session, '220 go');
  const sent = randomBytes(3_000_000);
  for (let at = 0; at < sent.length; at += 1_000_003) session.stream.write(sent.subarray(at, at + 1_000_003));
  session.end();
  // Nothing is read: it stands still, with what fits into windows and kernels.
  await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
  expect(session.receivedBytes).toBeLessThan(300_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  const stalled = worker.report().counts;
  expect(stalled.bytesDown).toBeLessThan(700_000);
  session.read();
  expect(await session.over).toBe('end');
  expect(sha256(session.received.subarray('220 ready\r\n220 go\r\n'.length))).toBe(sha256(sent));
  await expect.poll(() => rig.lines.filter(({ event }) => event === 'session'), PATIENCE).toMatchObject([{ outcome: 'completed' }]);
  expect(stalled.bytesUp + worker.report().counts.bytesUp).toBe(sent.length + 'STARTTLS\r\n'.length);
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
