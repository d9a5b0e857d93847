import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Clamd, EICAR, EICAR_SIGNATURE, startClamd } from '../../../../test/kit/clamd.ts';
import type { TestSession } from '../../test/agent.ts';
import { inspectSettings, NO_SCANNER as DEAD } from '../../test/inspect-settings.ts';
import { pop3Server, smtpServer } from '../../test/mail-server.ts';
import { Rig } from '../../test/rig.ts';
import { DEFAULT_DEADLINES } from '../settings.ts';
import type { RelayWorker } from '../worker.ts';
import type { InspectSettings } from './settings.ts';

const rig = new Rig();
let clamd: Clamd;
let directory: string;
beforeAll(async () => {
  clamd = await startClamd();
  directory = mkdtempSync(join(tmpdir(), 'sekisho-spool-'));
});
afterAll(async () => {
  await clamd.stop();
  rmSync(directory, { recursive: true });
});

const inspect = (change: Partial<InspectSettings> = {}): InspectSettings =>
  inspectSettings({ clamd: [clamd.address], spoolDirectory: directory, ...change });

const HEAD = 'From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\n\r\n';
const CLEAN = `${HEAD}a word\r\n..a dot\r\n`;
const VIRUS = `${HEAD}${EICAR}\r\n`;
const ENVELOPE = 'EHLO client\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n';
const PATIENCE = { timeout: 15_000 };

const text = (session: TestSession): string => session.received.toString('latin1');
const says = (session: TestSession, what: string | RegExp): Promise<void> => expect.poll(() => text(session), PATIENCE).toMatch(what);
const lines = (event: string) => rig.lines.filter((line) => line['event'] === event);

/** Scanners are up once they have been asked; a scan before that would be "down". */
async function scannersUp(worker: RelayWorker): Promise<void> {
  await expect.poll(() => worker.report().inspection?.scanners.every(({ up }) => up), PATIENCE).toBe(true);
}

async function smtp(change: Partial<InspectSettings> = {}, server = smtpServer()) {
  const settings = inspect(change);
  const { worker, agent, destination } = await rig.path(server.serve, { inspect: settings });
  if (!settings.clamd.includes(DEAD)) await scannersUp(worker);
  const session = agent.session({ port: destination.port });
  expect(await session.answer).toBe('connected');
  await says(session, /^220 /u);
  return { worker, agent, destination, session, traces: server.traces, trace: server.traces[0]! };
}

async function pop3(messages: readonly string[], change: Partial<InspectSettings> = {}) {
  const server = pop3Server(messages.map((message) => Buffer.from(message, 'latin1')));
  const settings = inspect(change);
  const { worker, agent, destination } = await rig.path(server.serve, { inspect: settings });
  if (!settings.clamd.includes(DEAD)) await scannersUp(worker);
  const session = agent.session({ port: destination.port, protocol: 'pop3' });
  expect(await session.answer).toBe('connected');
  await says(session, /^\+OK ready/u);
  return { worker, agent, destination, session, commands: server.commands };
}

/** Sends the envelope and waits for 354. */
async function begin(session: TestSession): Promise<void> {
  session.stream.write(Buffer.from(ENVELOPE));
  await says(session, '354 ');
}

describe('SMTP', () => {
  test('a clean mail passes byte for byte, and its verdict is in the line of the session', async () => {
    const { session, trace, worker } = await smtp();
    await begin(session);
    session.stream.write(Buffer.from(`${CLEAN}.\r\nQUIT\r\n`));
    await says(session, '250 queued\r\n221 bye');
    session.end();
    expect(await session.over).toBe('end');
    expect(trace.messages.map(String)).toEqual([CLEAN]);
    await expect.poll(() => lines('session')).toHaveLength(1);
    expect(lines('session')).toMatchObject([{ outcome: 'completed', clean: 1, infected: 0, unscannable: 0 }]);
    expect(worker.report().inspection).toMatchObject({ verdicts: { clean: 1, infected: 0 }, spoolBytes: 0 });
  });

  test('a virus: 554 with its name, the destination sees no end of it, and the site is told', async () => {
    const { session, trace, worker } = await smtp();
    await begin(session);
    session.stream.write(Buffer.from(`${VIRUS}.\r\n`));
    await says(session, `554 5.7.1 a virus was found: ${EICAR_SIGNATURE}`);
    await expect.poll(() => trace.ended).toBe('reset');
    expect(trace.messages).toEqual([]);
    session.stream.write(Buffer.from('QUIT\r\n'));
    await says(session, '221 ');
    session.end();
    expect(await session.over).toBe('end');
    await expect.poll(() => lines('session')).toHaveLength(1);
    expect(lines('session')).toMatchObject([{ outcome: 'completed', infected: 1, signatures: [EICAR_SIGNATURE] }]);
    expect(lines('infected')).toMatchObject([{ signature: EICAR_SIGNATURE, action: 'rejected', device: rig.device.mac, client: '192.0.2.7:50123' }]);
    expect(rig.detections).toMatchObject([
      { key: `s-${session.id.toString('hex')}-1`, mac: rig.device.mac, signature: EICAR_SIGNATURE, protocol: 'smtp', session: session.id.toString('hex') },
    ]);
    expect(worker.report().inspection).toMatchObject({ verdicts: { infected: 1 }, counts: { actions: { rejected: 1 } }, spoolBytes: 0 });
  });

  test('a client that hears 554 and does not end its side is let go after a moment', async () => {
    const server = smtpServer();
    const { worker, agent, destination } = await rig.path(server.serve, {
      inspect: inspect(),
      deadlines: { ...DEFAULT_DEADLINES, lingerMs: 300 },
    });
    await scannersUp(worker);
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    await says(session, /^220 /u);
    await begin(session);
    session.stream.write(Buffer.from(`${VIRUS}.\r\nQUIT\r\n`));
    expect(await session.over).toBe('end');
    await expect.poll(() => session.wasReset, PATIENCE).toBe(true);
    await expect.poll(() => lines('session')).toMatchObject([{ outcome: 'completed', infected: 1 }]);
  });

  test('megabytes into a destination that reads slowly arrive whole, and are scanned from the disk', async () => {
    const server = smtpServer();
    const slow = (socket: Socket): void => {
      server.serve(socket);
      const timer = setInterval(() => {
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      }, 10);
      socket.on('close', () => clearInterval(timer));
    };
    const { session, trace, worker } = await smtp({}, { ...server, serve: slow });
    await begin(session);
    const content = `${HEAD}${randomBytes(3_000_000).toString('base64').replaceAll(/.{76}/gu, '$&\r\n')}\r\n`;
    for (let at = 0; at < content.length; at += 100_000) await session.send(Buffer.from(content.slice(at, at + 100_000)));
    await session.send(Buffer.from('.\r\n'));
    await says(session, '250 queued');
    expect(sha256(trace.messages[0]!)).toBe(sha256(Buffer.from(content)));
    expect(worker.report().inspection).toMatchObject({ verdicts: { clean: 1 }, spoolBytes: 0 });
  });

  test('a client that goes on sending after the last words is let go as soon', async () => {
    const server = smtpServer();
    const { worker, agent, destination } = await rig.path(server.serve, {
      inspect: inspect(),
      deadlines: { ...DEFAULT_DEADLINES, lingerMs: 300 },
    });
    await scannersUp(worker);
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    await begin(session);
    session.stream.write(Buffer.from(`${VIRUS}.\r\nQUIT\r\n`));
    expect(await session.over).toBe('end');
    const timer = setInterval(() => session.stream.write(Buffer.from('NOOP\r\n')), 20);
    rig.defer(() => clearInterval(timer));
    await expect.poll(() => session.wasReset, { timeout: 5000 }).toBe(true);
  });

  test('a destination that stops reading in the middle gets the rest when it reads again', async () => {
    const { session, trace, destination } = await smtp();
    await begin(session);
    const [socket] = destination.sockets;
    socket?.pause();
    const content = `${HEAD}${'z'.repeat(76)}\r\n`.repeat(100_000);
    const sending = session.send(Buffer.from(`${content}.\r\n`));
    const isStuck = await Promise.race([sending.then(() => false), new Promise((resolve) => setTimeout(() => resolve(true), 500))]);
    expect(isStuck).toBe(true);
    socket?.resume();
    await sending;
    await says(session, '250 queued');
    expect(trace.messages[0]?.length).toBe(content.length);
  });

  test.each([
    ['defer', /451 4\.7\.1 .*no scanner is available/u, 0],
    ['reject', /554 5\.7\.1 .*no scanner is available/u, 0],
    ['pass', /250 queued/u, 1],
  ] as const)('without a scanner: %s', async (action, reply, delivered) => {
    const { session, trace, worker } = await smtp({ clamd: [DEAD], onUnscannable: { ...inspect().onUnscannable, scannerDown: action } });
    await begin(session);
    session.stream.write(Buffer.from(`${VIRUS}.\r\n`));
    await says(session, reply);
    expect(trace.messages).toHaveLength(delivered);
    expect(lines('unscannable')).toMatchObject([{ cause: 'scanner_down' }]);
    await expect.poll(() => worker.report().inspection?.scanners, PATIENCE).toMatchObject([{ address: DEAD, up: false }]);
  });

  test('too big: by policy, however it comes, and nothing of it is kept', async () => {
    const { session, trace, worker } = await smtp({ maxScanBytes: 200_000 });
    await begin(session);
    await session.send(Buffer.from(`${HEAD}${'x'.repeat(76)}\r\n`.repeat(10_000)));
    expect(worker.report().inspection?.spoolBytes).toBe(0);
    await session.send(Buffer.from('.\r\n'));
    await says(session, '250 queued');
    expect(trace.messages).toHaveLength(1);
    expect(lines('unscannable')).toMatchObject([{ cause: 'too_big', action: 'delivered' }]);
  });

  test('no room: as if no scanner were there', async () => {
    const { session, trace } = await smtp({ maxSpoolBytes: 100_000 });
    await begin(session);
    await session.send(Buffer.from(`${HEAD}${'x'.repeat(76)}\r\n`.repeat(2000)));
    await session.send(Buffer.from('.\r\n'));
    await says(session, /451 4\.7\.1 .*no room/u);
    expect(trace.messages).toEqual([]);
  });

  test('a client that breaks off while its mail is scanned leaves nothing behind, and nothing is delivered', async () => {
    const silent = createServer(() => {});
    const path = join(directory, '..', `sekisho-silent-${process.pid}.sock`);
    await new Promise<void>((resolve) => silent.listen(path, resolve));
    rig.defer(() => silent.close());
    const server = smtpServer();
    const { worker, agent, destination } = await rig.path(server.serve, { inspect: inspect({ clamd: [`unix:${path}`] }) });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    await says(session, /^220 /u);
    await begin(session);
    await session.send(Buffer.from(`${HEAD}${'x'.repeat(76)}\r\n`.repeat(5000)));
    await session.send(Buffer.from('.\r\n'));
    await expect.poll(() => worker.report().inspection?.spoolBytes).toBeGreaterThan(300_000);
    session.reset();
    await expect.poll(() => worker.report().inspection?.spoolBytes).toBe(0);
    await expect.poll(() => server.traces[0]?.ended).toBe('reset');
    expect(server.traces[0]?.messages).toEqual([]);
  });

  test('several mails in one session, and what is pipelined behind an end waits for its verdict', async () => {
    const { session, trace } = await smtp();
    const mail = (content: string): string => `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${content}`;
    session.stream.write(Buffer.from(`EHLO client\r\n${mail('')}`));
    await says(session, '354 ');
    session.stream.write(Buffer.from(`${CLEAN}.\r\n${mail('')}`));
    await expect.poll(() => text(session).split('354 ').length).toBe(3);
    session.stream.write(Buffer.from(`${CLEAN}.\r\nQUIT\r\n`));
    await says(session, '221 ');
    expect(trace.messages.map(String)).toEqual([CLEAN, CLEAN]);
    expect(trace.commands.at(-1)).toBe('QUIT');
  });

  test('a smuggled end of data: the conversation is broken off, and the session says why', async () => {
    const { session, trace } = await smtp();
    await begin(session);
    session.stream.write(Buffer.from(`${HEAD}one\n.\r\nMAIL FROM:<evil@example.com>\r\n`));
    await says(session, /5\d\d /u);
    expect(await session.over).toBe('end');
    session.end();
    await expect.poll(() => trace.ended).toBe('reset');
    expect(trace.messages).toEqual([]);
    await expect.poll(() => lines('session')).toMatchObject([{ outcome: 'violation', violation: 'bare_line_break' }]);
    expect(lines('protocol_violation')).toMatchObject([{ code: 'bare_line_break', by: 'client' }]);
  });

  test('after STARTTLS bytes pass unseen, and are counted', async () => {
    const server = smtpServer({ capabilities: ['STARTTLS'], onCommand: (line) => (line === 'STARTTLS' ? '220 go\r\n' : undefined) });
    const { session, worker } = await smtp({}, server);
    session.stream.write(Buffer.from('EHLO client\r\n'));
    await says(session, '250 STARTTLS');
    session.stream.write(Buffer.from('STARTTLS\r\n'));
    await says(session, '220 go');
    session.stream.write(Buffer.from('\x16\x03\x01 as if it were TLS\n'));
    await expect.poll(() => worker.report().inspection?.verdicts.uninspected).toBe(0);
    session.reset();
    await expect.poll(() => lines('session')).toMatchObject([{ uninspected: 'starttls' }]);
  });

  test('the server breaks off while its end is held: no 2xx', async () => {
    const silent = createServer(() => {});
    const path = join(directory, '..', `sekisho-mute-${process.pid}.sock`);
    await new Promise<void>((resolve) => silent.listen(path, resolve));
    rig.defer(() => silent.close());
    const { agent, destination } = await rig.path(smtpServer().serve, { inspect: inspect({ clamd: [`unix:${path}`] }) });
    const session = agent.session({ port: destination.port });
    expect(await session.answer).toBe('connected');
    await begin(session);
    session.stream.write(Buffer.from(`${CLEAN}.\r\n`));
    await new Promise((resolve) => setTimeout(resolve, 100));
    destination.sockets[0]?.end('421 4.3.2 shutting down\r\n');
    await says(session, '421 4.3.2');
    expect(await session.over).toBe('end');
    expect(text(session)).not.toMatch(/^250 queued/mu);
  });
});

describe('POP3', () => {
  const RETR = Buffer.from('RETR 1\r\n');

  test('a clean message, small or large, is given byte for byte', async () => {
    const large = `${HEAD}${randomBytes(3_000_000).toString('base64').replaceAll(/.{76}/gu, '$&\r\n')}\r\n`;
    const { session, worker } = await pop3([CLEAN, large]);
    session.stream.write(Buffer.from('RETR 1\r\nRETR 2\r\nQUIT\r\n'));
    await says(session, /\+OK bye/u);
    const expected = `+OK ready\r\n+OK ${CLEAN.length} octets\r\n${CLEAN}.\r\n+OK ${large.length} octets\r\n${large}.\r\n+OK bye\r\n`;
    expect(sha256(session.received)).toBe(sha256(Buffer.from(expected)));
    expect(await session.over).toBe('end');
    expect(worker.report().inspection).toMatchObject({ verdicts: { clean: 2 }, spoolBytes: 0 });
  });

  test('a virus is replaced by a notice, its DELE goes nowhere, and found again it counts once', async () => {
    const { session, commands, agent, destination } = await pop3([VIRUS]);
    session.stream.write(Buffer.from('RETR 1\r\nDELE 1\r\nQUIT\r\n'));
    await says(session, /\+OK bye/u);
    expect(text(session)).not.toContain(EICAR);
    expect(text(session)).toContain(EICAR_SIGNATURE);
    expect(text(session)).toMatch(/-ERR [^\r\n]*withheld/u);
    expect(commands).toEqual(['RETR 1', 'QUIT']);
    const again = agent.session({ port: destination.port, protocol: 'pop3' });
    expect(await again.answer).toBe('connected');
    again.stream.write(RETR);
    await says(again, EICAR_SIGNATURE);
    expect(new Set(rig.detections.map(({ key }) => key)).size).toBe(1);
    expect(rig.detections).toHaveLength(2);
  });

  test('too big to be scanned, and not to be passed: it is not even kept', async () => {
    const large = `${HEAD}${'y'.repeat(76)}\r\n`.repeat(5000);
    const { session, worker, commands } = await pop3([large], {
      maxScanBytes: 100_000,
      maxSpoolBytes: 200_000,
      onUnscannable: { ...inspect().onUnscannable, tooBig: 'reject' },
    });
    session.stream.write(Buffer.from('RETR 1\r\nDELE 1\r\nQUIT\r\n'));
    await says(session, /\+OK bye/u);
    expect(text(session)).toContain('too big');
    expect(text(session)).not.toContain('yyyy');
    expect(commands).toEqual(['RETR 1', 'QUIT']);
    expect(worker.report().inspection).toMatchObject({ counts: { unscannable: { too_big: 1 }, actions: { replaced: 1 } }, spoolBytes: 0 });
  });

  test('without a scanner: -ERR, and the message can be had later', async () => {
    const { session } = await pop3([CLEAN], { clamd: [DEAD] });
    session.stream.write(RETR);
    await says(session, /-ERR \[SYS\/TEMP\] /u);
    expect(text(session)).not.toContain('a word');
  });

  test('a slow scanner: the client hears a byte now and then, and gets the message once, whole', async () => {
    const held: Socket[] = [];
    const slow = createServer((socket) => held.push(socket));
    const path = join(directory, '..', `sekisho-slow-${process.pid}.sock`);
    await new Promise<void>((resolve) => slow.listen(path, resolve));
    rig.defer(() => slow.close());
    const server = pop3Server([Buffer.from(CLEAN)]);
    const { worker, agent, destination } = await rig.path(server.serve, {
      inspect: inspect({ clamd: [`unix:${path}`], scanTimeoutMs: 2500, onUnscannable: { ...inspect().onUnscannable, timeout: 'pass', scannerDown: 'pass' } }),
      deadlines: { ...DEFAULT_DEADLINES, keepAliveMs: 600 },
    });
    const session = agent.session({ port: destination.port, protocol: 'pop3' });
    expect(await session.answer).toBe('connected');
    await says(session, /^\+OK ready/u);
    session.stream.write(RETR);
    await expect.poll(() => text(session), PATIENCE).toBe(`+OK ready\r\n+OK ${CLEAN.length} octets\r\nF`);
    expect(worker.report().sessions).toMatchObject({ streaming: 0, scanning: 1 });
    await says(session, /\r\n\.\r\n$/u);
    expect(worker.report().sessions).toMatchObject({ streaming: 1, scanning: 0 });
    expect(text(session)).toBe(`+OK ready\r\n+OK ${CLEAN.length} octets\r\n${CLEAN}.\r\n`);
    for (const socket of held) socket.destroy();
  });

  test('a client that reads slowly is given a large message with bounded memory', async () => {
    const large = `${HEAD}${'y'.repeat(76)}\r\n`.repeat(40_000);
    const server = pop3Server([Buffer.from(large)]);
    const { worker, agent, destination } = await rig.path(server.serve, { inspect: inspect() });
    await scannersUp(worker);
    const session = agent.session({ port: destination.port, protocol: 'pop3', reading: false });
    await says(session, /\+OK ready/u);
    session.stream.write(RETR);
    await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(200_000);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(session.receivedBytes).toBeLessThan(300_000);
    session.read();
    await expect.poll(() => session.receivedBytes, PATIENCE).toBeGreaterThan(large.length);
    expect(text(session).endsWith('\r\n.\r\n')).toBe(true);
    await expect.poll(() => worker.report().inspection?.spoolBytes).toBe(0);
  });
});

test('what cannot be inspected passes, and its cause is counted', async () => {
  const { destination, worker, agent } = await rig.path((socket) => socket.end('* OK hello\r\n'), { inspect: inspect({ pop3: false }) });
  for (const protocol of ['imap', 'smtps', 'pop3s', 'pop3'] as const) {
    const session = agent.session({ port: destination.port, protocol });
    await says(session, /hello/u);
    session.end();
    await session.over;
  }
  await expect.poll(() => lines('session')).toHaveLength(4);
  expect(lines('session').map(({ uninspected }) => String(uninspected)).toSorted((a, b) => a.localeCompare(b))).toEqual(['imap', 'implicit_tls', 'implicit_tls', 'off']);
  expect(worker.report().inspection).toMatchObject({ verdicts: { uninspected: 4 }, counts: { uninspected: { imap: 1, implicit_tls: 2, off: 1 } } });
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
