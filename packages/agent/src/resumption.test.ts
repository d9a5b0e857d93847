import { beforeAll, expect, test } from 'vitest';
import { atEnd, destination, makeMesh, type Mesh, TestClient, until, World } from './testing/world.ts';

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

test('an agent that lost its connections resumes its TLS sessions, and goes on with the site it knows', async () => {
  const world = await World.create(mesh);
  const relay = await world.relay('s1');
  const manager = await world.manager('127.0.1.1', [relay.address]);
  world.publish(['127.0.1.1']);
  const { agent, port } = await world.agent(await destination(), { managerRetryFirstMs: 50, managerRetryMaxMs: 100 });
  await until(() => agent.status().mode === 'relayed' && relay.tickets === 1);
  expect([manager.resumed, relay.resumed]).toEqual([0, 0]);
  relay.disconnect();
  manager.disconnect();
  await until(() => manager.hellos.length >= 2 && relay.tickets >= 2 && agent.status().mode === 'relayed');
  expect([manager.resumed, relay.resumed]).toEqual([manager.connections - 1, relay.connections - 1]);
  const client = new TestClient(port);
  atEnd(() => client.socket.destroy());
  expect(await client.line()).toBe('220 hello\r\n');
  expect(agent.status().mode).toBe('relayed');
});
