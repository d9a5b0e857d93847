import { CLOCK_SKEW_MS, encodeFrame, type MailProtocol, type RefusalCode } from '@sekisho/wire';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { startDnsServer } from '../../../test/kit/dns-server.ts';
import { startBlackHole } from '../../../test/kit/silent-server.ts';
import { echo } from '../test/destination.ts';
import { Ledger, Rig } from '../test/rig.ts';
import { TestSite } from '../test/site.ts';
import { MAX_CONNECTIONS_PER_DEVICE } from './caps.ts';
import { DEFAULT_DEADLINES } from './settings.ts';

const rig = new Rig();

describe('tickets', () => {
  test.each<[RefusalCode, (stranger: TestSite) => Buffer]>([
    ['TICKET_INVALID', (stranger) => stranger.ticket(rig.device)],
    ['TICKET_INVALID', () => Buffer.alloc(100)],
    ['TICKET_MISMATCH', () => rig.site.ticket(rig.device, { site: 'osaka-1' })],
    ['TICKET_MISMATCH', () => rig.site.ticket(rig.device, { relays: ['s2'] })],
    ['TICKET_MISMATCH', () => rig.site.ticket(rig.device, { fingerprint: Buffer.alloc(32, 7) })],
    ['TICKET_EXPIRED', () => rig.site.ticket(rig.device, { expiresAtMs: Date.now() - CLOCK_SKEW_MS - 1000 })],
  ])('%s closes the connection', async (code, forge) => {
    const worker = await rig.worker();
    const agent = await rig.connect(worker);
    expect(await agent.show(forge(await TestSite.make()))).toBe(code);
    await agent.closed;
    const ledger = new Ledger(worker);
    ledger.take();
    expect(ledger.refusals).toEqual({ [code]: 1 });
    expect(rig.lines).toMatchObject([{ event: 'ticket_refused', code, address: '127.0.0.1', device: rig.device.mac }]);
  });

  test('the ticket of another device, shown with its own certificate', async () => {
    const thief = await rig.site.device('02:00:5e:10:00:66');
    const agent = await rig.connect(await rig.worker(), thief);
    expect(await agent.show(rig.site.ticket(rig.device))).toBe('TICKET_MISMATCH');
  });

  test('a certificate that is not the operator’s needs a ticket that says so', async () => {
    const worker = await rig.worker({ proof: 'mac-only' });
    const device = await rig.site.device('02:00:5e:10:00:77', 'mac-only');
    expect(await (await rig.connect(worker, device)).show(rig.site.ticket(device))).toBe('TICKET_MISMATCH');
    expect(await (await rig.connect(worker, device)).show(rig.site.ticket(device, { proof: 1 }))).toBe('admit');
  });

  test('an unknown version hears which ones are spoken', async () => {
    const agent = await rig.connect(await rig.worker());
    expect(await agent.show(rig.site.ticket(rig.device), [7])).toBe('VERSION');
  });

  test('a ticket that ran out ends nothing that runs, and a new one opens the door again', async () => {
    const destination = await rig.destination(echo);
    const worker = await rig.worker({ ports: [destination.port] });
    const agent = await rig.connect(worker);
    const short = rig.site.ticket(rig.device, { expiresAtMs: Date.now() - CLOCK_SKEW_MS + 1000 });
    expect(await agent.show(short)).toBe('admit');
    const running = agent.session({ port: destination.port });
    expect(await running.answer).toBe('connected');
    await expect
      .poll(() => agent.session({ port: destination.port }).answer, { timeout: 5000, interval: 200 })
      .toBe('TICKET_EXPIRED');
    expect(await agent.show(rig.site.ticket(rig.device))).toBe('admit');
    expect(await agent.session({ port: destination.port }).answer).toBe('connected');
    running.end();
    expect(await running.over).toBe('end');
  });

  test('a renewal that is wrong changes nothing, unless there is no end of them', async () => {
    const destination = await rig.destination(echo);
    const agent = await rig.admitted(await rig.worker({ ports: [destination.port] }));
    expect(await agent.show(Buffer.alloc(100))).toBe('TICKET_INVALID');
    expect(await agent.session({ port: destination.port }).answer).toBe('connected');
    const answers: string[] = [];
    while (!agent.mux.closed && answers.at(-1) !== 'RATE_LIMITED' && answers.length < 50)
      answers.push(await agent.show(Buffer.alloc(100)));
    expect(answers.at(-1)).toBe('RATE_LIMITED');
    expect(answers.length).toBeLessThan(15);
    await agent.closed;
  });
});

describe('sessions', () => {
  test.each<[RefusalCode, { host?: string; port?: number; protocol?: MailProtocol }]>([
    ['DESTINATION_PORT', { port: 22 }],
    ['DESTINATION_PORT', { port: 110, protocol: 'smtp' }],
    ['DESTINATION_ADDRESS', { host: '10.0.0.1', port: 25 }],
    ['DESTINATION_ADDRESS', { host: '169.254.169.254', port: 25 }],
    ['DESTINATION_ADDRESS', { host: '64:ff9b::7f00:1', port: 25 }],
    ['DESTINATION_ADDRESS', { host: '::1', port: 25 }],
    ['DESTINATION_NAME', { host: '127.1', port: 25 }],
    ['DESTINATION_NAME', { host: '2130706433', port: 25 }],
    ['DESTINATION_NAME', { host: '::1%lo', port: 25 }],
    ['DESTINATION_NAME', { host: '', port: 25 }],
    ['RIGHTS', { port: 143, protocol: 'imap' }],
    ['DNS_FAILED', { host: 'mail.example.com', port: 25 }],
  ])('%s: %j', async (code, init) => {
    const worker = await rig.worker();
    const agent = await rig.connect(worker);
    expect(await agent.show(rig.site.ticket(rig.device, { may: ['smtp', 'pop3'] }))).toBe('admit');
    const session = agent.session({ port: 25, ...init });
    expect(await session.answer).toBe(code);
    expect(await session.over).toBe('end');
    session.end();
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ refused: 1 });
    expect(ledger.refusals).toEqual({ [code]: 1 });
    expect(rig.lines.filter(({ event }) => event === 'session')).toMatchObject([{ outcome: 'refused', code }]);
  });

  test('CONNECT_REFUSED', async () => {
    const { destination, agent } = await rig.path(() => {});
    await destination.stop();
    expect(await agent.session({ port: destination.port }).answer).toBe('CONNECT_REFUSED');
  });

  test('CONNECT_TIMEOUT in time for the agent, which was acknowledged at once', async () => {
    const hole = await startBlackHole();
    rig.defer(() => hole.stop());
    const agent = await rig.admitted(await rig.worker({ ports: [hole.port], connectTimeoutMs: 1000 }));
    const session = agent.session({ port: hole.port });
    const first = await Promise.race([session.answer, sleep(500, 'waiting')]);
    expect([first, session.acked]).toEqual(['waiting', true]);
    expect(await session.answer).toBe('CONNECT_TIMEOUT');
  });

  test('the loser of a race is reset before it is connected', async () => {
    const hole = await startBlackHole();
    rig.defer(() => hole.stop());
    const worker = await rig.worker({ ports: [hole.port] });
    const agent = await rig.admitted(worker);
    const session = agent.session({ port: hole.port });
    await expect.poll(() => session.acked).toBe(true);
    session.reset();
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ abandoned: 1 });
  });

  test('what the agent has given up is not connected to', async () => {
    const { destination, worker, agent } = await rig.path(echo);
    agent.session({ port: destination.port }).reset();
    const ledger = new Ledger(worker);
    await expect.poll(() => (ledger.take(), ledger.outcomes)).toEqual({ abandoned: 1 });
    await sleep(200);
    expect(destination.sockets).toHaveLength(0);
    expect(worker.report().sessions).toEqual({ preamble: 0, connecting: 0, streaming: 0, scanning: 0, closing: 0 });
  });

  test('a name that leads inside, and one that leads elsewhere the second time', async () => {
    const dns = await startDnsServer({ zone: { 'inside.example': { a: ['10.0.0.1'] }, 'gone.example': {} } });
    rig.defer(() => dns.stop());
    const { destination, agent } = await rig.path(echo, { dnsServers: [dns.server] });
    expect(await agent.session({ host: 'inside.example', port: 25 }).answer).toBe('DESTINATION_ADDRESS');
    expect(await agent.session({ host: 'gone.example', port: 25 }).answer).toBe('DNS_NOT_FOUND');
    expect(await agent.session({ host: 'none.example', port: 25 }).answer).toBe('DNS_NOT_FOUND');
    dns.set('rebind.example', { a: ['127.0.0.1'], ttlS: 0 });
    const session = agent.session({ host: 'rebind.example', port: destination.port });
    await expect.poll(() => dns.queriesFor('rebind.example')).toBeGreaterThan(0);
    dns.set('rebind.example', { a: ['10.0.0.1'], ttlS: 0 });
    expect(await session.answer).toBe('connected');
    // What was classified is what was connected to: A and AAAA were asked for once.
    expect(session.connected?.address).toBe('127.0.0.1');
    expect(dns.queriesFor('rebind.example')).toBe(2);
    expect(await agent.session({ host: 'rebind.example', port: destination.port }).answer).toBe('DESTINATION_ADDRESS');
  });

  test('a relay whose DNS is dead says so, until it answers again', async () => {
    const dns = await startDnsServer({ zone: { 'mail.example': { a: ['10.0.0.1'] } } });
    rig.defer(() => dns.stop());
    dns.mode = 'servfail';
    const worker = await rig.worker({ dnsServers: [dns.server] });
    const agent = await rig.admitted(worker);
    const sessions = Array.from({ length: 5 }, (_, index) => agent.session({ host: `mail${index}.example`, port: 25 }));
    for (const session of sessions) expect(await session.answer).toBe('DNS_FAILED');
    await expect.poll(() => worker.report().unable).toBe('destination DNS dead');
    dns.mode = 'answer';
    // No session is needed for that: nobody would send one to a relay that is unable.
    await expect.poll(() => worker.report().unable, { timeout: 10_000 }).toBeUndefined();
  });

  test('a preamble that is none', async () => {
    const { agent } = await rig.path(echo);
    const connect = { type: 'connect', session: Buffer.alloc(16), protocol: 0, host: 'x.example', port: 25, client: 'x' } as const;
    const frame = encodeFrame(connect);
    const doubled = Buffer.concat([frame, frame.subarray(-4)]);
    doubled.writeUInt16BE(doubled.length - 2, 0);
    const bad: Buffer[] = [
      Buffer.from('EHLO mail.example.com\r\n'),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      encodeFrame({ type: 'ping', id: 1 }),
      Buffer.from([0xff, 0xff, 0x22]),
      frame.subarray(0, 3).fill(0, 0, 2),
      encodeFrame({ ...connect, protocol: 6 }),
      encodeFrame({ ...connect, protocol: 255 }),
      doubled,
    ];
    for (const raw of bad) expect(await agent.session({ port: 0, raw }).answer, raw.toString('hex')).toBe('PROTOCOL');
    const cut = agent.session({ port: 0, raw: frame.subarray(0, 20) });
    cut.end();
    expect(await cut.answer).toBe('PROTOCOL');
  });

  test('a preamble byte by byte is read, one that never ends is not waited for', async () => {
    const deadlines = { ...DEFAULT_DEADLINES, preambleMs: 700 };
    const { destination, agent } = await rig.path(echo, { deadlines });
    const frame = encodeFrame({
      type: 'connect',
      session: Buffer.alloc(16),
      protocol: 0,
      host: '127.0.0.1',
      port: destination.port,
      client: '192.0.2.1:1',
    });
    const dripping = agent.session({ port: 0, raw: frame.subarray(0, 1) });
    for (const byte of frame.subarray(1)) dripping.stream.write(Buffer.from([byte]));
    expect(await dripping.answer).toBe('connected');
    const silent = agent.session({ port: 0, raw: frame.subarray(0, 5) });
    expect(await silent.answer).toBe('PROTOCOL');
  });

  test('client bytes without end before the destination is connected', async () => {
    const hole = await startBlackHole();
    rig.defer(() => hole.stop());
    const agent = await rig.admitted(await rig.worker({ ports: [hole.port] }));
    expect(await agent.session({ port: hole.port, early: Buffer.alloc(100_000) }).answer).toBe('PROTOCOL');
  });
});

describe('caps', () => {
  const limits = { maxSessions: 1000, maxDevices: 500, maxSessionsPerDevice: 300, maxPerAddress: 400 };

  test('DEVICE_FULL and FULL, and room again afterwards', async () => {
    const { destination, agent, worker } = await rig.path(echo, { limits: { ...limits, maxSessions: 3, maxSessionsPerDevice: 2 } });
    const second = await rig.site.device('02:00:5e:10:00:02');
    const other = await rig.admitted(worker, second);
    const { port } = destination;
    const first = agent.session({ port });
    expect(await first.answer).toBe('connected');
    expect(await agent.session({ port }).answer).toBe('connected');
    expect(await agent.session({ port }).answer).toBe('DEVICE_FULL');
    expect(await other.session({ port }).answer).toBe('connected');
    expect(await other.session({ port }).answer).toBe('FULL');
    first.end();
    await first.over;
    await expect.poll(() => other.session({ port }).answer).toBe('connected');
  });

  test('refused sessions do not use up the device', async () => {
    const { destination, agent } = await rig.path(echo, { limits: { ...limits, maxSessionsPerDevice: 1 } });
    for (let index = 0; index < 50; index += 1) {
      const refused = agent.session({ port: 22 });
      expect(await refused.answer).toBe('DESTINATION_PORT');
      refused.end();
    }
    expect(await agent.session({ port: destination.port }).answer).toBe('connected');
  });

  test('devices, and connections of one device', async () => {
    const worker = await rig.worker({ limits: { ...limits, maxDevices: MAX_CONNECTIONS_PER_DEVICE + 1 } });
    for (let index = 0; index < MAX_CONNECTIONS_PER_DEVICE; index += 1) await rig.admitted(worker);
    expect(await (await rig.connect(worker)).show(rig.site.ticket(rig.device))).toBe('DEVICE_FULL');
    const [second, third] = [await rig.site.device('02:00:5e:10:00:02'), await rig.site.device('02:00:5e:10:00:03')];
    const agent = await rig.admitted(worker, second);
    expect(await (await rig.connect(worker, third)).show(rig.site.ticket(third))).toBe('FULL');
    agent.close();
    await expect.poll(async () => (await rig.connect(worker, third)).show(rig.site.ticket(third))).toBe('admit');
  });

  test('more sessions than may wait for a ticket', async () => {
    const worker = await rig.worker();
    const agent = await rig.connect(worker);
    const sessions = Array.from({ length: 65 }, () => agent.session({ port: 25, host: '10.0.0.1' }));
    expect(await sessions.at(-1)!.answer).toBe('TICKET_REQUIRED');
    expect(await agent.show(rig.site.ticket(rig.device))).toBe('admit');
    for (const session of sessions.slice(0, -1)) expect(await session.answer).toBe('DESTINATION_ADDRESS');
  });
});
