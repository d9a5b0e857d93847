import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LoadResult } from '../../../packages/simulator/src/load/figures/load-result.ts';
import { childrenOfAll, processExists } from '../../../packages/simulator/src/load/machine/process-watch.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../kit/ports.ts';
import { stopAllProcesses, type TestProcess } from '../../kit/process.ts';
import { type LoadMesh, startLoadMesh } from './load-mesh.ts';

let lab: LoadMesh;

beforeAll(async () => {
  lab = await startLoadMesh();
});

afterAll(async () => {
  await lab?.mesh.stop();
  await stopAllProcesses();
});

const SHORT = ['--duration', '1s', '--warm-up', '300ms', '--json'];

/** Through the site by the offices' own agents. */
function byDevices(): string[] {
  return ['--devices', lab.devices, '--smtp-port', String(lab.smtpPort), '--pop3-port', String(lab.pop3Port)];
}

async function load(...args: string[]): Promise<LoadResult & { exitCode: number | null }> {
  const { code, stdout, output } = await lab.mesh.sekisho.run('load', ...args);
  if (!stdout.toString().startsWith('{')) throw new Error(`sekisho load ${args.join(' ')} ended with ${code}:\n${output}`);
  return { ...(JSON.parse(stdout.toString()) as LoadResult), exitCode: code };
}

/** Every mail that was promised is there; every session that went well had one mail. */
function expectExact({ ledger: { up, down }, inAll, ok, exitCode }: LoadResult & { exitCode: number | null }): void {
  expect({ ok, exitCode }).toEqual({ ok: true, exitCode: 0 });
  expect(up).toMatchObject({ lost: 0, duplicate: 0, altered: 0, foreign: 0 });
  expect(up.stored).toBe(up.accepted + up.unconfirmed);
  expect(down.altered).toBe(0);
  expect(inAll.completed).toBeLessThanOrEqual(up.accepted + down.fetched);
  expect(up.sent + down.asked).toBeLessThanOrEqual(inAll.completed + inAll.failed);
}

/** Relayed sessions that a relay has logged so far. */
function sessionsAt(relay: string): number {
  return lab.site.process(relay, 'relay').stdout.toString().split('"event":"session"').length - 1;
}

function descendants(pid: number): number[] {
  const children = childrenOfAll();
  const below = (parent: number): number[] => (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

async function untilGone(pids: readonly number[]): Promise<void> {
  for (const deadline = performance.now() + 5000; performance.now() < deadline; await sleep(20)) if (!pids.some(processExists)) return;
  throw new Error(`still there: ${pids.filter(processExists).join(', ')}`);
}

async function workersOf(command: TestProcess, count: number): Promise<number[]> {
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(20)) {
    const below = descendants(command.pid);
    if (below.length >= count) return below;
  }
  throw new Error(`no ${count} load processes:\n${command.output}`);
}

test('two processes with the agents of three offices: ledger and figures are exact', async () => {
  const html = join(lab.mesh.directory, 'load.html');
  const relays = ['r1', 'r2'].map((name) => `${name}=${lab.site.process(name, 'relay').pid}`);
  const result = await load(...byDevices(), '--clients', '12', '--processes', '2', '--size', '20KiB', '--fetch', '0.4', ...relays.flatMap((one) => ['--watch', one]), '--html', html, ...SHORT);
  expectExact(result);
  const { sessions, mails, phases, throughput, processes, perSecond, ledger, inAll } = result;
  expect(result).toMatchObject({ version: 1, interrupted: false, errors: [], refusals: [], direct: [] });
  expect(inAll.completed).toBe(ledger.up.sent + ledger.down.asked);
  expect(sessions.completed).toBeGreaterThan(10);
  expect(sessions.perSecond).toBeCloseTo(sessions.completed / result.measuredSeconds, 6);
  // At the edges of what is measured a mail may be in and its session out.
  expect(Math.abs(mails.sent + mails.fetched - sessions.completed)).toBeLessThanOrEqual(12);
  expect(phases.timeToRelay?.p50).toBeGreaterThanOrEqual(phases.relay?.p50 ?? Number.NaN);
  expect(phases.timeToRelay?.max).toBeGreaterThanOrEqual(phases.timeToRelay?.p99 ?? Number.NaN);
  expect(throughput.perClientBytesPerSecond?.min).toBeGreaterThan(0);
  expect(Math.abs((throughput.upBytesPerSecond * result.measuredSeconds) / (20_480 * mails.sent) - 1)).toBeLessThan(0.5);
  expect(processes.map(({ name }) => name)).toEqual(['load', 'r1', 'r2']);
  expect(processes[0]).toMatchObject({ processes: 3 });
  expect(Math.max(...processes.slice(1).map(({ cpuSeconds }) => cpuSeconds))).toBeGreaterThan(0);
  for (const { residentBytes } of processes) expect(residentBytes.max).toBeGreaterThan(30e6);
  expect(perSecond.reduce((sum, one) => sum + one.sessions, 0)).toBe(inAll.completed);
  const page = readFileSync(html, 'utf8');
  expect(page).toContain('Time to relay');
  expect(page).not.toMatch(/(?:src|href)="?https?:/u);
});

test('through an agent that runs already, over TLS', async () => {
  const port = lab.smtpPort;
  const agent = await lab.mesh.startAgent({ mac: '02:00:5e:10:06:f0', forward: [`127.0.0.1:${port}/smtps`] });
  const listener = `127.0.0.1:${agent.ports[0]}=127.0.0.1:${port}/smtps`;
  const result = await load('--agent', listener, '--tls', '--size', '4KiB', '--clients', '3', '--watch', `agent=${agent.process.pid}`, ...SHORT);
  expectExact(result);
  expect(result.ledger.up.accepted).toBeGreaterThan(3);
  expect(result.phases.relay).toBeNull();
  const relayed = agent.events('session').filter(({ route }) => route === 'relayed');
  expect(relayed.length).toBeGreaterThanOrEqual(result.inAll.completed);
  await agent.process.stop();
});

test('a relay that is named is used, and no other', async () => {
  const before = ['r1', 'r2', 'r9'].map(sessionsAt);
  const result = await load(...byDevices(), '--relay', `r9=127.0.6.19:${lab.site.ports.relay}`, '--clients', '3', '--size', '4KiB', ...SHORT);
  expectExact(result);
  const [r1, r2, r9] = ['r1', 'r2', 'r9'].map((name, index) => sessionsAt(name) - (before[index] ?? 0));
  expect({ r1, r2, r9 }).toEqual({ r1: 0, r2: 0, r9: result.inAll.completed });
});

test('a worker of each relay is killed in the middle: errors are counted, and nothing is lost', async () => {
  const running = load(...byDevices(), '--clients', '20', '--size', '200KiB', '--fetch', '0.3', '--duration', '2500ms', '--warm-up', '300ms', '--json');
  const before = ['r1', 'r2'].map(sessionsAt);
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(20))
    if (['r1', 'r2'].some((name, index) => sessionsAt(name) > (before[index] ?? 0) + 20)) break;
  for (const name of ['r1', 'r2'])
    for (const worker of descendants(lab.site.process(name, 'relay').pid)) process.kill(worker, 'SIGKILL');
  const result = await running;
  expectExact(result);
  expect(result.inAll.failed).toBeGreaterThan(0);
  expect(result.errors.reduce((sum, { count }) => sum + count, 0)).toBe(result.inAll.failed);
  expect(result.errors.map(({ code }) => code)).toContain('reset');
  // It goes on afterwards.
  expect(result.inAll.completed).toBeGreaterThan(20);
});

test('a manager, or a relay, that is not this machine is refused before anything is sent', async () => {
  const file = join(lab.devices, readdirSync(lab.devices)[0] ?? '');
  expect(readFileSync(file, 'utf8')).toContain('manager.sekisho.test');
  lab.mesh.dns.set('manager.sekisho.test', { a: ['192.0.2.1'], ttlS: 60 });
  try {
    const manager = await lab.mesh.sekisho.run('load', ...byDevices(), '--clients', '3', ...SHORT);
    expect(manager.code).toBe(1);
    expect(manager.stderr).toContain('The manager manager.sekisho.test (192.0.2.1) is not on this machine');
  } finally {
    lab.mesh.publish([lab.site]);
  }
  const relay = await lab.mesh.sekisho.run('load', ...byDevices(), '--relay', 'r9=192.0.2.9:7026', '--clients', '3', ...SHORT);
  expect(relay.code).toBe(1);
  expect(relay.stderr).toContain('--i-own-this-target 192.0.2.9');
});

test('killed, it leaves no process; interrupted, it reports what was measured', async () => {
  const port = await freePort();
  const args = ['load', '--direct', '--clients', '4', '--size', '4KiB', '--smtp-port', String(port), '--processes', '2', '--duration', '1m', '--warm-up', '0ms', '--json'];
  const killed = await lab.mesh.sekisho.start(...args);
  const workers = await workersOf(killed, 2);
  process.kill(killed.pid, 'SIGKILL');
  await killed.exited;
  await untilGone(workers);

  const interrupted = await lab.mesh.sekisho.start(...args, '--html', join(lab.mesh.directory, 'interrupted.html'));
  await workersOf(interrupted, 2);
  await interrupted.waitForOutput(/warming up|measuring/u);
  await sleep(500);
  interrupted.kill('SIGINT');
  expect((await interrupted.exited).code).toBe(0);
  const result = JSON.parse(interrupted.stdout.toString()) as LoadResult;
  expect(result).toMatchObject({ interrupted: true, ok: true });
  expect(result.inAll.completed).toBeGreaterThan(0);
  expect(result.measuredSeconds).toBeLessThan(30);
  expect(existsSync(join(lab.mesh.directory, 'interrupted.html'))).toBe(true);
});

test('interrupted before anything was measured, it says so and has no figures; told twice, it goes at once', async () => {
  const args = ['load', '--direct', '--clients', '4', '--size', '4KiB', '--warm-up', '1m', '--json'];
  const once = await lab.mesh.sekisho.start(...args);
  await once.waitForOutput(/warming up/u);
  once.kill('SIGINT');
  expect((await once.exited).code).toBe(1);
  expect(once.stderr).toContain('ended before anything was measured');

  const twice = await lab.mesh.sekisho.start(...args, '--bulk', '--client-rate', '0.001');
  await twice.waitForOutput(/warming up/u);
  const [worker = 0] = await workersOf(twice, 1);
  // One that is too busy to hear of it.
  process.kill(worker, 'SIGSTOP');
  twice.kill('SIGTERM');
  await sleep(300);
  twice.kill('SIGTERM');
  await twice.exited;
  await untilGone([worker]);
});

test('a load process that dies ends the run, and the others with it', async () => {
  const command = await lab.mesh.sekisho.start('load', '--direct', '--clients', '4', '--processes', '2', '--duration', '1m', '--json');
  const workers = await workersOf(command, 2);
  await sleep(300);
  process.kill(workers[0] ?? 0, 'SIGKILL');
  expect((await command.exited).code).toBe(1);
  expect(command.stderr).toContain('a load process has ended (SIGKILL)');
  await untilGone(workers);
});
