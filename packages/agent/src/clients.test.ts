import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { MailProtocol } from '@sekisho/wire';
import { beforeAll, expect, test } from 'vitest';
import { closeServer, listenOn } from '../../../test/kit/loopback-listen.ts';
import { startBlackHole } from '../../../test/kit/silent-server.ts';
import { atEnd, destination, makeMesh, type Mesh, TestClient, until, World } from './testing/world.ts';

/** What clients see: direct connections, limits, refusals in their protocol, the end of the agent. */

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const A = '127.0.1.1';
const listen = { host: '127.0.0.1', port: 0 };

async function unusedPort(): Promise<number> {
  const server = createServer();
  const port = await listenOn(server, '127.0.0.1', 0);
  await closeServer(server);
  return port;
}

test('a direct session: bytes, half-close and summary', async () => {
  const world = await World.create(mesh);
  const mail = randomBytes(5_000_000);
  const target = await destination((socket) => {
    socket.write('220 hello\r\n');
    socket.on('end', () => socket.end('221 bye\r\n'));
  });
  const { port, events } = await world.agent(target);
  const client = new TestClient(port);
  await client.line();
  client.socket.end(mail);
  await client.untilClosed();
  expect(client.text).toBe('220 hello\r\n221 bye\r\n');
  expect(client.error).toBeUndefined();
  const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(sha(target.received())).toBe(sha(mail));
  await until(() => events('session').length === 1);
  expect(events('session')[0]).toMatchObject({ route: 'direct', reason: 'dns_empty', outcome: 'completed', bytesUp: 5_000_000, bytesDown: 20 });
});

test('a direct session that is aborted on one side is aborted on the other', async () => {
  const world = await World.create(mesh);
  let problem: string | undefined;
  let ended = false;
  const target = await destination((socket) => {
    socket.on('error', (error: NodeJS.ErrnoException) => (problem = error.code));
    socket.on('end', () => (ended = true));
    socket.write('220 hello\r\n');
  });
  const { port, events } = await world.agent(target);
  const first = new TestClient(port);
  await first.line();
  target.sockets[0]?.resetAndDestroy();
  await first.untilClosed();
  expect([first.error, first.ended]).toEqual(['ECONNRESET', false]);
  const second = new TestClient(port);
  await second.line();
  second.socket.resetAndDestroy();
  await until(() => problem !== undefined);
  expect([problem, ended]).toEqual(['ECONNRESET', false]);
  await until(() => events('session').length === 2);
  expect(events('session').map(({ outcome }) => outcome)).toEqual(['destination_aborted', 'client_aborted']);
});

test('direct to a name that only the configured DNS knows', async () => {
  const world = await World.create(mesh);
  const target = await destination();
  world.dns.set('mail.only-here.test', { a: ['127.0.0.1'] });
  const { port } = await world.agent({ host: 'mail.only-here.test', port: target.port });
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
});

test('direct, and the destination refuses, is silent, or does not exist: 421 with its code', async () => {
  const world = await World.create(mesh);
  const hole = await startBlackHole();
  atEnd(() => hole.stop());
  const cases = [
    [{ host: '127.0.0.1', port: await unusedPort() }, /^421 4\.4\.1 .*CONNECT_REFUSED/u],
    [{ host: hole.address, port: hole.port }, /^421 4\.4\.1 .*CONNECT_TIMEOUT/u],
    [{ host: 'nowhere.test', port: 25 }, /^421 4\.4\.3 .*DNS_NOT_FOUND/u],
  ] as const;
  for (const [target, line] of cases) {
    const { port, events } = await world.agent(target, { directTimeoutMs: 500 });
    expect(await new TestClient(port).line()).toMatch(line);
    await until(() => events('session').length === 1);
    expect(events('session')[0]).toMatchObject({ route: 'direct', outcome: 'unreachable' });
  }
});

test('each protocol is refused in its own words; where TLS comes first the connection is closed', async () => {
  const world = await World.create(mesh);
  const manager = await world.manager(A, []);
  manager.script = { kind: 'refuse', code: 'DEVICE_DISABLED' };
  world.publish([A]);
  const words: readonly (readonly [MailProtocol, RegExp])[] = [
    ['smtp', /^554 5\.7\.1 .*\r\n$/u],
    ['pop3', /^-ERR \[SYS\/PERM\] .*\r\n$/u],
    ['imap', /^\* BYE \[NOPERM\] .*\r\n$/u],
    ['smtps', /^$/u],
    ['pop3s', /^$/u],
    ['imaps', /^$/u],
  ];
  const target = { host: '127.0.0.1', port: 1 };
  const { agent } = await world.agent(target, {}, { forwards: words.map(([protocol]) => ({ listen, destination: target, protocol })) });
  for (const [i, { listen: bound, protocol }] of agent.status().listeners.entries()) {
    const client = new TestClient(bound.port);
    await client.untilOver();
    expect(client.text, protocol).toMatch(words[i]![1]);
    expect(client.error).toBeUndefined();
  }
});

test('the protocol is what is usual at the destination, unless it is given', async () => {
  const world = await World.create(mesh);
  const at = (port: number) => ({ listen, destination: { host: '127.0.0.1', port } });
  const { agent } = await world.agent({ host: '127.0.0.1', port: 1 }, {}, { forwards: [at(110), at(993), at(2525), at(587)] });
  expect(agent.status().listeners.map(({ protocol }) => protocol)).toEqual(['pop3', 'imaps', 'smtp', 'smtp']);
});

test('the cap on clients: the next one is told to come later, and is let in when one has gone', async () => {
  for (const [limits, code] of [[{ maxSessions: 2 }, 'FULL'], [{ maxPerClient: 2 }, 'ADDRESS_FULL']] as const) {
    const world = await World.create(mesh);
    const { port, metrics, events } = await world.agent(await destination(), {}, { limits });
    const clients = [new TestClient(port), new TestClient(port)];
    for (const client of clients) expect(await client.line()).toBe('220 hello\r\n');
    const third = new TestClient(port);
    await third.untilOver();
    expect(third.text).toMatch(new RegExp(`^421 4\\.3\\.2 .*\\(${code},`, 'u'));
    third.socket.destroy();
    expect(await metrics.text()).toContain(`sekisho_agent_refusals_total{code="${code}"} 1`);
    clients[0]!.socket.resetAndDestroy();
    await until(() => events('session').length === 1);
    await expect
      .poll(async () => {
        const client = new TestClient(port);
        const text = await client.line();
        if (!text.startsWith('220')) client.socket.destroy();
        return text;
      }, { timeout: 10_000 })
      .toBe('220 hello\r\n');
  }
});

test('drain: no new clients, running sessions end in peace', async () => {
  const world = await World.create(mesh);
  world.publish([A]);
  const relay = await world.relay('s1');
  await world.manager(A, [relay.address]);
  const target = await destination((socket) => {
    socket.write('220 hello\r\n');
    socket.on('end', () => socket.end('221 bye\r\n'));
  });
  const { agent, port } = await world.agent(target);
  const client = new TestClient(port);
  await client.line();
  const drained = agent.drain(10_000);
  const late = new TestClient(port);
  await late.untilClosed();
  expect(late.error).toBe('ECONNREFUSED');
  client.socket.end('QUIT\r\n');
  await drained;
  await client.untilClosed();
  expect(client.text).toBe('220 hello\r\n221 bye\r\n');
  expect(client.error).toBeUndefined();
  await until(() => relay.openConnections === 0);
});

test('close: running sessions are reset, also those that still wait to be decided', async () => {
  const world = await World.create(mesh);
  world.dns.mode = 'silent';
  const { agent, port, events } = await world.agent(await destination());
  const client = new TestClient(port);
  await until(() => agent.status().sessions.deciding === 1);
  expect(agent.status().mode).toBe('searching');
  agent.close();
  await client.untilClosed();
  expect(client.error).toBe('ECONNRESET');
  expect(events('session')[0]).toMatchObject({ route: 'none', outcome: 'shutdown' });
});

test('a port that is taken: startAgent says so, and nothing stays behind', async () => {
  const world = await World.create(mesh);
  const target = await destination();
  await expect(
    world.agent(target, {}, { forwards: [{ listen, destination: target }, { listen: { host: '127.0.0.1', port: target.port }, destination: target }] }),
  ).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

test('neither keys nor tickets are in the log', async () => {
  const world = await World.create(mesh);
  world.publish([A]);
  const relay = await world.relay('s1');
  await world.manager(A, [relay.address]);
  const { port, all } = await world.agent(await destination());
  await new TestClient(port).line();
  const log = JSON.stringify(all);
  expect(log).not.toContain('PRIVATE KEY');
  expect(log).not.toContain(mesh.device.keyPem.split('\n')[1]);
  expect(log).not.toContain(Buffer.alloc(100, 7).toString('hex').slice(0, 40));
  expect(log).not.toContain(Buffer.alloc(100, 7).toString('base64').slice(0, 40));
});
