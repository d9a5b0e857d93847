import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { startBlackHole, startSilentServer } from '../../../test/kit/silent-server.ts';
import type { FakeManager } from './testing/fake-manager.ts';
import type { FakeRelay } from './testing/fake-relay.ts';
import { atEnd, type Destination, destination, makeMesh, type Mesh, type TestAgent, TestClient, until, World } from './testing/world.ts';

/** An agent and the relays of its lease, over real sockets. */

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const A = '127.0.1.1';

interface Scene extends TestAgent {
  readonly world: World;
  readonly manager: FakeManager;
  readonly one: FakeRelay;
  readonly two: FakeRelay;
  readonly target: Destination;
}

/** A manager whose lease names two relays, and an agent that is connected to the first. */
async function scene(timings: Parameters<World['agent']>[1] = {}, onClient?: Parameters<typeof destination>[0]): Promise<Scene> {
  const world = await World.create(mesh);
  const [one, two] = [await world.relay('s1'), await world.relay('s2')];
  const manager = await world.manager(A, [one.address, two.address]);
  world.publish([A]);
  const target = await destination(onClient);
  const started = await world.agent(target, { relayRetryFirstMs: 200, relayRetryMaxMs: 500, ...timings });
  await until(() => started.agent.status().links[0]?.state === 'ready' && one.tickets === 1);
  return { ...started, world, manager, one, two, target };
}

test('a relay that does not acknowledge is raced through the second; the loser is reset', async () => {
  const { port, one, two, metrics, agent } = await scene();
  one.script = { kind: 'silent' };
  const startedAt = performance.now();
  const client = new TestClient(port);
  expect(await client.line()).toBe('220 hello\r\n');
  expect(performance.now() - startedAt).toBeLessThan(2000);
  expect([one.connects.length, two.connects.length]).toEqual([1, 1]);
  expect(two.connects[0]?.session).toEqual(one.connects[0]?.session);
  await until(() => one.resets === 1);
  expect(await metrics.text()).toContain('sekisho_agent_relay_races_total 1');
  // The next client does not wait for it again.
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length]).toEqual([1, 2]);
  expect(agent.status().links[0]?.state).toBe('suspect');
});

test('a full relay: the second', async () => {
  const { port, one, two } = await scene();
  one.script = { kind: 'refuse', code: 'FULL' };
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length]).toEqual([1, 1]);
});

test('a no that is final goes to the client, and to nobody else', async () => {
  const { port, one, two, target } = await scene();
  for (const [code, line] of [['DESTINATION_PORT', /^554 5\.7\.1 /u], ['CONNECT_REFUSED', /^421 4\.4\.1 /u]] as const) {
    one.script = { kind: 'refuse', code };
    const client = new TestClient(port);
    await client.untilOver();
    expect(client.text).toMatch(line);
  }
  expect(two.connects.length).toBe(0);
  expect(target.sockets.length).toBe(0);
});

test('both relays full: 421, never direct', async () => {
  const { port, one, two, target, agent } = await scene();
  one.script = { kind: 'refuse', code: 'FULL' };
  two.script = { kind: 'refuse', code: 'UNABLE' };
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^421 4\.3\.2 .*FULL/u);
  expect(target.sockets.length).toBe(0);
  expect(agent.status().direct.relay_unreachable).toBe(0);
});

test.each([false, true])('relays that live and reset the session (acknowledged: %s): the second, then 421, never direct', async (isAcknowledged) => {
  const { port, one, two, target, agent } = await scene();
  one.script = { kind: 'reset', isAcknowledged };
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  two.script = { kind: 'reset', isAcknowledged };
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^421 4\.3\.2 .*FULL/u);
  expect(target.sockets.length).toBe(1);
  expect(agent.status().direct.relay_unreachable).toBe(0);
});

test('no more sessions on a relay than it said: the second takes them, then 421, and a place that is free again is used', async () => {
  const { port, one, two, manager, target, agent } = await scene();
  one.maxSessions = 2;
  two.maxSessions = 1;
  // Told again with each ticket.
  manager.push([one.address, two.address]);
  await until(() => one.tickets === 2);
  const clients: TestClient[] = [];
  for (let count = 0; count < 3; count += 1) {
    const client = new TestClient(port);
    expect(await client.line()).toBe('220 hello\r\n');
    clients.push(client);
  }
  expect([one.connects.length, two.connects.length]).toEqual([2, 1]);
  const fourth = new TestClient(port);
  await fourth.untilOver();
  expect(fourth.text).toMatch(/^421 4\.3\.2 .*FULL/u);
  expect([one.connects.length, two.connects.length, target.sockets.length]).toEqual([2, 1, 3]);
  clients[0]!.socket.resetAndDestroy();
  await until(() => agent.status().sessions.streaming === 2);
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length]).toEqual([3, 1]);
  expect(agent.status().direct.relay_unreachable).toBe(0);
});

test('one relay does not reach the destination, the other is on its way there: its word counts', async () => {
  const { port, one, two, target } = await scene();
  one.script = { kind: 'late', afterMs: 600 };
  two.script = { kind: 'refuse', code: 'CONNECT_UNREACHABLE' };
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length, target.sockets.length]).toEqual([1, 1, 1]);
});

test('a device that is refused while its relays die: its no, never direct', async () => {
  const { port, one, two, manager, target, agent } = await scene();
  // Acknowledged, so that the session waits for an answer while the manager is asked.
  one.script = { kind: 'stuck' };
  const client = new TestClient(port);
  await until(() => one.connects.length === 1);
  manager.script = { kind: 'refuse', code: 'DEVICE_REVOKED' };
  two.kill();
  manager.disconnect();
  await until(() => agent.status().lastRefusal?.code === 'DEVICE_REVOKED');
  one.kill();
  await client.untilOver();
  expect(client.text).toMatch(/^554 5\.7\.1 .*DEVICE_REVOKED/u);
  expect(target.sockets.length).toBe(0);
});

test('a renewed ticket is refused: what runs goes on, new sessions take the second relay', async () => {
  const { port, one, two, manager, target, agent } = await scene();
  const running = new TestClient(port);
  expect(await running.line()).toBe('220 hello\r\n');
  one.ticketScript = 'TICKET_INVALID';
  manager.push([one.address, two.address]);
  await until(() => agent.status().links[0]?.state === 'refused TICKET_INVALID');
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length]).toEqual([1, 1]);
  running.socket.write('DATA');
  await until(() => target.received().toString() === 'DATA');
  target.sockets[0]!.write('354 go on\r\n');
  await until(() => running.text.includes('354'));
  expect(agent.status().links.find(({ state }) => state === 'moved')).toMatchObject({ relay: 's1', sessions: 1 });
  running.socket.end();
  target.sockets[0]!.end();
  await running.untilClosed();
  await until(() => agent.status().links.every(({ state }) => state !== 'moved'));
});

test('a relay that takes the session and then says nothing: 421 within the budget', async () => {
  const { port, one, target } = await scene({ decisionBudgetMs: 700 });
  one.script = { kind: 'stuck' };
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^421 4\.4\.1 /u);
  expect(target.sockets.length).toBe(0);
});

test('no relay can be reached: direct, loudly, and at once for the next; they return and carry again', async () => {
  const world = await World.create(mesh);
  const hole = await startBlackHole({ address: '127.0.4.1' });
  atEnd(() => hole.stop());
  const mute = await startSilentServer({ address: '127.0.4.2' });
  atEnd(() => mute.stop());
  const unreachable = [hole, mute].map(({ address, port }, i) => ({ name: `s${i}`, host: address, port }));
  const manager = await world.manager(A, unreachable);
  world.publish([A]);
  const target = await destination();
  const { agent, port, events } = await world.agent(target, { relayTimeoutMs: 400, relayRetryFirstMs: 300, relayRetryMaxMs: 600 });
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  await until(() => agent.status().mode === 'direct');
  const startedAt = performance.now();
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(performance.now() - startedAt).toBeLessThan(1000);
  expect(agent.status().direct.relay_unreachable).toBe(2);
  expect(events('direct').map(({ reason }) => reason)).toEqual(['relay_unreachable', 'relay_unreachable']);
  await until(() => manager.hellos.some(({ avoid }) => avoid.includes('s0')));
  const relay = await world.relay('s9');
  manager.push([relay.address]);
  await until(() => agent.status().mode === 'relayed');
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(relay.connects.length).toBe(1);
});

test('a relay of another site is refused at the handshake', async () => {
  const { port, world, manager, agent, target, two } = await scene();
  const impostor = await world.relay('s1', '127.0.5.1', mesh.otherSite.relay);
  manager.push([impostor.address, two.address]);
  await until(() => agent.status().links[0]?.state === 'unreachable');
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(impostor.tickets).toBe(0);
  expect(two.connects.length).toBe(1);
  expect(target.sockets.length).toBe(1);
});

test('a relay that is killed: its sessions are reset, the next one takes the second relay, the manager is told', async () => {
  const { port, one, two, manager, target } = await scene();
  const client = new TestClient(port);
  await client.line();
  const told = manager.hellos.length;
  one.kill();
  await client.untilClosed();
  expect(client.error).toBe('ECONNRESET');
  expect(client.ended).toBe(false);
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(two.connects.length).toBe(1);
  await until(() => manager.hellos.length > told && manager.hellos.at(-1)!.avoid.includes('s1'));
  expect(target.sockets.length).toBe(2);
});

test('a connection that is dead without a reset is noticed, and its sessions are reset', async () => {
  const { port, one, two, agent, events } = await scene({ deadAfterMs: 800 });
  const client = new TestClient(port);
  await client.line();
  one.cut();
  // Nothing is acknowledged any more: the second relay, before the death is even noticed.
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(two.connects.length).toBe(1);
  await client.untilClosed();
  expect(client.error).toBe('ECONNRESET');
  await until(() => events('relay_lost').some(({ cause }) => cause === 'TIMEOUT'));
  await until(() => events('session').some(({ outcome }) => outcome === 'relay_lost'));
  expect(agent.status().sessions.streaming).toBe(1);
});

test('a push: the new relay first, the running session ends where it is', async () => {
  const { port, one, two, manager, target, agent } = await scene();
  const client = new TestClient(port);
  await client.line();
  manager.push([two.address]);
  await until(() => agent.status().links[0]?.relay === 's2' && agent.status().links[0]?.state === 'ready');
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([one.connects.length, two.connects.length]).toEqual([1, 1]);
  client.socket.write('DATA\r\n');
  await until(() => target.received().toString() === 'DATA\r\n');
  expect(one.openConnections).toBe(1);
  client.socket.end();
  target.sockets[0]!.end();
  await client.untilClosed();
  expect(client.error).toBeUndefined();
  await until(() => one.openConnections === 0);
  expect(one.byes.length).toBe(1);
});

test('a relay that goes away: no new sessions there, another lease is asked for, the running one goes on', async () => {
  // As in operation, the manager is asked before the relay is tried again.
  const { port, one, two, manager, target } = await scene({ relayRetryMaxMs: 10_000 });
  const client = new TestClient(port);
  await client.line();
  const told = manager.hellos.length;
  manager.relays = [two.address];
  one.goAway();
  await until(() => manager.hellos.length > told);
  expect(manager.hellos.at(-1)?.avoid).toEqual(['s1']);
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(two.connects.length).toBe(1);
  client.socket.write('DATA\r\n');
  await until(() => target.received().toString() === 'DATA\r\n');
});

test('a relay that does not accept the ticket has answered: never direct', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  relay.ticketScript = 'TICKET_MISMATCH';
  await world.manager(A, [relay.address]);
  world.publish([A]);
  const target = await destination();
  const { port } = await world.agent(target);
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^554 5\.7\.8 /u);
  expect(target.sockets.length).toBe(0);
});

test('the destination breaks off: the client hears a reset, not an end', async () => {
  const { port, target, events } = await scene({}, (socket) => socket.write('220 hello\r\n'));
  const client = new TestClient(port);
  await client.line();
  target.sockets[0]!.resetAndDestroy();
  await client.untilClosed();
  expect(client.ended).toBe(false);
  expect(client.error).toBe('ECONNRESET');
  await until(() => events('session').length === 1);
  expect(events('session')[0]?.['outcome']).toBe('destination_aborted');
});

test('the client breaks off in the middle: the destination hears a reset, not an end', async () => {
  let ended = false;
  let error: string | undefined;
  const { port, target, events } = await scene({}, (socket) => {
    socket.write('220 hello\r\n');
    socket.on('end', () => (ended = true));
    socket.on('error', (problem: NodeJS.ErrnoException) => (error = problem.code));
  });
  const client = new TestClient(port);
  await client.line();
  client.socket.write(randomBytes(100_000));
  await until(() => target.received().length === 100_000);
  client.socket.resetAndDestroy();
  await until(() => error !== undefined);
  expect({ ended, error }).toEqual({ ended: false, error: 'ECONNRESET' });
  expect(events('session')[0]).toMatchObject({ outcome: 'client_aborted', bytesUp: 100_000 });
});

test('no client byte is sent before the relay is connected', async () => {
  const { port, one, target } = await scene();
  one.script = { kind: 'refuse', code: 'FULL' };
  const client = new TestClient(port);
  client.socket.write('EHLO too-early\r\n'); // the fake relay fails on a byte behind the preamble
  expect(await client.line()).toBe('220 hello\r\n');
  await until(() => target.received().toString() === 'EHLO too-early\r\n');
});

test('a client that does not read is not held in memory: the destination is slowed down', async () => {
  const { port, target } = await scene({}, (socket) => {
    const chunk = Buffer.alloc(65_536);
    const send = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', send);
    send();
  });
  const client = new TestClient(port);
  await until(() => client.bytes > 1_000_000);
  client.socket.pause();
  let before = -1;
  // Sockets and windows fill up, then nothing moves.
  await expect
    .poll(() => {
      const now = target.sockets[0]!.bytesWritten;
      const moved = now - before;
      before = now;
      return moved;
    }, { interval: 300, timeout: 10_000 })
    .toBe(0);
  const seen = client.bytes;
  client.socket.resume();
  await until(() => client.bytes > seen + 1_000_000);
});
