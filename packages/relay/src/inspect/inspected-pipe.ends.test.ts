import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestSession } from '../../test/agent.ts';
import { pop3Server, smtpServer } from '../../test/mail-server.ts';
import { Rig } from '../../test/rig.ts';
import type { InspectSettings } from './settings.ts';

const rig = new Rig();
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sekisho-spool-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Nobody answers there, and what could not be scanned passes. */
const inspect = (change: Partial<InspectSettings> = {}): InspectSettings => ({
  clamd: ['unix:/nonexistent/clamd.sock'],
  smtp: true,
  pop3: true,
  onInfected: { smtp: 'reject', pop3: 'replace' },
  onUnscannable: { tooBig: 'pass', scannerDown: 'pass', timeout: 'pass', encrypted: 'pass' },
  starttls: 'pass',
  maxScanBytes: 25_000_000,
  scanTimeoutMs: 10_000,
  maxScansPerScanner: 8,
  spoolDirectory: directory,
  maxSpoolBytes: 100_000_000,
  ...change,
});
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
