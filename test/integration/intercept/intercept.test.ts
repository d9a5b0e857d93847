import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { namespacesAllowed } from '../../kit/netns.ts';
import type { TestProcess } from '../../kit/process.ts';
import { CLIENT_V4, CLIENT_V6, GUEST_V4, MAIL_V4, MAIL_V6, PRIVATE_MAIL, ROUTER_V4, ROUTER_V6, SITE_V4, SITE_V6 } from './addresses.ts';
import { type AgentService, LISTEN_PORT, Office } from './office.ts';

/**
 * A router with the agent, in namespaces: nobody in the office knows of it. Whether a connection was intercepted is seen at
 * the mail server, which sees the relay, or the router (direct), or the client itself (untouched). Each test begins where the
 * one before it has ended, so none is tried again.
 */

const reason = namespacesAllowed();
const FOREIGN_RULES = 'table inet firewall { chain forward { type filter hook forward priority 0; tcp dport 4444 drop; }; }';

let office: Office;
let agent: AgentService;
let before: string;
/** Began before there was any interception. */
let early: TestProcess;

describe.skipIf(reason !== undefined)(`interception${reason === undefined ? '' : ` (${reason})`}`, { retry: 0 }, () => {
  const up = async (): Promise<void> => {
    await office.sekisho('intercept', 'up', '--config', office.agentYaml);
  };

  beforeAll(async () => {
    office = await Office.create();
    await Promise.all([office.startInternet(), office.startSite()]);
    await office.router.nft(FOREIGN_RULES);
    await office.router.ip('rule', 'add', 'fwmark', '0x1/0x1', 'lookup', '99', 'priority', '90');
    before = await office.routerState();
    [agent, early] = await Promise.all([office.startAgent(), office.hold(MAIL_V4, 'early')]);
    await up();
  });
  afterAll(() => office.stop());

  test('the client dials the mail server, and the mail goes through the relay, by IPv4 and IPv6', async () => {
    expect(await office.send(office.client, MAIL_V4, 'four')).toMatchObject({ peer: SITE_V4 });
    expect(await office.send(office.client, MAIL_V6, 'six')).toMatchObject({ peer: SITE_V6 });
    expect(await agent.untilEvents('session', 2)).toEqual([
      expect.objectContaining({ route: 'relayed', destination: `${MAIL_V4}:25`, client: expect.stringMatching(`^${CLIENT_V4}:`), protocol: 'smtp', outcome: 'completed' }),
      expect.objectContaining({ route: 'relayed', destination: `[${MAIL_V6}]:25`, client: expect.stringMatching(`^\\[${CLIENT_V6}\\]:`), outcome: 'completed' }),
    ]);
    expect(agent.events('intercepting').map(({ listen }) => listen)).toEqual([{ host: '127.0.0.1', port: LISTEN_PORT }, { host: '::1', port: LISTEN_PORT }]);
  });

  test('a mail server that is told by PROXY header hears the address that the client has in the office', async () => {
    const said = await office.banner(office.client, MAIL_V4, 587);
    const [, own] = /^I am (.*)$/mu.exec(said) ?? [];
    expect(own).toMatch(new RegExp(`^${CLIENT_V4}:\\d+$`, 'u'));
    expect(said).toContain(`220 you are ${own}\r\n`);
  });

  test('other ports, other interfaces, private networks and the router, from it and to it, are left alone', async () => {
    const [ssh, routers, guest, own, inside] = await Promise.all([
      office.banner(office.client, MAIL_V4, 22),
      // It has no mail server.
      office.banner(office.client, ROUTER_V4, 25),
      office.send(office.guest, MAIL_V4, 'guest'),
      office.send(office.router, MAIL_V4, 'router'),
      office.send(office.client, PRIVATE_MAIL, 'private'),
    ]);
    expect(ssh).toContain(`SSH-2.0-for ${CLIENT_V4}`);
    expect(routers).toContain('ECONNREFUSED');
    expect([guest.peer, own.peer, inside.peer]).toEqual([GUEST_V4, ROUTER_V4, CLIENT_V4]);
  });

  test('whoever dials the intercepting socket itself is refused, and nothing loops', async () => {
    const sessions = agent.events('session').length;
    const [fromRouter, fromOffice] = await Promise.all([office.banner(office.router, '::1', LISTEN_PORT), office.banner(office.client, '10.77.0.1', LISTEN_PORT)]);
    expect(fromRouter).toContain('ECONNRESET');
    expect(fromOffice).toContain('ECONNREFUSED');
    expect(agent.events('client_refused')).toEqual([expect.objectContaining({ code: 'DESTINATION_PORT', client: '::1' })]);
    expect(agent.events('session')).toHaveLength(sessions);
  });

  test('stopped: an open conversation finishes through the relay, new ones go untouched, and nothing stays behind', async () => {
    const open = await office.hold(MAIL_V4, 'open');
    // To set the rules anew disturbs nobody.
    await up();
    // Not how a unit is stopped: there is somebody for whom the rules still bring.
    agent.signal('SIGTERM');
    await agent.untilEvents('draining', 1);
    expect(await office.send(office.client, MAIL_V4, 'late')).toMatchObject({ peer: SITE_V4 });
    await agent.release();
    expect(await office.send(office.client, MAIL_V4, 'meanwhile')).toMatchObject({ peer: CLIENT_V4 });
    expect(await office.send(office.client, MAIL_V6, 'meanwhile6')).toMatchObject({ peer: CLIENT_V6 });
    open.kill('SIGUSR2');
    expect(await office.arrival('open')).toMatchObject({ peer: SITE_V4 });
    await open.waitForOutput(/sent/u);
    expect(await agent.untilStopped()).toBe(0);
    expect(await office.routerState()).toBe(before);
    // This one was never the agent's, and nobody has taken it from where it was.
    early.kill('SIGUSR2');
    expect(await office.arrival('early')).toMatchObject({ peer: CLIENT_V4 });
    await early.waitForOutput(/sent/u);
  });

  test('restarted under traffic: no conversation is refused or broken, and mail goes through the relay again', async () => {
    await agent.startAgain();
    await up();
    const client = await office.keepSending(MAIL_V4);
    await agent.untilEvents('session', 3);
    await agent.beginStop();
    expect(await agent.untilStopped()).toBe(0);
    await agent.startAgain();
    await up();
    await agent.untilEvents('session', 3);
    client.kill('SIGUSR2');
    await client.waitForOutput(/over/u);
    expect(client.output.split('\n').filter((line) => !['sent', 'over', ''].includes(line))).toEqual([]);
    const peers = office.arrivals().filter(({ mail }) => mail.startsWith('loop ')).map(({ peer }) => peer);
    // Relayed, untouched while there was nobody, relayed.
    expect(peers.filter((peer, index) => peer !== peers[index - 1])).toEqual([SITE_V4, CLIENT_V4, SITE_V4]);
  });

  test('no site: the agent connects by itself, once, and is not brought back to itself', async () => {
    await office.killSite();
    await agent.untilEvents('direct_mode', 1);
    const relayed = agent.events('session').length;
    const { connections } = office.arrivals().findLast(({ at }) => at === MAIL_V4) ?? { connections: 0 };
    const [four, six] = await Promise.all([office.send(office.client, MAIL_V4, 'direct'), office.send(office.client, MAIL_V6, 'direct6')]);
    expect([four.peer, six.peer]).toEqual([ROUTER_V4, ROUTER_V6]);
    expect(four.connections).toBe(connections + 1);
    expect((await agent.untilEvents('session', relayed + 2)).slice(relayed).map(({ route, destination }) => `${String(route)} ${String(destination)}`).toSorted((a, b) => a.localeCompare(b))).toEqual([
      `direct [${MAIL_V6}]:25`,
      `direct ${MAIL_V4}:25`,
    ]);
  });

  test('killed: the unit removes the rules, and mail flows untouched although the sockets are still there', async () => {
    agent.signal('SIGKILL');
    const killedAt = performance.now();
    expect(await agent.untilStopped()).toBe(137);
    expect(await office.send(office.client, MAIL_V4, 'killed')).toMatchObject({ peer: CLIENT_V4 });
    expect(performance.now() - killedAt).toBeLessThan(5000);
    expect(await office.routerState()).toBe(before);
  });

  test('rules without anybody behind them let mail pass', async () => {
    await agent.end();
    await up();
    expect(await office.send(office.client, MAIL_V4, 'nobody')).toMatchObject({ peer: CLIENT_V4 });
    expect(await office.send(office.client, MAIL_V6, 'nobody6')).toMatchObject({ peer: CLIENT_V6 });
    await office.sekisho('intercept', 'down');
    expect(await office.routerState()).toBe(before);
  });
});
