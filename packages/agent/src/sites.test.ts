import { beforeAll, expect, test } from 'vitest';
import { credentials } from '../../channel/src/testing/mesh.ts';
import type { FakeManager } from './testing/fake-manager.ts';
import type { FakeRelay } from './testing/fake-relay.ts';
import { type Destination, destination, makeMesh, type Mesh, type TestAgent, TestClient, until, World } from './testing/world.ts';

/** An agent and two sites, over real sockets: one of them fails, and nobody in the office notices. */

let mesh: Mesh;
beforeAll(async () => {
  mesh = await makeMesh();
});

interface FakeSite {
  readonly name: string;
  readonly manager: FakeManager;
  readonly relays: readonly FakeRelay[];
}

interface Scene extends TestAgent {
  /** Where the agent has its lease, and the other one. */
  readonly home: FakeSite;
  readonly other: FakeSite;
  readonly target: Destination;
}

async function site(world: World, name: 'tokyo-1' | 'osaka-1', host: string): Promise<FakeSite> {
  const { manager: own, relay: ownRelay } = name === 'tokyo-1' ? mesh.site : mesh.otherSite;
  const relays = [await world.relay('s1', host, ownRelay), await world.relay('s2', host, ownRelay)];
  const manager = await world.manager(host, relays.map(({ address }) => address), { site: name, credentials: credentials(mesh, own) });
  return { name, manager, relays };
}

async function scene(components: Parameters<World['agent']>[3] = {}): Promise<Scene> {
  const world = await World.create(mesh);
  const sites = [await site(world, 'tokyo-1', '127.0.1.1'), await site(world, 'osaka-1', '127.0.2.1')];
  world.publish(['127.0.1.1', '127.0.2.1']);
  const target = await destination();
  const started = await world.agent(target, { relayRetryFirstMs: 200, relayRetryMaxMs: 500 }, {}, components);
  await until(() => started.agent.status().links[0]?.state === 'ready');
  const home = sites.find(({ name }) => name === started.agent.status().lease?.site);
  const other = sites.find((one) => one !== home);
  if (home === undefined || other === undefined) throw new Error('no lease');
  return { ...started, home, other, target };
}

/** A client gets its greeting through the other site; how long it waited. */
async function greetedElsewhere({ port, agent, other }: Scene): Promise<number> {
  const startedAtMs = performance.now();
  const client = new TestClient(port);
  expect(await client.line()).toBe('220 hello\r\n');
  const waitedMs = performance.now() - startedAtMs;
  expect(agent.status().lease?.site).toBe(other.name);
  expect(other.relays.reduce((sum, { connects }) => sum + connects.length, 0)).toBe(1);
  expect(agent.status().direct).toEqual({ dns_empty: 0, managers_silent: 0, managers_absent: 0, relay_unreachable: 0 });
  client.socket.destroy();
  return waitedMs;
}

test('its line is cut, nothing is reset: the first client after that waits a second and goes through the other site', async () => {
  const made = await scene();
  const { home, agent, metrics, events } = made;
  home.manager.isCut = true;
  for (const relay of home.relays) relay.script = { kind: 'silent' };
  // Two relays and a manager that say nothing, 300 ms each; the rest is what a busy machine takes.
  expect(await greetedElsewhere(made)).toBeLessThan(2000);
  expect(agent.status().sites.moves).toMatchObject({ silent: 1, relays: 0 });
  expect(events('site_left')).toMatchObject([{ reason: 'silent', from: home.name, to: made.other.name }]);
  expect(await metrics.text()).toContain('sekisho_agent_site_moves_total{reason="silent"} 1');
  expect(agent.status().managers.filter(({ state }) => state === 'dead')).toHaveLength(1);
  const second = new TestClient(made.port);
  const startedAtMs = performance.now();
  await second.line();
  expect(performance.now() - startedAtMs).toBeLessThan(300);
});

test('it is killed, connections are reset: the same, without waiting for its turn', async () => {
  const made = await scene();
  const { home } = made;
  for (const relay of home.relays) relay.kill();
  home.manager.disconnect();
  home.manager.close();
  expect(await greetedElsewhere(made)).toBeLessThan(1500);
});

test('its manager answers, and none of its relays can be reached: it is asked once, and left', async () => {
  const made = await scene();
  const { home, agent } = made;
  for (const relay of home.relays) relay.kill();
  expect(await greetedElsewhere(made)).toBeLessThan(2500);
  expect(agent.status().sites).toMatchObject({ moves: { relays: 1 }, shunned: [{ site: home.name }] });
});

test.each(['TICKET_EXPIRED', 'TICKET_INVALID'] as const)('its clocks or keys do not fit, so that its relays say %s: the other site, and no client is refused', async (code) => {
  const made = await scene();
  const { home, agent, metrics } = made;
  for (const relay of home.relays) {
    relay.ticketScript = code;
    relay.disconnect();
  }
  expect(await greetedElsewhere(made)).toBeLessThan(2500);
  expect(agent.status().sites.moves.relays).toBe(1);
  expect(await metrics.text()).not.toMatch(/agent_refusals_total\{[^}]*\} [1-9]/u);
});

test('the same at both sites: the client is told to come later, and never goes directly', async () => {
  const made = await scene();
  for (const { relays } of [made.home, made.other])
    for (const relay of relays) {
      relay.ticketScript = 'TICKET_EXPIRED';
      relay.disconnect();
    }
  const client = new TestClient(made.port);
  expect(await client.line()).toMatch(/^421 4\.7\.0 /u);
  expect(made.target.sockets).toHaveLength(0);
});

test('it answers much more slowly than it did: the other one is asked whether it is quicker, and new sessions go there', async () => {
  let aheadMs = 0;
  // A tenth of the agents are among those that leave first.
  const made = await scene({ clock: { now: () => performance.now() + aheadMs }, random: () => 0.1 });
  const { home, other, agent, events, port } = made;
  const greeted = async (): Promise<void> => {
    const client = new TestClient(port);
    expect(await client.line()).toBe('220 hello\r\n');
    client.socket.destroy();
  };
  await greeted();
  for (const relay of home.relays) relay.script = { kind: 'late', afterMs: 250 };
  await Promise.all(Array.from({ length: 6 }, greeted));
  expect(agent.status().sites.slow).toMatchObject({ site: home.name });
  aheadMs = 11_000;
  await greeted();
  await until(() => agent.status().lease?.site === other.name);
  expect(events('site_slow')).toMatchObject([{ site: home.name, medianMs: expect.any(Number), bestMs: expect.any(Number) }]);
  expect(agent.status().sites).toMatchObject({ moves: { slow: 1 }, shunned: [{ site: home.name }], slow: undefined });
  await greeted();
  expect(other.relays.reduce((sum, { connects }) => sum + connects.length, 0)).toBe(1);
});
