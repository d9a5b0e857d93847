import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pop3Inspector } from '@sekisho/inspect';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { ALL_PASS, inspectSettings } from '../../test/inspect-settings.ts';
import { Rig } from '../../test/rig.ts';
import { DEFAULT_DEADLINES } from '../settings.ts';

// A mistake of an inspector cannot be caused from outside: here its methods throw.

const rig = new Rig();
let spoolDirectory: string;
beforeAll(() => {
  spoolDirectory = mkdtempSync(join(tmpdir(), 'sekisho-spool-'));
});
afterEach(() => vi.restoreAllMocks());
afterAll(() => rmSync(spoolDirectory, { recursive: true }));

const PATIENCE = { timeout: 15_000 };
const inspect = () => inspectSettings({ onUnscannable: ALL_PASS, spoolDirectory });

/** A POP3 server that stops in the middle of its message for long enough that a client is kept alive. */
function halting(socket: Socket): void {
  socket.write('+OK ready\r\n');
  socket.on('end', () => socket.end());
  socket.on('data', () => {
    socket.write('+OK\r\nSubject: a\r\n');
    setTimeout(() => socket.write('\r\nb\r\n.\r\n'), 50);
  });
}

test.each(['fromClient', 'fromServer', 'clientEnded', 'serverEnded', 'decide', 'contentReleased', 'keepAlive'] as const)(
  'an inspector that throws in %s ends its session with resets, and no other',
  async (method) => {
    const { agent, destination, worker } = await rig.path(halting, {
      inspect: inspect(),
      deadlines: { ...DEFAULT_DEADLINES, keepAliveMs: 10 },
    });
    const open = async () => {
      const session = agent.session({ port: destination.port, protocol: 'pop3' });
      await expect.poll(() => session.received.toString(), PATIENCE).toMatch(/^\+OK ready/u);
      return session;
    };
    const [other, session] = [await open(), await open()];
    vi.spyOn(Pop3Inspector.prototype, method).mockImplementationOnce(() => {
      throw new Error('a mistake');
    });
    session.stream.write(Buffer.from('RETR 1\r\n'));
    if (method === 'serverEnded') destination.sockets[1]?.end();
    if (method === 'clientEnded') session.end();
    expect(await session.over).toBe('reset');
    await expect.poll(() => rig.lines.filter(({ event }) => event === 'session')).toMatchObject([{ outcome: 'failed' }]);
    expect(rig.lines.filter(({ event }) => event === 'session_failed')).toMatchObject([{ session: session.id.toString('hex') }]);
    await expect.poll(() => destination.sockets[1]?.destroyed).toBe(true);
    expect(worker.report().inspection?.spoolBytes).toBe(0);
    other.stream.write(Buffer.from('RETR 1\r\n'));
    await expect.poll(() => other.received.toString(), PATIENCE).toMatch(/b\r\n\.\r\n$/u);
  },
);

test('an inspector that throws at what was there before the destination: the session is not counted any more', async () => {
  const { agent, destination, worker } = await rig.path(halting, { inspect: inspect() });
  vi.spyOn(Pop3Inspector.prototype, 'fromClient').mockImplementationOnce(() => {
    throw new Error('a mistake');
  });
  const session = agent.session({ port: destination.port, protocol: 'pop3', early: Buffer.from('QUIT\r\n') });
  session.end();
  expect(await session.over).toBe('reset');
  await expect.poll(() => rig.lines.filter(({ event }) => event === 'session')).toMatchObject([{ outcome: 'failed' }]);
  expect(Object.values(worker.report().sessions).every((count) => count === 0)).toBe(true);
});
