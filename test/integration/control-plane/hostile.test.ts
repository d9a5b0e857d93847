import { createConnection, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { encodeFrame, REFUSALS } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, IDLE_REPORT, MiniSite, TestPeer, values } from './mini-site.ts';

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
});
afterEach(() => site.close());

const HANDSHAKE_MS = 400;

async function startAll(): Promise<{ name: string; port: number }[]> {
  const auth = await site.startAuth({ handshakeTimeoutMs: HANDSHAKE_MS });
  await site.startRelays(1);
  const manager = await site.startManager({ handshakeTimeoutMs: HANDSHAKE_MS, maxPerAddress: 30, maxAgents: 60 });
  return [
    { name: 'auth', port: auth.port },
    { name: 'manager', port: manager.port },
  ];
}

/** What a raw connection gets to hear until it is closed. */
async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => {});
  let closed = false;
  socket.on('close', () => (closed = true));
  await eventually('the connection is closed', () => closed);
  return text;
}

const rejected = async (role: string, reason: string): Promise<number> =>
  (await values(role === 'auth' ? site.authMetrics : site.managerMetrics))[`sekisho_${role}_rejected_connections_total{reason="${reason}"}`] ?? 0;

test('HTTP, SMTP and garbage on each port are closed, counted, and told nothing', async () => {
  for (const { name, port } of await startAll()) {
    for (const bytes of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'EHLO x\r\n', '\0'.repeat(100_000), '\x16\x03\x01\xff\xff' + 'x'.repeat(100_000)]) {
      const socket = createConnection(port, '127.0.0.1');
      socket.write(bytes, 'latin1');
      // A TLS alert at most: never a byte of ours.
      expect((await heard(socket)).length).toBeLessThan(16);
    }
    expect(await rejected(name, 'handshake')).toBe(4);
  }
  expect(await (await site.agent(await site.device())).hello()).toMatchObject({ type: 'lease' });
});

test('TLS without a certificate, with another ALPN name or with none', async () => {
  const { certPem, keyPem } = await site.device();
  for (const { name, port } of await startAll()) {
    const tries: [string, object][] = [
      ['no_certificate', { ALPNProtocols: ['sekisho-control/1'] }],
      ['alpn', { cert: certPem, key: keyPem }],
      ['handshake', { cert: certPem, key: keyPem, ALPNProtocols: ['h2'] }],
    ];
    for (const [reason, options] of tries) {
      const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
      expect(await heard(socket)).toBe('');
      expect([name, reason, await rejected(name, reason)]).toEqual([name, reason, 1]);
    }
  }
});

test('half-open and slow handshakes end by the deadline', async () => {
  for (const { name, port } of await startAll()) {
    const sockets = Array.from({ length: 20 }, () => createConnection(port, '127.0.0.1'));
    const slow = sockets[0]!;
    slow.write('\x16\x03\x01\x02\x00', 'latin1');
    const drip = setInterval(() => slow.write('\x01'), 50);
    await Promise.all(sockets.map((socket) => heard(socket)));
    clearInterval(drip);
    expect(await rejected(name, 'timeout')).toBe(20);
  }
});

test('strangers with half-open handshakes keep no manager that restarts out of auth', async () => {
  const auth = await site.startAuth({ serverAddresses: ['127.0.0.1'] });
  await site.startRelays(1);
  const strangers = Array.from({ length: 300 }, (_, index) => {
    const socket = createConnection({ port: auth.port, host: '127.0.0.1', localAddress: `127.0.9.${1 + (index % 6)}` });
    return socket.on('error', () => {});
  });
  try {
    await expect.poll(() => rejected('auth', 'full'), { timeout: 10_000 }).toBe(44);
    await site.startManager();
    expect(await (await site.agent(await site.device())).hello()).toMatchObject({ type: 'lease' });
  } finally {
    for (const socket of strangers) socket.destroy();
  }
});

test('caps for one address and for all', async () => {
  await startAll();
  const { port } = site.manager!;
  const many = Array.from({ length: 40 }, () => createConnection(port, '127.0.0.1'));
  const elsewhere = Array.from({ length: 40 }, (_, index) => createConnection({ port, host: '127.0.0.1', localAddress: `127.0.9.${1 + (index % 2)}` }));
  await Promise.all([...many, ...elsewhere].map((socket) => heard(socket)));
  expect(await rejected('manager', 'address_full')).toBeGreaterThanOrEqual(10);
  expect(await rejected('manager', 'full')).toBeGreaterThanOrEqual(10);
  expect(await rejected('manager', 'timeout')).toBeLessThanOrEqual(60);
  await expect.poll(async () => (await (await site.agent(await site.device())).hello()).type, { timeout: 10_000 }).toBe('lease');
});

test('a frame that is malformed, too long or not for this port ends the connection with PROTOCOL', async () => {
  await startAll();
  const certificate = await site.device();
  const grant = encodeFrame({ type: 'grant', id: 1, ticket: Buffer.alloc(65), ttlMs: 1 });
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.from([0xff, 0xff, 0x01]), Buffer.from([0, 1, 0x77]), grant, Buffer.from([0, 4, 0x06, 1, 0, 9])]) {
    const agent = await site.agent(certificate);
    agent.connection.socket.write(bytes);
    expect(await eventually('the refusal', () => agent.messages[0])).toMatchObject({ type: 'refuse', id: 0, code: REFUSALS.PROTOCOL.number });
    await agent.whenClosed();
  }
  expect(await rejected('manager', 'protocol')).toBe(5);
});

test('a flood of hellos on one connection: refused with a pause, then closed; auth is spared', async () => {
  await startAll();
  const agent = await site.agent(await site.device());
  const answers = await Promise.allSettled(Array.from({ length: 500 }, () => agent.hello()));
  await agent.whenClosed();
  const refusals = answers.flatMap((answer) => (answer.status === 'fulfilled' && answer.value.type === 'refuse' ? [answer.value] : []));
  expect(refusals.length).toBeGreaterThan(0);
  expect(refusals.length).toBeLessThanOrEqual(100);
  for (const refusal of refusals) expect([refusal.code, refusal.retryAfterMs! > 0]).toEqual([REFUSALS.RATE_LIMITED.number, true]);
  expect((await values(site.authMetrics))['sekisho_auth_grants_total{proof="certificate"}'] ?? 0).toBeLessThanOrEqual(20);
  expect(await rejected('manager', 'flood')).toBe(1);
});

test('a flood of pings and byes is cut off; who is not admitted writes nothing into the log', async () => {
  await startAll();
  const agent = await site.agent(await site.selfSigned());
  const bye = encodeFrame({ type: 'bye', session: Buffer.alloc(16), outcome: 'x', bytesUp: 1, bytesDown: 1, durationMs: 1 });
  agent.connection.socket.write(Buffer.concat(Array.from({ length: 2000 }, () => bye)));
  await agent.whenClosed();
  expect(site.logged.filter(({ event }) => event === 'session')).toEqual([]);
  expect(await rejected('manager', 'flood')).toBe(1);
});

test('an agent that asks and does not read is cut off', async () => {
  await startAll();
  const agent = await site.agent(await site.device());
  agent.connection.socket.pause();
  const ping = encodeFrame({ type: 'ping', id: 1 });
  for (let round = 0; round < 50; round += 1) agent.connection.socket.write(Buffer.concat(Array.from({ length: 100 }, () => ping)));
  await expect.poll(() => rejected('manager', 'flood'), { timeout: 10_000 }).toBe(1);
  expect(site.manager!.status().agents).toBe(0);
  agent.connection.close();
});

test('a manager that says nothing more is let go by auth', async () => {
  const auth = await site.startAuth({ idleMs: 300 });
  const connect = () => TestPeer.connect({ port: auth.port, caPem: site.operator.caCertPem, certificate: site.keys.manager, role: 'auth' });
  const [silent, alive] = [await connect(), await connect()];
  const pings = setInterval(() => alive.connection.send({ type: 'ping', id: 9 }), 50);
  await silent.whenClosed();
  await new Promise((resolve) => setTimeout(resolve, 700));
  clearInterval(pings);
  expect(alive.closed).toBeUndefined();
  expect(await rejected('auth', 'idle')).toBe(1);
});

test('silent agents are closed: without a hello sooner, with one after the idle time', async () => {
  await site.startAuth();
  await site.startRelays(1);
  await site.startManager({ idleMs: 900 });
  const certificate = await site.device();
  const [mute, idle, alive] = [await site.agent(certificate), await site.agent(certificate), await site.agent(certificate)];
  expect([(await idle.hello()).type, (await alive.hello()).type]).toEqual(['lease', 'lease']);
  const pings = setInterval(() => alive.connection.send({ type: 'ping', id: 9 }), 100);
  await mute.whenClosed();
  await idle.whenClosed();
  await new Promise((resolve) => setTimeout(resolve, 1000));
  clearInterval(pings);
  expect(alive.closed).toBeUndefined();
  expect(await rejected('manager', 'idle')).toBe(2);
});

test('a server that answers for a relay and is none of this site, or another one, is not used', async () => {
  await site.startAuth();
  const other = await site.operator.issueSite({ site: 'osaka-1', days: 5 });
  const { FakeRelay } = await import('./mini-site.ts');
  const fakes = [
    new FakeRelay({ name: 's1', credentials: site.credentials('relay', other) }),
    new FakeRelay({ name: 's2', credentials: site.credentials('auth') }),
    new FakeRelay({ name: 's3', welcomeAs: 's9', credentials: site.credentials('relay') }),
    new FakeRelay({ name: 's4', credentials: site.credentials('relay') }),
  ];
  for (const fake of fakes) {
    fake.report = IDLE_REPORT;
    await fake.listen();
    site.relays.push(fake);
  }
  await site.startManager();
  expect(site.manager!.status().table.relays.map(({ name, state }) => [name, state])).toEqual([
    ['s1', 'down'],
    ['s2', 'down'],
    ['s3', 'down'],
    ['s4', 'up'],
  ]);
  const reasons = site.logged.filter(({ event }) => event === 'relay_lost').map(({ relay, reason }) => `${String(relay)}: ${String(reason)}`);
  expect(reasons.join('\n')).toContain('s1: the certificate is of site osaka-1');
  expect(reasons.join('\n')).toContain('s2: the certificate is for the role auth');
  expect(reasons.join('\n')).toContain('s3: at this address is another server than s3');
});
