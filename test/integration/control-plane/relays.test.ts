import { ControlConnection, Listener } from '@sekisho/channel';
import { CONTROL_ALPN, type Message } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, FakeRelay, IDLE_REPORT, MiniSite, type TestPeer, values } from './mini-site.ts';

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
  await site.startAuth();
});
afterEach(() => site.close());

const stateOf = (name: string) => site.manager!.status().table.relays.find((row) => row.name === name)!.state;
const relayOf = (message: Message | undefined) => (message?.type === 'lease' ? message.relays[0]!.name : undefined);
const relayNamed = (name: string) => site.relays.find((relay) => relay.name === name)!;

/** Agents with a lease, and the relay of each. */
async function agentsWithLeases(count: number): Promise<{ peer: TestPeer; relay: string }[]> {
  const certificate = await site.device();
  const agents = [];
  for (let number = 0; number < count; number += 1) {
    const peer = await site.agent(certificate);
    agents.push({ peer, relay: relayOf(await peer.hello())! });
  }
  return agents;
}

const pushesOf = ({ peer }: { peer: TestPeer }) => peer.messages.filter((message) => message.type === 'lease');

test('a relay that dies: its agents are pushed elsewhere, the others are left alone; it comes back', async () => {
  await site.startRelays(3);
  await site.startManager();
  const agents = await agentsWithLeases(12);
  expect(new Set(agents.map(({ relay }) => relay))).toEqual(new Set(['s1', 's2', 's3']));
  const dead = relayNamed('s1');
  dead.close();
  await eventually('it is marked', () => stateOf('s1') === 'down');
  for (const agent of agents.filter(({ relay }) => relay === 's1')) {
    const [push] = await eventually('a push', () => pushesOf(agent).length > 0 && pushesOf(agent));
    expect(push).toMatchObject({ id: 0, push: 1, reason: 'push', site: 'tokyo-1', manager: 's1' });
    expect(['s2', 's3']).toContain(relayOf(push));
    expect(push!.type === 'lease' && push!.ticket.length).toBeGreaterThan(65);
    expect(push!.type === 'lease' && push!.ttlMs).toBeLessThanOrEqual(600_000);
  }
  expect(agents.filter(({ relay }) => relay !== 's1').flatMap(pushesOf)).toEqual([]);
  for (const { peer } of agents) expect(relayOf(await peer.hello())).not.toBe('s1');

  const again = new FakeRelay({ name: 's1', credentials: site.credentials('relay'), port: dead.port });
  await again.listen();
  site.relays.push(again);
  await eventually('it is up again', () => stateOf('s1') === 'up');
  expect(site.manager!.status().events.map(({ event }) => event)).toEqual(expect.arrayContaining(['relay_lost', 'relay_marked', 'relay_reached', 'relay_up']));
  const moved = agents.filter(({ relay }) => relay === 's1').length;
  expect(await values(site.managerMetrics)).toMatchObject({ 'sekisho_manager_leases_total{reason="push"}': moved });
});

test('a relay that drains: all move, at the pace that is set; who is moved by a renewal gets no push', async () => {
  await site.startRelays(2);
  await site.startManager({ pushesPerSecond: 10 });
  const agents = await agentsWithLeases(16);
  const leaving = agents.filter(({ relay }) => relay === 's2');
  expect(leaving.length).toBeGreaterThanOrEqual(6);
  const startedAtMs = Date.now();
  relayNamed('s2').report = { ...IDLE_REPORT, draining: 1 };
  await eventually('it is draining', () => stateOf('s2') === 'draining');
  const renewed = leaving.find((agent) => pushesOf(agent).length === 0)!;
  expect(relayOf(await renewed.peer.hello({ relay: 's2' }))).toBe('s1');
  const before = pushesOf(renewed).length;
  await eventually('all have moved', () => site.manager!.status().pushesPending === 0);
  await eventually('the pushes are there', () => leaving.every((agent) => agent === renewed || pushesOf(agent).length === 1));
  expect(Date.now() - startedAtMs).toBeGreaterThan((leaving.length - 2) * 100);
  expect(pushesOf(renewed).length).toBe(before);
});

test('an overloaded and a full relay get no new agents, and keep those they have until they renew', async () => {
  await site.startRelays(3);
  await site.startManager();
  const agents = await agentsWithLeases(6);
  relayNamed('s1').report = { ...IDLE_REPORT, loadPerCoreMilli: 50_000 };
  relayNamed('s2').report = { ...IDLE_REPORT, sessions: 1000 };
  await eventually('both are marked', () => stateOf('s1') === 'overloaded' && stateOf('s2') === 'full');
  for (const { relay } of await agentsWithLeases(4)) expect(relay).toBe('s3');
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(agents.flatMap(pushesOf)).toEqual([]);
  for (const { peer, relay } of agents) expect(relayOf(await peer.hello({ relay }))).toBe('s3');
});

test('a relay that hangs is marked without a reset, and comes back when it answers again', async () => {
  await site.startRelays(2);
  await site.startManager({ probeTimeoutMs: 150 });
  relayNamed('s1').answers = false;
  await eventually('it is marked', () => stateOf('s1') === 'down');
  for (const { relay } of await agentsWithLeases(3)) expect(relay).toBe('s2');
  relayNamed('s1').answers = true;
  await eventually('it is up again', () => stateOf('s1') === 'up');
});

test('with nowhere to go nobody is pushed, and agents hear NO_RELAY', async () => {
  await site.startRelays(1);
  await site.startManager();
  const [agent] = await agentsWithLeases(1);
  relayNamed('s1').close();
  await eventually('it is marked', () => stateOf('s1') === 'down');
  expect(await agent!.peer.hello()).toMatchObject({ type: 'refuse', code: 20 });
  await eventually('the queue is empty', () => site.manager!.status().pushesPending === 0);
  expect(pushesOf(agent!)).toEqual([]);
});

test('an auth that takes questions and never answers costs one wait, and is not waited for again', async () => {
  const hung = new Listener(
    { host: '127.0.0.1', port: 0, credentials: site.credentials('auth'), alpn: CONTROL_ALPN, handshakeTimeoutMs: 2000, maxConnections: 8, maxPerAddress: 8 },
    {
      onConnection: (socket) => {
        const connection = new ControlConnection<'hello' | 'ping' | 'authorize'>(
          socket,
          { accepts: ['hello', 'ping', 'authorize'], maxPending: 1, maxBufferedBytes: 65_536 },
          {
            onMessage: (message) => {
              if (message.type === 'hello') connection.send({ type: 'welcome', id: message.id, version: 1, software: 'test', name: 's0', site: 'tokyo-1' });
            },
            onClose: () => {},
          },
        );
      },
      onReject: () => {},
      onError: () => {},
    },
  );
  const { port } = await hung.listen();
  await site.startRelays(1);
  await site.startManager({
    auths: [
      { name: 's0', host: '127.0.0.1', port },
      { name: 's1', host: '127.0.0.1', port: site.auths[0]!.port },
    ],
  });
  const [first, second] = [await site.agent(await site.device()), await site.agent(await site.device())];
  expect(await first.hello({}, 1900)).toMatchObject({ type: 'lease' });
  const startedAtMs = Date.now();
  for (let number = 0; number < 5; number += 1) expect(await second.hello()).toMatchObject({ type: 'lease' });
  expect(Date.now() - startedAtMs).toBeLessThan(900);
  hung.close();
});

test('agents that go direct are counted and told of, once each way, until they have a lease', async () => {
  await site.startRelays(1);
  await site.startManager();
  const agent = await site.agent(await site.device());
  const relay = relayNamed('s1');
  relay.close();
  await eventually('it is marked', () => stateOf('s1') === 'down');
  expect(await agent.hello({ direct: 1 })).toMatchObject({ type: 'refuse', code: 20 });
  expect(await agent.hello({ direct: 1 })).toMatchObject({ type: 'refuse', code: 20 });
  expect(site.manager!.status().direct).toEqual({ agents: 1, hellos: 2 });
  expect(await values(site.managerMetrics)).toMatchObject({ sekisho_manager_direct_hellos_total: 2, sekisho_manager_agents_direct: 1 });

  const again = new FakeRelay({ name: 's1', credentials: site.credentials('relay'), port: relay.port });
  await again.listen();
  site.relays.push(again);
  await eventually('it is up again', () => stateOf('s1') === 'up');
  expect(await agent.hello({ direct: 1 })).toMatchObject({ type: 'lease' });
  expect(site.manager!.status().direct).toEqual({ agents: 0, hellos: 3 });
  expect(site.logged.filter(({ event }) => event === 'agent_direct' || event === 'agent_relayed').length).toBe(2);
});

test('a manager that stops lets go of its agents one after the other', async () => {
  await site.startRelays(1);
  await site.startManager({ closeSpreadMs: 600 });
  const agents = await agentsWithLeases(12);
  const closing = site.manager!.close();
  await eventually('the first has gone', () => agents.some(({ peer }) => peer.closed !== undefined));
  const last = agents.findLast(({ peer }) => peer.closed === undefined)!;
  expect(await last.peer.hello()).toMatchObject({ type: 'refuse', code: 21 });
  await expect(site.agent(await site.device())).rejects.toMatchObject({ code: 'UNREACHABLE' });
  await closing;
  for (const { peer } of agents) await peer.whenClosed();
});

test('a table that names a relay the site does not have', async () => {
  await site.startRelays(1);
  await expect(site.startManager({ table: { entries: ['s1', 's7'] } })).rejects.toThrow('s7');
});
