import { join } from 'node:path';
import { adminRequest, type ManagerStatus } from '@sekisho/manager';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Clamd, startClamd } from '../../kit/clamd.ts';
import { Mesh, type MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { type Redis, startRedis } from '../../kit/redis.ts';

/** One site, whole at first; then a relay, a clamd, a manager and Redis die, and an operator must see each within seconds. */

/** Of the issue. */
const VISIBLE_WITHIN_MS = 10_000;

let mesh: Mesh;
let site: MeshSite;
let redis: Redis;
let scanners: readonly [Clamd, Clamd];
let managerMetrics: string;
let agentMetrics: string;
let socket: string;

beforeAll(async () => {
  let ports: readonly [number, number, number];
  [mesh, redis, scanners, ports] = await Promise.all([
    Mesh.create(),
    startRedis(),
    Promise.all([startClamd(), startClamd()]),
    Promise.all([freePort(), freePort(), freePort()]),
  ]);
  site = await mesh.addSite({
    name: 'tokyo-1',
    servers: [
      { name: 's1', address: '127.0.51.1', roles: ['manager', 'auth', 'relay'] },
      { name: 's2', address: '127.0.51.2', roles: ['manager', 'auth', 'relay'] },
      { name: 's3', address: '127.0.51.3', roles: ['relay'] },
    ],
    settings: { 'store.url': redis.url, 'relay.inspect': { clamd: scanners.map(({ address }) => address) }, 'metrics.manager': ports[0] },
  });
  // Both managers are on this machine, and would serve their metrics at the same port.
  await Promise.all([site.startRole('s1', 'auth'), ...['s1', 's2', 's3'].map((name) => site.startRole(name, 'relay'))]);
  await site.startRole('s1', 'manager');
  site.configure({ 'metrics.manager': ports[1] });
  await Promise.all([site.startRole('s2', 'auth'), site.startRole('s2', 'manager')]);
  mesh.publish([site]);
  await mesh.startAgent({ mac: '02:00:5e:51:00:01', forward: ['127.0.0.1:9/smtp'], settings: { 'metrics.port': ports[2] } });
  managerMetrics = `http://127.0.0.1:${ports[0]}/metrics`;
  agentMetrics = `http://127.0.0.1:${ports[2]}/metrics`;
  socket = join(site.file, '..', 'state', 'manager-s1.sock');
}, 90_000);

afterAll(async () => {
  await mesh?.stop();
  await Promise.all([redis?.stop(), ...(scanners ?? []).map((clamd) => clamd.stop())]);
  await stopAllProcesses();
});

async function status(): Promise<ManagerStatus> {
  const { body } = await adminRequest(socket, 'GET', '/status');
  return body as ManagerStatus;
}

/** What is missing: `relays 2/3 s3`. */
async function missing(): Promise<string[]> {
  const { redundancy } = await status();
  return redundancy.filter(({ lost }) => lost.length > 0).map(({ what, have, want, lost }) => `${what} ${have}/${want} ${lost.join(' ')}`);
}

async function lostInMetrics(): Promise<string[]> {
  const text = await (await fetch(managerMetrics)).text();
  return [...text.matchAll(/^sekisho_manager_redundancy_lost\{of="(\w+)"\} 1$/gmu)].map(([, of = '']) => of);
}

async function check(what: string, ...args: string[]): Promise<{ code: number | null; line: string }> {
  const { code, stdout } = await mesh.sekisho.run('check', what, '-t', '60', ...args);
  const lines = stdout.toString().split('\n');
  expect(lines).toEqual([expect.stringMatching(new RegExp(`^SEKISHO ${what.toUpperCase()} (OK|WARNING|CRITICAL|UNKNOWN) - .+ \\| '.+$`, 'u')), '']);
  return { code, line: lines[0] ?? '' };
}

const checkSite = () => check('site', '--config', site.file);

/** Until status, metrics and `check site` all show it; how long each took. */
async function seen(what: string, expected: readonly string[], text: RegExp): Promise<void> {
  const startMs = performance.now();
  const since = (): number => Math.round(performance.now() - startMs);
  const soon = { timeout: VISIBLE_WITHIN_MS, interval: 50 };
  const inStatus = async (): Promise<number> => {
    await expect.poll(missing, soon).toEqual(expected);
    return since();
  };
  const inMetrics = async (): Promise<number> => {
    await expect.poll(lostInMetrics, soon).toEqual(expected.map((one) => one.split(' ')[0]));
    return since();
  };
  const [statusMs, metricsMs] = await Promise.all([inStatus(), inMetrics()]);
  const { code, line } = await checkSite();
  const checkMs = since();
  expect(line).toMatch(text);
  expect(code).toBe(1);
  expect((await status()).events.map((one) => `${one.event} ${one.text}`).join('\n')).toContain(`redundancy_lost ${what}`);
  expect(checkMs).toBeLessThan(VISIBLE_WITHIN_MS);
  console.log(`${what}: seen in metrics after ${metricsMs} ms, in status after ${statusMs} ms, by check after ${checkMs} ms`);
}

test('a whole site, then without a relay, a clamd, a manager and its store: each is seen within 10 s', async () => {
  await expect.poll(async () => (await status()).redundancy.map(({ what, have, want }) => `${what} ${have}/${want}`), { timeout: 20_000 }).toEqual([
    'relays 3/3',
    'managers 2/2',
    'auths 2/2',
    'scanners 6/6',
    'store 1/1',
  ]);
  expect((await status()).managers.map(({ name, up, self }) => ({ name, up, self }))).toEqual([
    { name: 's1', up: true, self: true },
    { name: 's2', up: true, self: false },
  ]);
  expect(await (await fetch(managerMetrics)).text()).toContain('sekisho_manager_fellow_up{manager="s2"} 1');
  expect(await lostInMetrics()).toEqual([]);
  // It differs in where metrics are served, which this machine forces on the two.
  const whole = await checkSite();
  expect(whole).toEqual({ code: 1, line: expect.stringContaining('SEKISHO SITE WARNING - another configuration than the others: ') });
  expect(whole.line).toContain("relays 3/3, managers 2/2, auths 2/2, scanners 6/6, store up | 'relays'=3;;;0;3 'managers'=2;;;0;2 'auths'=2;;;0;2 'scanners'=6;;;0;6 'store'=1;;;0;1");

  await site.killRole('s3', 'relay');
  await seen('relays 2 of 3, without s3', ['relays 2/3 s3'], /relays 2\/3 \(s3: ECONNREFUSED\)/u);
  await scanners[1].kill();
  const dead = 'relays 2/3 s3';
  await seen('scanners 4 of 6, without s1, s2', [dead, 'scanners 4/6 s1 s2'], /scanners 2\/4 \(s1: /u);
  await site.killRole('s2', 'manager');
  await seen('managers 1 of 2, without s2', [dead, 'managers 1/2 s2', 'scanners 4/6 s1 s2'], /managers 1\/2 \(s2: ECONNREFUSED\)/u);
  expect(await (await fetch(managerMetrics)).text()).toContain('sekisho_manager_fellow_up{manager="s2"} 0');
  await redis.kill();
  await seen('store 0 of 1, without store', [dead, 'managers 1/2 s2', 'scanners 4/6 s1 s2', 'store 0/1 store'], /the store does not answer/u);
});

test('the manager and the store come back: that is seen, too, and told once', async () => {
  const restartedAt = Date.now();
  await Promise.all([redis.restart(), site.startRole('s2', 'manager')]);
  await expect.poll(missing, { timeout: VISIBLE_WITHIN_MS, interval: 50 }).toEqual(['relays 2/3 s3', 'scanners 4/6 s1 s2']);
  const { events, managers } = await status();
  expect(managers.map(({ up, lostAt }) => ({ up, lostAt }))).toEqual(Array.from({ length: 2 }, () => ({ up: true, lostAt: null })));
  const told = events.filter(({ at, event }) => at >= restartedAt && event.startsWith('redundancy')).map(({ event, text }) => `${event} ${text}`);
  expect(told.sort()).toEqual(['redundancy_back managers 2 of 2', 'redundancy_back store 1 of 1']);
});

test('the other checks, and status for people', async () => {
  const config = ['--config', site.file];
  const [relay, lostRelay, manager, clamd, office, page, elsewhere] = await Promise.all([
    check('relay', ...config, '--server', 's1', '-w', '~:1000'),
    mesh.sekisho.run('check', 'relay', ...config, '--server', 's3'),
    check('manager', ...config, '--server', 's1', '-w', '20', '-c', '30'),
    check('clamd', ...config),
    check('agent', '--url', agentMetrics),
    mesh.sekisho.run('status', ...config, '--server', 's1'),
    mesh.sekisho.run('status', ...config, '--server', 's3', '--json'),
  ]);
  // Which relay the agent is connected to is a matter of chance.
  expect(relay).toEqual({ code: 1, line: expect.stringMatching(/^SEKISHO RELAY WARNING - scanners 1\/2: .+, relay s1: 0 sessions of [01] devices \| 'workers'=1;;;0;1 'load'=/u) });
  expect(lostRelay.code).toBe(2);
  expect(lostRelay.stdout.toString()).toBe('SEKISHO RELAY CRITICAL - relay s3 does not answer: ECONNREFUSED\n');
  expect(manager).toEqual({ code: 0, line: expect.stringMatching(/^SEKISHO MANAGER OK - manager s1 answers, 1 agents \| 'time'=[\d.]+s;20;30;0 'agents'=1;;;0 'direct'=0;;;0 'relays'=2;;;0;3 'certificate_days'=/u) });
  expect(clamd).toEqual({ code: 1, line: expect.stringMatching(/^SEKISHO CLAMD WARNING - scanners 1\/2 \(unix:.+: no connection: /u) });
  // Whether it has noticed depends on which of the two it is connected to.
  expect(office.line).toMatch(/^SEKISHO AGENT (?:OK - 2 of 2 managers alive|WARNING - 1 of 2 managers alive: no redundancy), 0 sessions \| 'direct'=0;;;0;1 /u);
  expect(page.code).toBe(0);
  const shown = page.stdout.toString();
  expect(shown).toMatch(/^redundancy: relays 2\/3 \(s3 lost \d+ s ago\), managers 2\/2, auths 2\/2,\n {12}scanners 4\/6 \(s1, s2 lost \d+ s ago\), store up$/mu);
  // From a server without a manager: every server as it answers.
  expect(elsewhere.code).toBe(0);
  const { managers, servers } = JSON.parse(elsewhere.stdout.toString()) as { managers: unknown[]; servers: { server: string; role: string; up: boolean; problem: string | null }[] };
  expect(managers).toEqual([]);
  expect(servers.filter(({ up }) => !up)).toMatchObject([{ server: 's3', role: 'relay', problem: 'ECONNREFUSED', report: null }]);
  expect(servers.filter(({ up }) => up)).toHaveLength(6);
  expect(shown).toMatch(/^s3 +relay +LOST /mu);
});
