import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Mesh, type MeshSite } from '../kit/mesh.ts';
import { stopAllProcesses, type TestProcess, waitForPort } from '../kit/process.ts';

/** `sekisho up`: a whole site as one tree of processes. */

const ADDRESS = '127.0.4.1';
let mesh: Mesh;
let site: MeshSite;
let up: TestProcess;

beforeAll(async () => {
  mesh = await Mesh.create();
  site = await mesh.addSite({ name: 'nagoya-1', servers: [{ name: 's1', address: ADDRESS, roles: ['auth', 'relay', 'manager'] }] });
  up = await mesh.sekisho.start('up', '--config', site.file, '--server', 's1');
  await waitForPort({ host: ADDRESS, port: site.ports.manager }, 30_000);
});

afterAll(async () => {
  await mesh?.stop();
  await stopAllProcesses();
});

/** The processes below `up`, by the role in their command line. */
function children(): Map<string, number> {
  const pids = readFileSync(`/proc/${up.pid}/task/${up.pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  return new Map(pids.map((pid) => [readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[2] ?? '', pid]));
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 20_000; performance.now() < deadline; await sleep(50)) if (await holds()) return;
  throw new Error(`not within 20 s: ${what}; the site said:\n${up.output}`);
}

test('the roles are processes of their own, and the manager found the others ready', () => {
  expect([...children().keys()].sort()).toEqual(['auth', 'manager', 'relay']);
  expect(up.output).not.toMatch(/"event":"(?:relay|auth)_lost"/u);
});

test('a second one on the same addresses ends at once and says why', async () => {
  const second = await mesh.sekisho.run('up', '--config', site.file, '--server', 's1');
  expect(second.code).toBe(69);
  expect(second.output).toMatch(/in use by another process/u);
  expect([...children().keys()]).toHaveLength(3);
});

test('a role that dies is started again, and the others do not notice', async () => {
  const before = children();
  process.kill(before.get('auth') ?? 0, 'SIGKILL');
  await eventually('auth is back', () => children().get('auth') !== before.get('auth') && children().has('auth'));
  expect(children().get('relay')).toBe(before.get('relay'));
  expect(children().get('manager')).toBe(before.get('manager'));
  expect(up.output).toContain('"event":"process_died"');
  await eventually('the manager sees it', async () => {
    const { managers } = (await site.status()) as { managers: { auths: { up: boolean }[] }[] };
    return managers[0]?.auths[0]?.up === true;
  });
});

test('no key of the site is in what it says', () => {
  const directory = join(dirname(site.file), 'keys');
  const secrets = readdirSync(directory)
    .filter((name) => name.endsWith('.key.pem'))
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').split('\n').filter((line) => line.length > 40));
  expect(secrets.length).toBeGreaterThan(4);
  expect(secrets.filter((line) => up.output.includes(line))).toEqual([]);
});

test('SIGTERM ends the whole tree, and nothing is left behind', async () => {
  const pids = [...children().values()];
  up.kill('SIGTERM');
  expect(await up.exited).toEqual({ code: 0, signal: null });
  await eventually('all are gone', () => pids.every((pid) => !isAlive(pid)));
});
