import { join } from 'node:path';
import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bind, startBind } from '../../kit/bind.ts';
import { Sekisho } from '../../kit/mesh.ts';
import { runProcess } from '../../kit/process.ts';
import { makeTempDir, type TempDir } from '../../kit/temp-dir.ts';

/** `sekisho site join|leave` at the command line: what it prints, what it refuses, and what it leaves alone. */

const sekisho = new Sekisho();
let dir: TempDir;
let bind: Bind;
let config: string;

beforeAll(async () => {
  dir = await makeTempDir('site-dns');
  bind = await startBind({ zone: 'sekisho.test', addresses: ['127.0.32.99'] });
  const operator = join(dir.path, 'operator');
  await sekisho.mustRun('operator', 'init', operator, '--manager-name', 'manager.sekisho.test');
  await sekisho.mustRun('site', 'init', join(dir.path, 'site'), '--operator', operator, '--site', 'nagoya-1', '--address', '127.0.32.1', '::1', '127.0.32.3');
  config = join(dir.path, 'site/site.yaml');
});

afterAll(async () => {
  await bind?.stop();
  await dir?.remove();
});

const site = (...args: string[]) => sekisho.run('site', ...args, '--config', config, '--server', bind.server);
const resolve4 = async () => {
  const resolver = new Resolver();
  resolver.setServers([bind.server]);
  return (await resolver.resolve4('manager.sekisho.test')).toSorted();
};

test('printed without a key: the zone’s lines, and what nsupdate takes as it stands', async () => {
  const printed = await site('join', '--force', '--zone', 'sekisho.test', '--ttl', '30');
  expect(printed).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing was changed yet') });
  // Managers only; the third server is a relay.
  expect(printed.stdout.toString().split('\n')).toEqual([
    '; site nagoya-1 joins manager.sekisho.test; into the zone:',
    '; manager.sekisho.test. 30 IN A 127.0.32.1',
    '; manager.sekisho.test. 30 IN AAAA ::1',
    `server ${bind.address} ${bind.port}`,
    'zone sekisho.test',
    'update add manager.sekisho.test. 30 A 127.0.32.1',
    'update add manager.sekisho.test. 30 AAAA ::1',
    'send',
    '',
  ]);
  expect(await resolve4()).toEqual(['127.0.32.99']);
  const { code } = await runProcess({ command: 'nsupdate', args: ['-k', bind.keyFile], stdin: printed.stdout });
  expect(code).toBe(0);
  expect(await resolve4()).toEqual(['127.0.32.1', '127.0.32.99']);
});

test('joined already, it changes nothing; it leaves, and what others have stays', async () => {
  const dead = `127.0.32.98:${bind.port}`;
  const [again, dry, unknown] = await Promise.all([
    site('join', '--tsig-key', bind.keyFile),
    site('leave', '--confirm', 'nagoya-1', '--tsig-key', bind.keyFile, '--dry-run', '--json'),
    sekisho.run('site', 'leave', '--config', config, '--server', dead),
  ]);
  expect(again).toMatchObject({ code: 0, stderr: 'site nagoya-1: manager.sekisho.test has all its managers already.\n' });
  expect(JSON.parse(dry.stdout.toString())).toMatchObject({ site: 'nagoya-1', change: 'leave', addresses: ['127.0.32.1', '::1'], outcome: 'printed' });
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('DNS gives no answer for the A and AAAA records, so nobody knows who would stay') });
  // Who would stay is no manager.
  const refused = await site('leave', '--tsig-key', bind.keyFile, '--json');
  expect(JSON.parse(refused.stdout.toString())).toMatchObject({ change: 'leave', outcome: 'refused', objections: [expect.stringContaining('127.0.32.99')] });
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('none of those who would stay answers as a manager (127.0.32.99)') });
  expect(await resolve4()).toEqual(['127.0.32.1', '127.0.32.99']);
  const left = await site('leave', '--confirm', 'nagoya-1', '--tsig-key', bind.keyFile, '--json');
  expect(JSON.parse(left.stdout.toString())).toMatchObject({ outcome: 'done' });
  expect(await resolve4()).toEqual(['127.0.32.99']);
});
