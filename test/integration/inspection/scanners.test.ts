import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Clamd, startClamd } from '../../kit/clamd.ts';
import { startFaultProxy } from '../../kit/fault-proxy.ts';
import { textMail } from '../../kit/mails.ts';
import { Mesh, type MeshAgent, type MeshSite } from '../../kit/mesh.ts';
import { freePort } from '../../kit/ports.ts';
import { stopAllProcesses } from '../../kit/process.ts';
import { type SmtpLedger, startSmtpLedger } from '../../kit/smtp-ledger.ts';
import { eicarAtTheEnd, eicarInBody } from '../../kit/virus-mails.ts';
import { linesOf } from '../session-logs.ts';
import { Babbler } from './babbler.ts';
import { type Heard, MailTraffic } from './mail-traffic.ts';

const MEBIBYTE = 1024 * 1024;
/** Of the issue: a scanner that is lost, or back, is known at the manager within this time. */
const KNOWN_WITHIN_MS = 10_000;
/**
 * Nobody waits longer for a scanner that hangs or is slow: until two checks of it have failed (4.5 s), or a third of
 * `scanTimeout` is over (6.7 s), then for the other one, on a busy machine.
 */
const MAX_TAKEOVER_MS = 12_000;
const PERIOD_MS = 1500;
const POLICIES = ['defer', 'pass', 'reject'] as const;
type Policy = (typeof POLICIES)[number];

/** An office with mails on their way, a relay of one policy, and its own pair of scanners. */
interface Branch {
  readonly policy: Policy;
  readonly scanners: readonly [Clamd, Clamd];
  readonly site: MeshSite;
  readonly agent: MeshAgent;
  readonly ledger: SmtpLedger;
  readonly traffic: MailTraffic;
  readonly metricsPort: number;
}

let mesh: Mesh;
let branches: Readonly<Record<Policy, Branch>>;
/** Clamds that take the place of another. */
const standIns: Clamd[] = [];
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  mesh = await Mesh.create();
  const prepared = await Promise.all(POLICIES.map((policy, index) => prepare(policy, index)));
  const made: [Policy, Branch][] = [];
  for (const [index, { policy, site, ...rest }] of prepared.entries()) {
    mesh.publish([site]);
    const agent = await mesh.startAgent({
      mac: `02:00:5e:42:00:0${index + 1}`,
      forward: [`127.0.0.1:${rest.ledger.port}/smtp`],
      settings: { failMode: 'closed' },
    });
    const traffic = new MailTraffic({ ledger: rest.ledger }, { port: agent.ports[0]!, seed: 10_000 * index });
    // A session through it: the agent has its relay, and needs DNS no more.
    await traffic.send(textMail(90_000 + index));
    made.push([policy, { policy, site, agent, traffic, ...rest }]);
  }
  branches = Object.fromEntries(made) as Record<Policy, Branch>;
}, 90_000);

afterAll(async () => {
  await mesh?.stop();
  await Promise.all([...started, ...standIns].map((server) => server.stop()));
  await stopAllProcesses();
});

async function prepare(policy: Policy, index: number) {
  const [ledger, metricsPort, ...scanners] = await Promise.all([
    startSmtpLedger(),
    freePort(),
    startClamd({ address: '127.0.0.1' }),
    startClamd({ address: '127.0.0.1' }),
  ]);
  started.push(ledger, ...scanners);
  const site = await mesh.addSite({
    name: policy,
    servers: [{ name: 's1', address: `127.0.42.${index + 1}`, roles: ['manager', 'auth', 'relay'] }],
    settings: {
      'relay.destinations.extraPorts': [ledger.port],
      'relay.inspect': {
        clamd: [scanners[0].address, scanners[1].tcpAddress],
        onUnscannable: { scannerDown: policy, tooBig: policy },
      },
      'metrics.relay': metricsPort,
    },
  });
  await site.start();
  return { policy, site, scanners, ledger, metricsPort };
}

interface InspectionStatus {
  readonly scanners: number;
  readonly scannersUp: number;
  readonly unscannable: number;
  readonly why?: string;
}

async function status({ site }: Branch): Promise<InspectionStatus | null> {
  const { managers } = (await site.status()) as { managers: { table: { relays: { inspection: InspectionStatus | null }[] } }[] };
  return managers[0]!.table.relays[0]!.inspection;
}

async function metrics({ metricsPort }: Branch): Promise<string> {
  return (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
}

/**
 * Until the relay's metrics, its manager and `sekisho status` say so; how long the first two took. A busy machine takes
 * seconds to start the command alone.
 */
async function known(branch: Branch, up: readonly [boolean, boolean]): Promise<number> {
  const startMs = performance.now();
  const scannersUp = up.filter(Boolean).length;
  const gauges = (text: string): string[] => text.match(/^sekisho_relay_scanner_up\{.*$/gmu)?.map((line) => line.slice(-1)) ?? [];
  const manager = branch.site.process('s1', 'manager');
  const toldUp = (): unknown => {
    const lines = [...linesOf(manager, 'scanners_down'), ...linesOf(manager, 'scanners_up')];
    return lines.sort((a, b) => String(a['time']).localeCompare(String(b['time']))).at(-1)?.['scannersUp'] ?? 2;
  };
  await vi.waitFor(
    async () => {
      expect(gauges(await metrics(branch))).toEqual(up.map((one) => (one ? '1' : '0')));
      expect(toldUp()).toBe(scannersUp);
    },
    { timeout: KNOWN_WITHIN_MS, interval: 100 },
  );
  const knownMs = Math.round(performance.now() - startMs);
  await vi.waitFor(async () => expect(await status(branch)).toMatchObject({ scanners: 2, scannersUp }), { timeout: 20_000, interval: 300 });
  return knownMs;
}

interface Phase {
  readonly name: string;
  /** What is done to the scanners. */
  readonly act: () => Promise<unknown> | void;
  /** Which of them is to be seen up then; none given: that is not waited for. */
  readonly up?: readonly [boolean, boolean];
  /** Codes that may be heard meanwhile, besides 250, and 554 to a virus. */
  readonly mayHear?: readonly string[];
}

/** Does it while mails are on their way, waits until it is known, lets some more mails pass, and says what they heard. */
async function run(branch: Branch, { name, act, up, mayHear = [] }: Phase): Promise<Heard> {
  const { traffic, policy } = branch;
  traffic.mark();
  await act();
  const knownMs = up === undefined ? undefined : await known(branch, up);
  await sleep(PERIOD_MS);
  const { heard } = traffic;
  console.log(`scanners: ${policy}: ${name}: ${JSON.stringify(heard.replies)}, slowest ${heard.slowestMs} ms${knownMs === undefined ? '' : `, known after ${knownMs} ms`}`);
  const codes = Object.keys(heard.replies);
  expect(codes, name).not.toEqual([]);
  expect(codes.filter((code) => !['250', 'virus 554', ...mayHear].includes(code)), name).toEqual([]);
  expect(heard.slowestMs, name).toBeLessThan(MAX_TAKEOVER_MS);
  return heard;
}

const tcpPort = (clamd: Clamd): number => Number(clamd.tcpAddress.split(':').at(-1));

async function endsWell({ traffic, agent }: Branch): Promise<void> {
  await traffic.finish();
  expect(traffic.faults()).toEqual([]);
  expect(agent.events('direct')).toEqual([]);
}

/** What the relay said about messages without a verdict: causes and what was done. */
function unscannable({ site }: Branch): Set<string> {
  return new Set(linesOf(site.process('s1', 'relay'), 'unscannable').map(({ cause, action }) => `${String(cause)} ${String(action)}`));
}

// At once: they have scanners of their own, and spend their time waiting for checks.
describe.concurrent('scanners fail while mail flows', () => {
  test('killed, one and then both, with "defer": 451 until one is there again, and then accepted', async () => {
    const branch = branches.defer;
    const [first, second] = branch.scanners;
    await run(branch, { name: 'both are well', act: () => undefined, up: [true, true] });
    await run(branch, { name: 'the first is killed', act: () => first.kill(), up: [false, true] });
    expect(unscannable(branch)).toEqual(new Set());
    const both = await run(branch, { name: 'both are killed', act: () => second.kill(), up: [false, false], mayHear: ['451', 'virus 451'] });
    const again = await run(branch, { name: 'the first is back', act: () => first.restart(), up: [true, false], mayHear: ['451', 'virus 451'] });
    expect((both.replies['451'] ?? 0) + (again.replies['451'] ?? 0)).toBeGreaterThan(4);
    expect(unscannable(branch)).toEqual(new Set(['scanner_down deferred']));
    await run(branch, { name: 'both are back', act: () => second.restart(), up: [true, true] });
    await run(branch, { name: 'both reload, one after the other, again and again', act: () => reloads(branch) });
    await endsWell(branch);
  });

  test('paused, and talking garbage, with "pass": the other takes over; with neither what is sent passes, and is counted', async () => {
    const branch = branches.pass;
    const [first, second] = branch.scanners;
    await run(branch, { name: 'one is paused', act: () => second.pause(), up: [true, false] });
    await run(branch, { name: 'it goes on', act: () => second.resume(), up: [true, true] });
    const babbler = new Babbler();
    started.push(babbler);
    const garbage = async (): Promise<void> => {
      await second.kill();
      await babbler.listen(tcpPort(second));
    };
    await run(branch, { name: 'one talks garbage', act: garbage, up: [true, false] });
    await vi.waitFor(() => expect(babbler.babbled).toBeGreaterThan(1), { timeout: KNOWN_WITHIN_MS });
    expect(unscannable(branch)).toEqual(new Set());
    // Without any scanner a virus would pass: that is what "pass" says.
    branch.traffic.withInfected = false;
    await sleep(PERIOD_MS);
    await run(branch, { name: 'the other is killed, too', act: () => first.kill(), up: [false, false] });
    expect(unscannable(branch)).toEqual(new Set(['scanner_down delivered']));
    const passed = linesOf(branch.site.process('s1', 'relay'), 'unscannable').length;
    expect(await metrics(branch)).toMatch(/^sekisho_relay_unscannable_messages_total\{cause="scanner_down"\} [1-9]/mu);
    expect((await status(branch))?.unscannable).toBeGreaterThan(0);
    expect(passed).toBeGreaterThan(4);
    await babbler.stop();
    await Promise.all([first.restart(), second.restart()]);
    await known(branch, [true, true]);
    branch.traffic.withInfected = true;
    await run(branch, { name: 'both are back', act: () => undefined });
    await endsWell(branch);
  });

  test('over their limits, and slow, with "reject": the larger one scans it; beyond both, and without both, 554', async () => {
    const branch = branches.reject;
    const { traffic } = branch;
    const [first, second] = branch.scanners;
    // Each in the place of the second, at its port.
    const atItsPort = { TCPSocket: tcpPort(second), TCPAddr: '127.0.0.1' };
    await second.kill();
    const limited = await startClamd({ settings: { StreamMaxLength: '1M', ...atItsPort } });
    standIns.push(limited);
    await run(branch, { name: 'one takes 1 MB only', act: () => sleep(PERIOD_MS), up: [true, true] });
    for (let count = 0; count < 4; count += 1) {
      expect(await traffic.send(textMail(70_000 + count, 3 * MEBIBYTE))).toMatch(/^250 /u);
      expect(await traffic.send(eicarAtTheEnd(70_000 + count, 3 * MEBIBYTE), true)).toMatch(/^554 5\.7\.1 a virus was found/u);
    }
    expect(unscannable(branch)).toEqual(new Set());
    await limited.kill();
    const slow = await startClamd({ address: '127.0.0.1' });
    standIns.push(slow);
    const line = await startFaultProxy({
      upstream: { host: '127.0.0.1', port: tcpPort(slow) },
      port: tcpPort(second),
      faults: { latencyMs: 300, bytesPerSecond: 400_000 },
    });
    started.push(line);
    await run(branch, { name: 'one is slow', act: () => sleep(2 * PERIOD_MS), up: [true, true] });
    await line.stop();
    await limited.restart();
    // It may have been seen down between the two, which is told with a delay.
    await sleep(PERIOD_MS);
    await known(branch, [true, true]);
    await first.kill();
    await known(branch, [false, true]);
    // The large ones of the traffic are refused from now on.
    expect(await traffic.send(eicarInBody(71_000), true)).toMatch(/^554 5\.7\.1 a virus was found/u);
    expect(await traffic.send(textMail(71_001))).toMatch(/^250 /u);
    expect(await traffic.send(textMail(71_002, 3 * MEBIBYTE))).toMatch(/^554 5\.7\.1 .*too big/u);
    expect(unscannable(branch)).toEqual(new Set(['too_big rejected']));
    await run(branch, { name: 'both are gone', act: () => limited.kill(), up: [false, false], mayHear: ['554'] });
    expect(await traffic.send(textMail(71_003))).toMatch(/^554 5\.7\.1 .*no scanner is available/u);
    expect(unscannable(branch)).toEqual(new Set(['too_big rejected', 'scanner_down rejected']));
    await run(branch, { name: 'both are back', act: () => Promise.all([first.restart(), second.restart()]), up: [true, true], mayHear: ['554'] });
    expect(await traffic.send(textMail(71_004))).toMatch(/^250 /u);
    await endsWell(branch);
  });
});

async function reloads({ scanners }: Branch): Promise<void> {
  for (let round = 0; round < 4; round += 1) for (const clamd of scanners) await clamd.reload();
}
