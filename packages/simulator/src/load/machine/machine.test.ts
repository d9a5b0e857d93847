import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startDnsServer } from '../../../../../test/kit/dns-server.ts';
import { aimProblem, isLoopback } from './own-targets.ts';
import { childrenOfAll, processExists, ProcessWatch } from './process-watch.ts';
import { roomOfThisMachine, roomProblem } from './room.ts';
import { UsageLog } from './usage-log.ts';

const BUSY = "while (process.cpuUsage().user < 1e5); console.log('done'); setInterval(() => {}, 1000)";

test('a process is followed with its descendants, and what they used stays counted when they are gone', async () => {
  // A shell that has a child: as a supervisor and its workers.
  const parent = spawn('sh', ['-c', `"${process.execPath}" -e "${BUSY}" & wait`], { stdio: ['ignore', 'pipe', 'ignore'], detached: true });
  const pid = parent.pid ?? 0;
  try {
    const watch = new ProcessWatch({ name: 'busy', pid });
    await once(parent.stdout, 'data');
    const usage = watch.look(childrenOfAll());
    expect(usage.processes).toBe(2);
    expect(usage.cpuSeconds).toBeGreaterThan(0.09);
    expect(usage.cpuSeconds).toBeLessThan(5);
    expect(usage.residentBytes).toBeGreaterThan(10e6);
    process.kill(-pid, 'SIGKILL');
    await once(parent, 'exit');
    while (processExists(pid)) await sleep(5);
    const after = watch.look(childrenOfAll());
    expect(after).toMatchObject({ processes: 0, residentBytes: 0 });
    expect(after.cpuSeconds).toBeGreaterThanOrEqual(usage.cpuSeconds);
  } finally {
    if (parent.exitCode === null && parent.signalCode === null) process.kill(-pid, 'SIGKILL');
  }
});

test('the log takes the time between its beginning and its end, and looks in between', async () => {
  const log = new UsageLog([{ name: 'me', pid: process.pid }]);
  const burn = (ms: number): void => {
    for (const before = process.cpuUsage(); process.cpuUsage(before).user < ms * 1000; );
  };
  expect(log.look(childrenOfAll())).toEqual({ me: 0 });
  burn(10);
  log.begin(childrenOfAll());
  burn(30);
  const second = log.look(childrenOfAll())['me'] ?? 0;
  log.end(childrenOfAll());
  burn(10);
  const [figures] = log.figures();
  expect(figures?.cpuSeconds).toBeLessThan(second);
  expect(figures?.cpuSeconds).toBeGreaterThan(0.029);
  expect(figures?.residentBytes.max).toBeGreaterThanOrEqual(figures?.residentBytes.start ?? 0);
  expect(figures?.processes).toBeGreaterThan(0);
});

const room = { descriptors: 1000, ports: 500 };
const wish = { clients: 100, processes: 1, offices: 0, targets: 1, servers: 1 };

test('what there is room for is not refused', () => {
  expect(roomProblem(wish, room)).toBeUndefined();
  expect(roomProblem({ ...wish, clients: 500, processes: 2 }, room)).toBeUndefined();
});

test('too many clients for the descriptors of a process: so many processes would do', () => {
  expect(roomProblem({ ...wish, clients: 500 }, room)).toContain('500 clients in 1 process(es) need 1,128 descriptors in each, and a process may have 1,000. --processes 2 would do');
  expect(roomProblem({ ...wish, clients: 300, offices: 50 }, room)).toContain('300 clients at 50 offices in 1 process(es) need 1,628 descriptors');
  expect(roomProblem({ ...wish, clients: 5 }, { ...room, descriptors: 64 })).toContain('Raise the limit');
});

test('too many clients for the local ports: so many addresses would do', () => {
  const problem = roomProblem({ ...wish, clients: 1200, processes: 3 }, room);
  expect(problem).toContain('1,200 clients at once need 1,200 local ports, and there are 500 to each of the 1 address(es)');
  expect(problem).toContain('At least 3 are needed');
  expect(roomProblem({ ...wish, clients: 1200, processes: 3, targets: 30, servers: 3 }, room)).toBeUndefined();
  expect(roomProblem({ ...wish, clients: 1200, processes: 3, targets: 30, servers: 2 }, room)).toContain('1,200 local ports');
});

test('more processes than clients are refused', () => {
  expect(roomProblem({ ...wish, clients: 2, processes: 3 }, room)).toContain('at most --processes 2');
});

test('this machine says what room it has', () => {
  expect(roomOfThisMachine().descriptors).toBeGreaterThan(100);
  expect(roomOfThisMachine().ports).toBeGreaterThan(100);
});

test.each([
  ['127.0.0.1', true],
  ['127.255.3.4', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['128.0.0.1', false],
  ['192.0.2.1', false],
  ['2001:db8::1', false],
  ['0.0.0.0', false],
  ['localhost', false],
])('loopback: %s is %s', (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});

test('nobody is aimed at who is not this machine and was not named', async () => {
  const what = 'The relay';
  expect(await aimProblem([{ host: '127.0.0.1', what }, { host: 'localhost', what }], [])).toBeUndefined();
  expect(await aimProblem([{ host: '127.0.0.1', what }, { host: '192.0.2.1', what }], ['192.0.2.2'])).toContain('--i-own-this-target 192.0.2.1');
  expect(await aimProblem([{ host: '192.0.2.1', what }], ['192.0.2.1'])).toBeUndefined();
  expect(await aimProblem([{ host: 'Manager.Example.COM', what }], ['manager.example.com'])).toBeUndefined();
  const dns = await startDnsServer();
  try {
    const dnsServers = [`${dns.address}:${dns.port}`];
    dns.set('manager.sekisho.test', { a: ['127.0.0.1', '127.0.0.2'], ttlS: 60 });
    expect(await aimProblem([{ host: 'manager.sekisho.test', what, dnsServers }], [])).toBeUndefined();
    dns.set('manager.sekisho.test', { a: ['127.0.0.1', '192.0.2.3'], ttlS: 60 });
    expect(await aimProblem([{ host: 'manager.sekisho.test', what, dnsServers }], [])).toContain('manager.sekisho.test (192.0.2.3) is not on this machine');
  } finally {
    await dns.stop();
  }
  expect(await aimProblem([{ host: 'nowhere.invalid', what, dnsServers: ['127.0.0.1:9'] }], [])).toContain('cannot be resolved');
});
