import { connect as connectTcp } from 'node:net';
import { fileURLToPath } from 'node:url';
import { connectEndpoint, ControlConnection, secureContext, SessionStore } from '@sekisho/channel';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { CONTROL_ALPN, DATA_ALPN, type Message, type RelayReport } from '@sekisho/wire';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { TestAgent } from '../../test/agent.ts';
import { echo, startDestination, type TestDestination } from '../../test/destination.ts';
import { type TestDevice, TestSite } from '../../test/site.ts';
import { DEFAULT_DEADLINES, type RelaySettings } from '../settings.ts';
import { type RelaySupervisor, startRelaySupervisor } from './supervisor.ts';

const EXEC = { file: fileURLToPath(new URL('../../test/worker-main.ts', import.meta.url)), args: [] };
/** Processes start, on a machine that is busy. */
const PATIENCE = { timeout: 15_000 };

let site: TestSite;
let device: TestDevice;
beforeAll(async () => {
  site = await TestSite.make();
  device = await site.device();
});

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const log = createLogger({ role: 'relay', level: 'silent' });

async function start(change: Partial<RelaySettings> & { readonly ports?: readonly number[] } = {}) {
  const metrics = new Metrics();
  const deadlines = { ...DEFAULT_DEADLINES, reportMs: 100, hungMs: 1500 };
  const relay = await startRelaySupervisor({ log, metrics }, site.settings({ workers: 2, deadlines, ...change }), EXEC);
  cleanUps.push(() => relay.close());
  return { relay, metrics };
}

async function destination(): Promise<TestDestination> {
  const server = await startDestination(echo);
  cleanUps.push(() => server.stop());
  return server;
}

async function agentAt(relay: RelaySupervisor, as = device): Promise<TestAgent> {
  const agent = await TestAgent.connect(as, relay.status().port);
  cleanUps.push(() => agent.close());
  expect(await agent.show(site.ticket(as))).toBe('admit');
  return agent;
}

/** A manager of the site: says hello and pings. */
async function managerAt(relay: RelaySupervisor, role: 'manager' | 'auth' | 'relay' = 'manager', ofSite = 'tokyo-1') {
  const socket = await connectEndpoint({
    host: '127.0.0.1',
    port: relay.status().controlPort,
    context: secureContext(await site.server(role, ofSite)),
    alpn: CONTROL_ALPN,
    expect: { role: 'relay' },
    timeoutMs: 5000,
  });
  const messages: Message<'welcome' | 'pong' | 'refuse'>[] = [];
  const closed = Promise.withResolvers<string>();
  const connection = new ControlConnection(
    socket,
    { accepts: ['welcome', 'pong', 'refuse'], maxPending: 10, maxBufferedBytes: 65_536 },
    { onMessage: (message) => messages.push(message), onClose: (error) => closed.resolve(error.code) },
  );
  cleanUps.push(() => connection.close());
  return {
    connection,
    messages,
    closed: closed.promise,
    hello: (versions = [1]) =>
      connection.ask<'hello'>({ type: 'hello', versions: Buffer.from(versions), software: 'test', avoid: [] }, 5000),
    ping: async (): Promise<RelayReport> => {
      const pong = await connection.ask<'ping'>({ type: 'ping' }, 5000);
      if (pong.type !== 'pong' || pong.report === undefined) throw new Error(`answered with ${pong.type}`);
      return pong.report;
    },
  };
}

test('two workers listen at one port, and managers are told how they are', async () => {
  const server = await destination();
  const { relay, metrics } = await start({ ports: [server.port], bytesPerSecondLimit: 125_000_000 });
  expect(relay.status()).toMatchObject({ site: 'tokyo-1', name: 's1', workers: 2, workersWanted: 2 });
  expect(relay.status().pids).toHaveLength(2);
  const manager = await managerAt(relay);
  expect(await manager.hello()).toMatchObject({ type: 'welcome', version: 1, name: 's1', site: 'tokyo-1' });

  const agents = await Promise.all(Array.from({ length: 6 }, () => agentAt(relay)));
  const sessions = agents.map((agent) => agent.session({ port: server.port }));
  for (const session of sessions) expect(await session.answer).toBe('connected');
  await expect.poll(() => manager.ping(), PATIENCE).toMatchObject({ sessions: 6, devices: 6, maxSessions: 1000, draining: 0 });
  for (const session of sessions) session.stream.write(Buffer.alloc(100_000, 1));
  await expect.poll(async () => (await manager.ping()).bytesPerSecond, PATIENCE).toBeGreaterThan(100_000);
  const report = await manager.ping();
  expect(report.bytesPerSecondLimit).toBe(125_000_000);
  expect(report.hottestCoreMilli).toBeLessThanOrEqual(1000);
  expect(report).toMatchObject({ workers: 2, workersWanted: 2 });
  expect(report.unable).toBeUndefined();

  for (const session of sessions) session.end();
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_sessions_total{outcome="completed"} 6');
  const text = await metrics.text();
  expect(text).toContain('sekisho_relay_workers 2');
  expect(text).toContain('sekisho_relay_devices 6');
  expect(text).toContain('sekisho_relay_connect_seconds_count 6');
  expect(text).toMatch(/sekisho_relay_bytes_total\{direction="up"\} 600000/u);
});

test('a worker that is killed takes only its own sessions with it, and is replaced', async () => {
  const server = await destination();
  const { relay, metrics } = await start({ ports: [server.port] });
  // Enough that each worker has some: of twelve, all at one worker is one time in two thousand.
  const macs = Array.from({ length: 12 }, (_, index) => `02:00:5e:10:01:${index.toString(16).padStart(2, '0')}`);
  const agents = await Promise.all(macs.map(async (mac) => agentAt(relay, await site.device(mac))));
  const sessions = agents.map((agent) => agent.session({ port: server.port }));
  for (const session of sessions) expect(await session.answer).toBe('connected');
  const [victim] = relay.status().pids;
  process.kill(victim!, 'SIGKILL');
  await expect.poll(() => sessions.some(({ ended }) => ended === 'reset'), PATIENCE).toBe(true);
  // Its sockets are reset a moment before its parent hears of its end.
  await expect.poll(() => relay.status().pids, PATIENCE).not.toContain(victim);
  await expect.poll(() => relay.status().workers, PATIENCE).toBe(2);
  const alive = sessions.filter(({ ended }) => ended === undefined);
  expect(alive.length).toBeGreaterThan(0);
  for (const session of alive) {
    session.stream.write(Buffer.from('still here'));
    session.end();
    expect(await session.over).toBe('end');
    expect(session.received.toString()).toBe('still here');
  }
  expect(await metrics.text()).toContain('sekisho_relay_worker_restarts_total 1');
  const later = (await agentAt(relay)).session({ port: server.port });
  expect(await later.answer).toBe('connected');
});

test('a signal to the whole group is left to the supervisor', async () => {
  const server = await destination();
  const { relay } = await start({ ports: [server.port], workers: 1 });
  const session = (await agentAt(relay)).session({ port: server.port });
  expect(await session.answer).toBe('connected');
  const [pid] = relay.status().pids;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(pid!, signal);
  session.stream.write(Buffer.from('still here'));
  await expect.poll(() => session.received.toString(), PATIENCE).toBe('still here');
  expect(relay.status().pids).toEqual([pid]);
});

test('a worker that hangs is killed and replaced', async () => {
  const { relay } = await start();
  const [victim] = relay.status().pids;
  process.kill(victim!, 'SIGSTOP');
  await expect.poll(() => relay.status().pids.includes(victim!), PATIENCE).toBe(false);
  await expect.poll(() => relay.status().workers, PATIENCE).toBe(2);
});

test('without a worker the relay says that it is unable', async () => {
  const { relay } = await start({ workers: 1 });
  const manager = await managerAt(relay);
  await manager.hello();
  process.kill(relay.status().pids[0]!, 'SIGKILL');
  await expect.poll(async () => (await manager.ping()).unable, { ...PATIENCE, interval: 10 }).toBe('no workers');
  await expect.poll(async () => (await manager.ping()).unable, PATIENCE).toBeUndefined();
});

test('drain: says so, refuses new devices and sessions, and waits for the running ones', async () => {
  const server = await destination();
  const { relay } = await start({ ports: [server.port] });
  const manager = await managerAt(relay);
  await manager.hello();
  const agent = await agentAt(relay);
  const session = agent.session({ port: server.port });
  expect(await session.answer).toBe('connected');
  const { port } = relay.status();
  let isDrained = false;
  const drained = relay.drain().then(() => (isDrained = true));
  expect((await manager.ping()).draining).toBe(1);
  await expect.poll(() => agent.goneAway, PATIENCE).toBe(true);
  expect(() => agent.session({ port: server.port })).toThrow(/GOING_AWAY/u);
  await expect.poll(() => isAccepting(port), PATIENCE).toBe(false);
  session.stream.write(Buffer.from('the rest of the mail'));
  await expect.poll(() => session.received.toString(), PATIENCE).toBe('the rest of the mail');
  expect(isDrained).toBe(false);
  session.end();
  expect(await session.over).toBe('end');
  await drained;
  expect(relay.status().pids).toEqual([]);
});

test('drain: what does not end in time is cut off', async () => {
  const server = await destination();
  const { relay } = await start({ ports: [server.port], drainTimeoutMs: 500 });
  const session = (await agentAt(relay)).session({ port: server.port });
  expect(await session.answer).toBe('connected');
  await relay.drain();
  expect(await session.over).toBe('reset');
});

test('drain: a second call ends at once', async () => {
  const server = await destination();
  const { relay } = await start({ ports: [server.port], drainTimeoutMs: 600_000 });
  const session = (await agentAt(relay)).session({ port: server.port });
  expect(await session.answer).toBe('connected');
  const first = relay.drain();
  await relay.drain();
  await first;
  expect(await session.over).toBe('reset');
});

test('a port that is taken is an error at the start', async () => {
  const server = await destination();
  const listen = { host: '127.0.0.1', port: 0, controlPort: server.port };
  await expect(start({ listen })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await expect(start({ listen: { ...listen, port: server.port, controlPort: 0 } })).rejects.toMatchObject({
    code: 'EADDRINUSE',
    port: server.port,
  });
});

test('a second relay does not share the port of the first', async () => {
  const { relay } = await start();
  const { port, controlPort } = relay.status();
  await expect(start({ listen: { host: '127.0.0.1', port, controlPort } })).rejects.toMatchObject({
    code: 'EADDRINUSE',
    port: controlPort,
  });
});

test('only managers and relays of the site are answered', async () => {
  const { relay, metrics } = await start({ workers: 1 });
  for (const [role, ofSite] of [['auth', 'tokyo-1'], ['manager', 'osaka-1'], ['relay', 'osaka-1']] as const) {
    const stranger = await managerAt(relay, role, ofSite);
    expect(await stranger.closed).toBe('CLOSED');
    expect(stranger.messages).toMatchObject([{ type: 'refuse', code: 3 }]);
  }
  const hasty = await managerAt(relay);
  await expect(hasty.ping()).rejects.toThrow(/refuse/u);
  const future = await managerAt(relay);
  expect(await future.hello([2, 3])).toMatchObject({ type: 'refuse', code: 1, versions: Buffer.from([1]) });
  expect(await metrics.text()).toContain('sekisho_relay_refusals_total{code="IDENTITY"} 3');
  const fellow = await managerAt(relay, 'relay');
  expect(await fellow.hello()).toMatchObject({ type: 'welcome' });
  expect(await fellow.ping()).toMatchObject({ maxSessions: 1000 });
});

test('strangers with half-open handshakes keep no manager of the site out', async () => {
  const destinations = { extraPorts: [], allow: [], ownAddresses: ['127.0.0.1'], proxyProtocol: [] };
  const { relay, metrics } = await start({ workers: 1, destinations });
  for (let index = 0; index < 70; index += 1) {
    const socket = connectTcp({ host: '127.0.0.1', port: relay.status().controlPort, localAddress: `127.0.8.${1 + (index % 5)}` });
    socket.on('error', () => {});
    cleanUps.push(() => socket.destroy());
  }
  await expect.poll(() => metrics.text(), PATIENCE).toMatch(/rejected_connections_total\{reason="full"\} 6/u);
  expect(await (await managerAt(relay)).hello()).toMatchObject({ type: 'welcome' });
});

test('garbage at the control port is closed and counted', async () => {
  const { relay, metrics } = await start({ workers: 1 });
  const socket = connectTcp(relay.status().controlPort, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\n\r\n');
  await new Promise((resolve) => socket.resume().once('close', resolve));
  await expect.poll(() => metrics.text(), PATIENCE).toContain('sekisho_relay_rejected_connections_total{reason="handshake"} 1');
});

async function isAccepting(port: number): Promise<boolean> {
  const socket = connectTcp(port, '127.0.0.1');
  try {
    return await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

test('a TLS session that one worker began is resumed at whichever worker the device meets next', async () => {
  const { relay } = await start();
  const init = {
    host: '127.0.0.1',
    port: relay.status().port,
    context: secureContext(device.credentials),
    alpn: DATA_ALPN,
    expect: { role: 'relay', site: 'tokyo-1' },
    timeoutMs: 5000,
    sessions: new SessionStore(),
  } as const;
  const first = await connectEndpoint(init);
  cleanUps.push(() => first.destroy());
  await expect.poll(() => init.sessions.size, PATIENCE).toBe(1);
  // One in 2^16 that all of them meet the same worker.
  for (let time = 0; time < 16; time += 1) {
    const socket = await connectEndpoint(init);
    cleanUps.push(() => socket.destroy());
    expect(socket.isSessionReused()).toBe(true);
  }
});

test('a resumed connection is of the device that began it: tickets of another one are refused', async () => {
  const { relay } = await start({ workers: 1 });
  const other = await site.device('02:00:5e:10:00:77');
  const sessions = new SessionStore();
  const agent = await TestAgent.connect(device, relay.status().port, sessions);
  cleanUps.push(() => agent.close());
  expect(await agent.show(site.ticket(device))).toBe('admit');
  const again = await TestAgent.connect(other, relay.status().port, sessions);
  cleanUps.push(() => again.close());
  expect(again.mux.socket.isSessionReused()).toBe(true);
  expect(await again.show(site.ticket(other))).toBe('TICKET_MISMATCH');
});
