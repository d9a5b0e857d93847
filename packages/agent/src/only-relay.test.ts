import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import type { FakeManager } from './testing/fake-manager.ts';
import type { FakeRelay } from './testing/fake-relay.ts';
import { type Destination, destination, makeMesh, type Mesh, type TestAgent, TestClient, until, World } from './testing/world.ts';

/** A lease that names one relay, as when the others were out for a moment, and a manager that knows another by now. */

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

/** A hello because of a relay in trouble follows the last one only after a second. */
const BETWEEN_HELLOS_MS = 1100;

interface Scene extends TestAgent {
  readonly manager: FakeManager;
  readonly only: FakeRelay;
  readonly other: FakeRelay;
  readonly target: Destination;
}

/** A connection that lasted so long and then ends is made again at once, before the relay counts as gone. */
const LONG_LIFE_MS = 5200;

async function scene(settings: Parameters<World['agent']>[2] = {}, ageMs = BETWEEN_HELLOS_MS): Promise<Scene> {
  const world = await World.create(mesh);
  const [only, other] = [await world.relay('s1'), await world.relay('s2')];
  const manager = await world.manager('127.0.1.1', [only.address]);
  world.publish(['127.0.1.1']);
  const target = await destination();
  const started = await world.agent(target, { relayRetryFirstMs: 200, relayRetryMaxMs: 500 }, settings);
  await until(() => started.agent.status().links[0]?.state === 'ready' && only.tickets === 1);
  await sleep(ageMs);
  manager.relays = [other.address];
  return { ...started, manager, only, other, target };
}

test('it is full: the client is told to try later, and the manager is asked at once, not when the lease is renewed', async () => {
  const { port, manager, only, other, target } = await scene();
  only.script = { kind: 'refuse', code: 'FULL' };
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^421 4\.3\.2 /u);
  await until(() => manager.hellos.length === 2 && other.tickets === 1);
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect([only.connects.length, other.connects.length, target.sockets.length]).toEqual([1, 1, 1]);
});

test('a no that no other relay overrules is no reason to ask the manager', async () => {
  const { port, manager, only } = await scene();
  only.script = { kind: 'refuse', code: 'CONNECT_REFUSED' };
  const client = new TestClient(port);
  await client.untilOver();
  expect(client.text).toMatch(/^421 4\.4\.1 /u);
  await sleep(BETWEEN_HELLOS_MS);
  expect(manager.hellos.length).toBe(1);
});

test.each([
  ['open', BETWEEN_HELLOS_MS],
  ['closed', LONG_LIFE_MS],
] as const)('it dies (failMode %s, after %d ms): the client that finds out waits for the other one', async (failMode, ageMs) => {
  const { port, agent, only, other } = await scene({ failMode }, ageMs);
  only.kill();
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(other.connects.length).toBe(1);
  expect(agent.status().direct.relay_unreachable).toBe(0);
});

test('it dies, and the manager has no other: directly, without waiting for more than that answer', async () => {
  const { port, agent, manager, only } = await scene({}, LONG_LIFE_MS);
  manager.relays = [only.address];
  only.kill();
  const startedAt = performance.now();
  expect(await new TestClient(port).line()).toBe('220 hello\r\n');
  expect(performance.now() - startedAt).toBeLessThan(2000);
  expect(agent.status().direct.relay_unreachable).toBe(1);
});
