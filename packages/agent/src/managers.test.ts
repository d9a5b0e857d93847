import { expect, test, beforeAll } from 'vitest';
import { credentials } from '../../channel/src/testing/mesh.ts';
import { startBlackHole, startSilentServer } from '../../../test/kit/silent-server.ts';
import { atEnd, destination, makeMesh, type Mesh, TestClient, until, World } from './testing/world.ts';

/** An agent and the managers that DNS names, over real sockets. */

let mesh: Mesh;
let foreign: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
  foreign = await makeMesh();
});

const [A, B, C] = ['127.0.1.1', '127.0.2.1', '127.0.3.1'] as const;
/** As configured by default, but for what would make a test last. */
const quick = { ttlMinMs: 200, managerRetryFirstMs: 100, managerRetryMaxMs: 300, moveJitterMs: 10 } as const;

async function greeting(port: number): Promise<{ text: string; ms: number }> {
  const startedAt = performance.now();
  const client = new TestClient(port);
  const text = await client.line();
  const ms = performance.now() - startedAt;
  client.socket.destroy();
  return { text, ms };
}

test('a manager that accepts nothing, and one that never answers, cost less than a second', async () => {
  const world = await World.create(mesh);
  const hole = await startBlackHole({ address: A, port: world.managerPort });
  atEnd(() => hole.stop());
  const mute = await startSilentServer({ address: B, port: world.managerPort });
  atEnd(() => mute.stop());
  const relay = await world.relay('s1');
  await world.manager(C, [relay.address]);
  world.publish([A, B, C]);
  const target = await destination();
  const { agent, port } = await world.agent(target);
  const first = await greeting(port);
  expect(first.text).toBe('220 hello\r\n');
  // Two staggers of 300 ms at most; the limit leaves room for a busy machine.
  expect(first.ms).toBeLessThan(2000);
  expect(agent.status().manager).toBe(C);
});

test('all silent: direct within the budget, the next at once; one comes back and its relay carries again', async () => {
  const world = await World.create(mesh);
  const mute = await startSilentServer({ address: A, port: world.managerPort });
  world.publish([A]);
  const target = await destination();
  const { agent, port, events, metrics } = await world.agent(target, { ...quick, managerBudgetMs: 1000 });
  const first = await greeting(port);
  expect(first.text).toBe('220 hello\r\n');
  expect(first.ms).toBeGreaterThan(500);
  const next = await greeting(port);
  expect(next.ms).toBeLessThan(500);
  expect(agent.status()).toMatchObject({ mode: 'direct', directReason: 'managers_silent', direct: { managers_silent: 2 } });
  expect(events('direct_mode').length).toBe(1);
  expect(events('direct').length).toBe(2);
  expect(await metrics.text()).toContain('sekisho_agent_direct_total{reason="managers_silent"} 2');
  await mute.stop();
  const relay = await world.relay('s1');
  const manager = await world.manager(A, [relay.address]);
  await until(() => agent.status().mode === 'relayed');
  expect(manager.hellos[0]?.direct).toBe(1);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(relay.connects.length).toBe(1);
});

test('DNS knows no manager: direct; it learns of one: relayed', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  await world.manager(A, [relay.address]);
  const { agent, port } = await world.agent(await destination(), quick);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(agent.status().direct.dns_empty).toBe(1);
  world.publish([A]);
  await until(() => agent.status().mode === 'relayed');
});

test('DNS that says nothing at all: the client is decided within its budget', async () => {
  const world = await World.create(mesh);
  world.dns.mode = 'silent';
  const { port } = await world.agent(await destination(), { ...quick, decisionBudgetMs: 500, dnsTimeoutMs: 60_000 });
  const { text, ms } = await greeting(port);
  expect(text).toBe('220 hello\r\n');
  expect(ms).toBeGreaterThan(300);
});

test('a poisoned record: the handshake is refused, loudly, and no byte is sent', async () => {
  const world = await World.create(mesh);
  const poison = await world.manager(A, [], { credentials: credentials(foreign, foreign.site.manager) });
  const notManager = await world.manager(B, [], { credentials: credentials(mesh, mesh.site.relay) });
  world.publish([A, B]);
  const target = await destination();
  const { agent, port, events, metrics } = await world.agent(target, quick);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(agent.status().direct.managers_silent).toBe(1);
  expect([...poison.hellos, ...notManager.hellos]).toEqual([]);
  expect(events('manager_identity').length).toBeGreaterThanOrEqual(2);
  expect(await metrics.text()).toMatch(/manager_failures_total\{cause="tls"\} [1-9]/u);
});

test('a manager that leads to the relay of another site is not followed', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  const manager = await world.manager(A, [relay.address]);
  manager.site = 'osaka-1';
  world.publish([A]);
  const { agent } = await world.agent(await destination(), quick);
  await until(() => agent.status().managers[0]?.lastFailure === 'identity');
  expect(relay.connections).toBe(0);
});

test('a refusal is never direct: 554 or 421 in the protocol of the client, and it is healed', async () => {
  for (const [code, line] of [['DEVICE_REVOKED', /^554 5\.7\.1 /u], ['RATE_LIMITED', /^421 4\.7\.0 /u]] as const) {
    const world = await World.create(mesh);
    const relay = await world.relay('s1');
    const manager = await world.manager(A, [relay.address]);
    manager.script = { kind: 'refuse', code };
    world.publish([A]);
    const target = await destination();
    const { agent, port } = await world.agent(target, { ...quick, refusalRetryFirstMs: 200, refusalRetryMaxMs: 300 });
    for (let i = 0; i < 3; i += 1) expect((await greeting(port)).text).toMatch(line);
    expect(target.sockets.length).toBe(0);
    expect(agent.status()).toMatchObject({ mode: 'refused', lastRefusal: { code, manager: A, text: 'as the script says' } });
    manager.script = { kind: 'lease' };
    await until(() => agent.status().mode === 'relayed');
    agent.close();
    manager.close();
  }
});

test('NO_RELAY everywhere is absence: direct at once; failMode closed: 421', async () => {
  const world = await World.create(mesh);
  for (const host of [A, B]) {
    const manager = await world.manager(host, []);
    manager.script = { kind: 'refuse', code: 'NO_RELAY' };
  }
  world.publish([A, B]);
  const target = await destination();
  const open = await world.agent(target);
  expect((await greeting(open.port)).text).toBe('220 hello\r\n');
  expect(open.agent.status().direct.managers_absent).toBe(1);
  const closed = await world.agent(target, {}, { failMode: 'closed' });
  expect((await greeting(closed.port)).text).toMatch(/^421 4\.3\.2 /u);
  expect(target.sockets.length).toBe(1);
});

test('a control connection that is dead without a reset is left for another manager; the lease goes on', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  const first = await world.manager(A, [relay.address]);
  world.publish([A]);
  const { agent, port } = await world.agent(await destination(), { ...quick, deadAfterMs: 800 });
  await until(() => agent.status().mode === 'relayed');
  const second = await world.manager(B, [relay.address]);
  world.publish([A, B]);
  first.isCut = true;
  first.script = { kind: 'silent' };
  await until(() => agent.status().manager === B, 10_000);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(second.hellos.length).toBeGreaterThan(0);
});

test('relays that cannot be reached are named to managers of their own site only: others have relays of the same names', async () => {
  const world = await World.create(mesh);
  const theirs = await world.relay('s1', '127.0.5.1', mesh.otherSite.relay);
  const first = await world.manager(A, [{ name: 's1', host: '127.0.5.2', port: theirs.address.port }]);
  const second = await world.manager(B, [theirs.address], { site: 'osaka-1', credentials: credentials(mesh, mesh.otherSite.manager) });
  world.publish([A], 1);
  const { port } = await world.agent(await destination(), { ...quick, deadAfterMs: 800 });
  await until(() => first.hellos.length >= 2);
  expect(first.hellos.at(-1)).toMatchObject({ relay: 's1', avoid: ['s1'] });
  first.isCut = true;
  first.script = { kind: 'silent' };
  world.publish([A, B], 1);
  await until(() => second.hellos.length > 0, 10_000);
  expect([second.hellos[0]?.relay, second.hellos[0]?.avoid]).toEqual([undefined, []]);
  await until(() => theirs.tickets > 0);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(theirs.connects.length).toBe(1);
});

test('a manager whose address leaves the zone loses the agent within a TTL, and no conversation breaks', async () => {
  const world = await World.create(mesh);
  const [one, two] = [await world.relay('s1'), await world.relay('s2')];
  const first = await world.manager(A, [one.address]);
  await world.manager(B, [two.address]);
  world.publish([A], 1);
  const target = await destination();
  const { agent, port } = await world.agent(target, quick);
  const client = new TestClient(port);
  await client.line();
  world.publish([B], 1);
  await until(() => agent.status().manager === B);
  await until(() => first.openConnections === 0);
  client.socket.write('NOOP\r\n');
  await until(() => target.received().toString() === 'NOOP\r\n');
  expect(client.closed).toBe(false);
  expect((await greeting(port)).text).toBe('220 hello\r\n');
  expect(two.connects.length).toBe(1);
});

test('leases are renewed on the same connection, and the ticket with them', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  const manager = await world.manager(A, [relay.address]);
  manager.renewAfterMs = 100;
  world.publish([A]);
  const { agent } = await world.agent(await destination(), quick);
  await until(() => manager.hellos.length >= 3);
  await until(() => relay.tickets >= 3);
  expect(manager.hellos[2]?.relay).toBe('s1');
  expect([manager.connections, relay.connections]).toEqual([1, 1]);
  expect(agent.status().manager).toBe(A);
});
