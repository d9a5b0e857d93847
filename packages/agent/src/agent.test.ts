import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { destination, makeMesh, type Mesh, TestClient, until, World } from './testing/world.ts';

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

const A = '127.0.1.1';

test('a client goes through the relay of the lease, with half-close and byes', async () => {
  const world = await World.create(mesh);
  world.publish([A]);
  const relay = await world.relay('s1');
  const manager = await world.manager(A, [relay.address]);
  const target = await destination((socket) => {
    socket.write('220 hello\r\n');
    socket.on('end', () => socket.end('221 bye\r\n'));
  });
  const { agent, port, events } = await world.agent(target);
  const client = new TestClient(port);
  expect(await client.line()).toBe('220 hello\r\n');
  client.socket.end('QUIT\r\n');
  await client.untilClosed();
  expect(client.text).toBe('220 hello\r\n221 bye\r\n');
  expect(client.error).toBeUndefined();
  expect(target.received().toString()).toBe('QUIT\r\n');
  await until(() => relay.byes.length === 1 && manager.byes.length === 1);
  const [summary] = events('session');
  const [connect] = relay.connects;
  expect(connect).toMatchObject({ protocol: 0, host: target.host, port: target.port });
  expect(connect?.client).toMatch(/^127\.0\.0\.1:\d+$/u);
  expect(summary).toMatchObject({
    session: connect?.session.toString('hex'),
    route: 'relayed',
    relay: 's1',
    site: 'tokyo-1',
    outcome: 'completed',
    bytesUp: 6,
    bytesDown: 20,
  });
  expect(relay.byes[0]).toMatchObject({ outcome: 'completed', bytesUp: 6, bytesDown: 20, relay: 's1' });
  expect(manager.byes[0]?.session).toEqual(connect?.session);
  expect(agent.status()).toMatchObject({ mode: 'relayed', manager: A, links: [{ relay: 's1', state: 'ready', sessions: 0 }] });
});

test('25 MB go both ways unchanged, past a client that reads late', async () => {
  const world = await World.create(mesh);
  world.publish([A]);
  const relay = await world.relay('s1');
  await world.manager(A, [relay.address]);
  const mail = randomBytes(25_000_000);
  const target = await destination((socket) => socket.end(mail));
  const { port } = await world.agent(target);
  const client = new TestClient(port);
  client.socket.pause();
  client.socket.end(mail);
  await until(() => target.received().length === mail.length, 30_000);
  client.socket.resume();
  await client.untilClosed();
  const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(sha(client.data)).toBe(sha(mail));
  expect(sha(target.received())).toBe(sha(mail));
});
