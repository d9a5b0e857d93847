import { secureContext } from '@sekisho/channel';
import type { RelayReport } from '@sekisho/wire';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { checkManager } from '../../../packages/cli/src/checks/manager-check.ts';
import { PluginReport } from '../../../packages/cli/src/checks/plugin-report.ts';
import { parseRange } from '../../../packages/cli/src/checks/range.ts';
import { checkRelay } from '../../../packages/cli/src/checks/relay-check.ts';
import { checkSite } from '../../../packages/cli/src/checks/site-check.ts';
import type { Server, Site } from '../../../packages/cli/src/files/site.ts';
import { FakeRelay, IDLE_REPORT, MiniSite } from '../control-plane/mini-site.ts';

/** What `sekisho check` makes of relays that say this or that, a real manager and a real auth; certificates hold for ten days. */

const SERVER = { name: 's1', address: '127.0.0.1', roles: ['manager', 'auth', 'relay'] } as const;
const CERTIFICATE = 'the certificate of relay s1 ends in 9 days';

let mini: MiniSite;
let relay: FakeRelay;
let site: Site;

beforeAll(async () => {
  mini = await MiniSite.make();
  relay = new FakeRelay({ name: 's1', credentials: mini.credentials('relay') });
  const [auth] = await Promise.all([mini.startAuth(), relay.listen()]);
  mini.relays.push(relay);
  const manager = await mini.startManager();
  const config = {
    site: 'tokyo-1',
    ports: { relayControl: relay.port, manager: manager.port, auth: auth.port },
    manager: { maxLoadPerCore: 4, maxHottestCore: 0.95 },
    relay: { inspect: { clamd: ['unix:/a', 'unix:/b'] } },
  };
  site = { config, file: 'site.yaml', withRole: () => [SERVER], adminSocket: () => `${mini.directory}/manager.sock` } as unknown as Site;
}, 30_000);
afterAll(() => mini?.close());
beforeEach(() => {
  relay.report = IDLE_REPORT;
  relay.answers = true;
});

const access = (role: 'manager' | 'relay' = 'manager') => ({ role, context: secureContext(mini.credentials(role)) });
const server = SERVER as unknown as Server;

async function ofRelay(change: Partial<RelayReport>, init: { timeoutMs?: number; warning?: string; critical?: string } = {}): Promise<string> {
  const { timeoutMs = 3000, warning, critical } = init;
  relay.report = { ...IDLE_REPORT, ...change };
  const report = new PluginReport('RELAY');
  const thresholds = {
    ...(warning === undefined ? {} : { warning: parseRange(warning) }),
    ...(critical === undefined ? {} : { critical: parseRange(critical) }),
  };
  await checkRelay(report, { site, server, access: access() }, { timeoutMs, ...thresholds });
  return report.line();
}

const inspection = (scannersUp: number) => ({ clean: 0, infected: 0, unscannable: 0, uninspected: 0, scanners: 2, scannersUp, why: 'unix:/b: refused' });

test('a relay: what it says of itself decides', async () => {
  expect(await ofRelay({ sessions: 250, devices: 3, workers: 2, workersWanted: 2 })).toMatch(
    new RegExp(
      `^SEKISHO RELAY WARNING - ${CERTIFICATE}, relay s1: 250 sessions of 3 devices \\| 'workers'=2;;;0;2 'load'=25%;100;;0 'sessions'=250;;;0;1000 'devices'=3;;;0 'bytes_per_second'=0B;;;0 'time'=[\\d.]+s;;;0 'certificate_days'=9;30:;7:$`,
      'u',
    ),
  );
  expect(await ofRelay({ workers: 1, workersWanted: 2 })).toMatch(/^SEKISHO RELAY WARNING - 1 of 2 workers, /u);
  expect(await ofRelay({ draining: 1 })).toMatch(/^SEKISHO RELAY WARNING - the relay drains/u);
  expect(await ofRelay({ unable: 'destination DNS dead' })).toMatch(/^SEKISHO RELAY CRITICAL - the relay cannot work: destination DNS dead, /u);
  expect(await ofRelay({ inspection: inspection(1) })).toMatch(/^SEKISHO RELAY WARNING - scanners 1\/2: unix:\/b: refused, .+'scanners'=1;;;0;2/u);
  expect(await ofRelay({ inspection: inspection(0) })).toMatch(/^SEKISHO RELAY CRITICAL - scanners 0\/2/u);
  expect(await ofRelay({ hottestCoreMilli: 1000 })).toMatch(/^SEKISHO RELAY WARNING - load 105 % of its limit, /u);
  expect(await ofRelay({ loadPerCoreMilli: 3600 }, { warning: '50', critical: '80' })).toMatch(/^SEKISHO RELAY CRITICAL - load 90 % of its limit, .+'load'=90%;50;80;0/u);
  expect(await ofRelay({ bytesPerSecond: 60, bytesPerSecondLimit: 100 }, { warning: '50', critical: '80' })).toMatch(/^SEKISHO RELAY WARNING - load 60 %/u);
});

test('a relay that hangs, and another one at its address', async () => {
  relay.answers = false;
  expect(await ofRelay({}, { timeoutMs: 300 })).toBe('SEKISHO RELAY CRITICAL - relay s1 does not answer: no answer within 300 ms');
  relay.answers = true;
  const report = new PluginReport('RELAY');
  await checkRelay(report, { site, server: { ...server, name: 's2' }, access: access() }, { timeoutMs: 3000 });
  expect(report.line()).toBe('SEKISHO RELAY CRITICAL - at the address of s2 answers s1: compare the addresses in site.yaml');
});

async function ofSite(change: Partial<RelayReport>, role: 'manager' | 'relay' = 'manager'): Promise<string> {
  relay.report = { ...IDLE_REPORT, ...change };
  const report = new PluginReport('SITE');
  await checkSite(report, { site, access: access(role) }, { timeoutMs: 3000 });
  return report.line();
}

test('a site: what its one relay says, from a manager and from a server that only relays', async () => {
  const all = 'site tokyo-1, relays 1/1, managers 1/1, auths 1/1, ';
  for (const role of ['manager', 'relay'] as const)
    expect(await ofSite({ inspection: inspection(2) }, role)).toContain(`SEKISHO SITE WARNING - the certificate of a server ends in 9 days, ${all}scanners 2/2, store up | `);
  expect(await ofSite({ inspection: inspection(1) })).toMatch(/^SEKISHO SITE WARNING - scanners 1\/2 \(s1: unix:\/b: refused\), /u);
  expect(await ofSite({ inspection: inspection(0) })).toMatch(/^SEKISHO SITE CRITICAL - scanners 0\/2 /u);
  expect(await ofSite({ unable: 'no workers' })).toMatch(/^SEKISHO SITE CRITICAL - no relay takes mail, cannot work: s1: no workers, /u);
  expect(await ofSite({ draining: 1 })).toMatch(/^SEKISHO SITE CRITICAL - no relay takes mail, .+, s1 drains, /u);
});

test('a manager, over its port and its socket', async () => {
  const report = new PluginReport('MANAGER');
  await checkManager(report, { site, server, access: access('relay') }, { timeoutMs: 3000, warning: parseRange('20') });
  expect(report.line()).toMatch(
    /^SEKISHO MANAGER WARNING - the certificate of manager s1 ends in 9 days, manager s1 answers, 0 agents \| 'time'=[\d.]+s;20;;0 'agents'=0;;;0 'direct'=0;;;0 'relays'=1;;;0;1 'certificate_days'=9;30:;7:$/u,
  );
});
