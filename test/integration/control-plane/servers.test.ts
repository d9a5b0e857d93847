import { greet, secureContext } from '@sekisho/channel';
import { join } from 'node:path';
import { type IssuedCertificate, Operator } from '@sekisho/auth';
import { REFUSALS } from '@sekisho/wire';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { eventually, MANAGER_NAME, MiniSite, type TestPeer, values } from './mini-site.ts';

/** Other servers of the mesh at the port for agents: answered, never leased to, and no burden to devices. */

const ABOUT = { version: '1.2.3', config: '0000000000ffabcd', stack: '8899aabbccddeeff' };

let site: MiniSite;
beforeEach(async () => {
  site = await MiniSite.make();
  await site.startAuth();
  await site.startRelays(1);
});
afterEach(() => site.close());

function greetManager(certificate: IssuedCertificate) {
  const { certPem, keyPem } = certificate;
  return greet({
    host: '127.0.0.1',
    port: site.manager!.port,
    context: secureContext({ caPem: site.operator.caCertPem, certPem, keyPem }),
    expect: { role: 'manager', serverName: MANAGER_NAME },
    timeoutMs: 5000,
  });
}

const isOver = (peer: TestPeer) => eventually('it is closed', () => peer.closed);

test('a server of any site of the operator is told who this is, how it is configured and how late', async () => {
  await site.startManager({ about: ABOUT });
  const other = await site.operator.issueSite({ site: 'osaka-1', days: 5 });
  for (const certificate of [site.keys.relay, other.manager, other.auth]) {
    const greeting = await greetManager(certificate);
    expect(greeting).toMatchObject({ name: 's1', site: 'tokyo-1', role: 'manager', software: 'sekisho-manager/1.2.3', version: 1, config: ABOUT.config, stack: ABOUT.stack });
    expect(Math.abs(greeting.clockOffsetMs!)).toBeLessThan(1000);
    expect(greeting.certificateExpiresAtMs / 86_400_000).toBeCloseTo(Date.now() / 86_400_000 + 10, 0);
  }
  await expect(greetManager(await site.device())).rejects.toMatchObject({ code: 'PROTOCOL' });
  expect(await values(site.managerMetrics)).toMatchObject({ sekisho_manager_server_hellos_total: 3, sekisho_manager_config_digest: 255 });
  const exported = await values(site.managerMetrics);
  expect(exported['sekisho_manager_leases_total{reason="least-load"}']).toBeUndefined();
  expect(site.manager!.status()).toMatchObject({ agents: 0, about: ABOUT });
});

test('a server that calls itself a device, or says it goes direct, gets no lease and raises no alarm', async () => {
  await site.startManager();
  const server = await site.agent(site.keys.relay);
  expect(await server.hello({ direct: 1 })).toMatchObject({ type: 'welcome' });
  expect(await server.connection.ask<'ping'>({ type: 'ping' }, 2000)).toMatchObject({ type: 'pong' });
  expect(site.manager!.status().direct).toEqual({ agents: 0, hellos: 0 });
  expect(await server.hello({ versions: Buffer.from([9]) })).toMatchObject({ type: 'refuse', code: REFUSALS.VERSION.number });
  await isOver(server);
});

test('who only claims to be a server is a stranger like any other, and told nothing', async () => {
  await site.startManager({ about: ABOUT });
  const impostor = await Operator.init(join(site.directory, 'impostor'), { name: 'Example', managerName: MANAGER_NAME });
  const forged = await impostor.issueSite({ site: 'tokyo-1', days: 5 });
  for (const certificate of [forged.manager, forged.relay]) {
    const peer = await site.agent(certificate);
    expect(await peer.hello()).toMatchObject({ type: 'refuse', code: REFUSALS.DEVICE_REFUSED.number });
    await isOver(peer);
  }
  expect(await values(site.managerMetrics)).not.toHaveProperty('sekisho_manager_server_hellos_total');
});

test('a flood of servers with one certificate leaves room for other servers, and all agents their places', async () => {
  await site.startManager({ maxAgents: 3, idleMs: 30_000 });
  const other = await site.operator.issueSite({ site: 'osaka-1', days: 5 });
  const flood: TestPeer[] = [];
  for (let time = 0; time < 12; time += 1) flood.push(await site.agent(other.relay));
  await eventually('four are turned away', () => flood.filter(({ closed }) => closed !== undefined).length === 4);
  for (const mac of ['02:00:5e:10:00:01', '02:00:5e:10:00:02', '02:00:5e:10:00:03'] as const)
    expect(await (await site.agent(await site.device(mac))).hello({ mac: Buffer.from(mac.replaceAll(':', ''), 'hex') })).toMatchObject({ type: 'lease' });
  expect(await values(site.managerMetrics)).toMatchObject({
    'sekisho_manager_rejected_connections_total{reason="servers_full"}': 4,
    sekisho_manager_agents: 3,
    sekisho_manager_servers: 8,
  });
  // With as many agents as there may be, nobody is let in; not one more than before these servers came.
  await expect(site.agent(await site.device('02:00:5e:10:00:04'))).rejects.toMatchObject({ name: 'ChannelError' });
  for (const peer of flood) peer.connection.close();
  await vi.waitFor(async () => expect(await values(site.managerMetrics)).not.toHaveProperty('sekisho_manager_servers'), { timeout: 5000 });
});

test('one that says too much is closed, and so is one that says no hello, or nothing more', async () => {
  await site.startManager({ idleMs: 900 });
  const [talker, mute, watcher] = [await site.agent(site.keys.relay), await site.agent(site.keys.auth), await site.agent(site.keys.manager)];
  expect(await watcher.hello()).toMatchObject({ type: 'welcome' });
  const pings = setInterval(() => {
    mute.connection.send({ type: 'ping', id: 1 });
    watcher.connection.send({ type: 'ping', id: 2 });
  }, 250);
  try {
    for (let time = 0; time < 30; time += 1) talker.connection.send({ type: 'ping', id: time });
    await isOver(talker);
    await isOver(mute);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(watcher.closed).toBeUndefined();
  } finally {
    clearInterval(pings);
  }
  await isOver(watcher);
  expect(await values(site.managerMetrics)).toMatchObject({
    'sekisho_manager_rejected_connections_total{reason="flood"}': 1,
    'sekisho_manager_rejected_connections_total{reason="idle"}': 2,
  });
});

test('a manager that stops refuses those that still ask, and ends the connections', async () => {
  await site.startManager({ closeSpreadMs: 500 });
  const server = await site.agent(site.keys.relay);
  const device = await site.device();
  for (let time = 0; time < 10; time += 1) await site.agent(device);
  const closing = site.manager!.close();
  expect(await server.hello()).toMatchObject({ type: 'refuse', code: REFUSALS.SHUTTING_DOWN.number });
  await closing;
  await isOver(server);
});

test('relays and auths with another configuration or another clock are told of once, and shown', async () => {
  const [relay] = site.relays;
  relay!.welcome = { config: 'ffffffffffffffff', at: () => Date.now() - 600_000 };
  await site.startManager({ about: ABOUT, auths: site.auths.map(({ port }) => ({ name: 's1', host: '127.0.0.1', port })) });
  const relays = () => site.manager!.status().table.relays;
  await eventually('the relay is greeted', () => relays()[0]!.config !== null);
  expect(relays()[0]).toMatchObject({ config: 'ffffffffffffffff', software: 'test' });
  expect(Math.round(relays()[0]!.clockOffsetMs! / 1000)).toBe(-600);
  const [auth] = site.manager!.status().auths;
  expect(auth).toMatchObject({ software: 'sekisho-auth', config: null, up: true });
  expect(Math.abs(auth!.clockOffsetMs!)).toBeLessThan(1000);
  const told = () => site.logged.filter(({ event }) => /^(?:config|clock)_/u.test(String(event))).map(({ event, server }) => `${String(event)} ${String(server)}`);
  expect(told()).toEqual(['config_drift relay s1', 'clock_differs relay s1']);
  // The same again after a connection that was lost, and then as it should be.
  relay!.drop();
  await eventually('it is there again', () => site.manager!.status().events.filter(({ event }) => event === 'relay_reached').length === 2);
  relay!.welcome = { config: ABOUT.config, at: () => Date.now() };
  relay!.drop();
  await eventually('it is as it should be', () => told().length === 4);
  expect(told().slice(2)).toEqual(['config_agrees relay s1', 'clock_agrees relay s1']);
  expect(site.manager!.status().events.map(({ event }) => event)).toEqual(expect.arrayContaining(['config_drift', 'clock_differs', 'config_agrees', 'clock_agrees']));
});
