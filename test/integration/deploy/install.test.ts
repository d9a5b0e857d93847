import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ProcessResult, runProcess } from '../../kit/process.ts';
import { makeTempDir, type TempDir } from '../../kit/temp-dir.ts';

/** deploy/install.sh below a directory of its own. In the place of the bundle there is a small one that does what is asked of it. */

const root = join(import.meta.dirname, '../../..');
const SCRIPT = join(root, 'deploy/install.sh');
const NODE = join(root, 'node_modules/.bin/node');

let temp: TempDir;
let image: string;

beforeAll(async () => {
  temp = await makeTempDir('install');
  image = join(temp.path, 'image');
  mkdirSync(image);
});

afterAll(async () => {
  await temp?.remove();
});

/** A bundle of a version, which accepts a site.yaml that says so. */
function bundle(version: string): string {
  const directory = join(temp.path, version);
  mkdirSync(directory, { recursive: true });
  const program = `import { readFileSync } from 'node:fs';
if (process.argv[2] === '--version') console.log('${version}');
else if (!readFileSync(process.argv.at(-1), 'utf8').includes('accepted')) { console.error('site.yaml:1: site: is wrong'); process.exit(2); }
`;
  writeFileSync(join(directory, 'sekisho.mjs'), program);
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ name: 'sekisho', version }, null, 2));
  return directory;
}

function install(dist: string, ...args: string[]): Promise<ProcessResult> {
  return runProcess({ command: 'sh', args: ['-c', 'umask 077 && exec sh "$@"', 'sh', SCRIPT, '--root', image, '--dist', dist, '--node', NODE, ...args] });
}

/** Everything below the directory, with what it is, so that any change is seen. */
function snapshot(): string[] {
  return readdirSync(image, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => {
      const { mode, mtimeMs, ino } = statSync(join(image, path));
      return `${path} ${mode.toString(8)} ${mtimeMs} ${ino}`;
    });
}

test('a rehearsal says each action and does none; then they are done, and a second time there is nothing to do', async () => {
  const old = bundle('1.9.0');
  const rehearsal = await install(old, '--role', 'relay', '--role', 'manager', '--dry-run');
  expect(rehearsal).toMatchObject({ code: 0, stderr: '' });
  expect(snapshot()).toEqual([]);

  const real = await install(old, '--role', 'relay', '--role', 'manager');
  expect(real).toMatchObject({ code: 0, stderr: '' });
  const done = real.stdout.toString().split('\n');
  for (const line of rehearsal.stdout.toString().split('\n').filter(Boolean)) expect(done).toContain(line.replace(/^would /u, ''));
  expect(readlinkSync(join(image, 'opt/sekisho/current'))).toBe('releases/1.9.0');
  expect(readdirSync(join(image, 'etc/systemd/system')).sort()).toEqual(['sekisho-manager.service', 'sekisho-manager.socket', 'sekisho-relay.service']);
  expect(readFileSync(join(image, 'etc/systemd/system/sekisho-relay.service'), 'utf8')).toContain(`ExecStart=${NODE} /opt/sekisho/current/sekisho.mjs relay`);
  expect(readFileSync(join(image, 'etc/sysctl.d/90-sekisho.conf'), 'utf8')).toContain('net.core.somaxconn');
  expect(statSync(join(image, 'etc/sekisho')).mode & 0o777).toBe(0o750);
  expect(readFileSync(join(image, 'usr/local/bin/sekisho'), 'utf8')).toBe(`#!/bin/sh\nexec ${NODE} /opt/sekisho/current/sekisho.mjs "$@"\n`);
  expect(statSync(join(image, 'usr/local/bin/sekisho')).mode & 0o777).toBe(0o755);
  expect(real.stdout.toString()).toContain('systemctl restart sekisho-relay.service sekisho-manager.service');

  // The shell of whoever installs lets nobody read what it makes: the users of services must.
  for (const path of ['opt', 'opt/sekisho', 'opt/sekisho/releases', 'etc/systemd/system'])
    expect(statSync(join(image, path)).mode & 0o777, path).toBe(0o755);

  const before = snapshot();
  const again = await install(old, '--role', 'relay', '--role', 'manager');
  expect(again).toMatchObject({ code: 0, output: 'nothing to do: version 1.9.0 is installed as it should be\n' });
  expect(snapshot()).toEqual(before);
});

test('a newer version takes its place when it accepts site.yaml, which is left as it is; the older one only when it is wanted', async () => {
  const site = join(image, 'etc/sekisho/site.yaml');
  writeFileSync(site, 'stateDir: /var/lib/sekisho # refused\n');
  const before = snapshot();
  const refused = await install(bundle('1.10.0'));
  expect(refused.code).toBe(4);
  expect(refused.stderr).toMatch(/site\.yaml:1: site: is wrong[\s\S]*nothing was switched/u);
  expect(readlinkSync(join(image, 'opt/sekisho/current'))).toBe('releases/1.9.0');
  expect(snapshot().filter((line) => !before.includes(line) && !line.startsWith('opt/sekisho/releases'))).toEqual([]);

  writeFileSync(site, 'stateDir: state\nsite: accepted\n');
  const upgrade = await install(bundle('1.10.0'));
  expect(upgrade.code).toBe(0);
  expect(upgrade.stdout.toString()).toContain('set stateDir: /var/lib/sekisho');
  expect(upgrade.stdout.toString()).toContain('to version 1.10.0 (it was 1.9.0)');
  // Without --role a machine keeps its roles.
  expect(readdirSync(join(image, 'etc/systemd/system')).sort()).toEqual(['sekisho-manager.service', 'sekisho-manager.socket', 'sekisho-relay.service']);
  expect(upgrade.stdout.toString()).toContain('systemctl restart sekisho-manager.service sekisho-relay.service');
  expect(readlinkSync(join(image, 'opt/sekisho/current'))).toBe('releases/1.10.0');
  expect(readFileSync(site, 'utf8')).toBe('stateDir: state\nsite: accepted\n');

  const newer = snapshot();
  const older = await install(bundle('1.9.0'));
  expect(older.code).toBe(3);
  expect(older.stderr).toMatch(/version 1\.10\.0 is installed, which is newer than 1\.9\.0; nothing was changed\. .*--downgrade/u);
  expect(snapshot()).toEqual(newer);
  expect((await install(bundle('1.9.0'), '--downgrade')).code).toBe(0);
  expect(readlinkSync(join(image, 'opt/sekisho/current'))).toBe('releases/1.9.0');
});

test('what cannot be is said, with an exit code of its own', async () => {
  const dist = bundle('1.9.0');
  const before = snapshot();
  expect(await install(dist, '--role', 'master')).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no role master') });
  expect(await install(dist, '--root')).toMatchObject({ code: 2, stderr: expect.stringContaining('--root needs a value') });
  for (const node of ['node', `${NODE} -r x`, '/usr/bin/%h', '/usr/bin/node|e id'])
    expect(await install(dist, '--node', node), node).toMatchObject({ code: 2, stderr: expect.stringContaining('an absolute path') });
  expect(await install(join(temp.path, 'nothing'))).toMatchObject({ code: 1, stderr: expect.stringContaining('npm run build') });
  const stranger = `exec setpriv --reuid 65534 --clear-groups sh < "${SCRIPT}"`;
  if (process.getuid?.() === 0) {
    const { code, stderr } = await runProcess({ command: 'sh', args: ['-c', stranger], cwd: '/' });
    expect([code, stderr]).toEqual([1, expect.stringContaining('root is needed')]);
  }
  expect(snapshot()).toEqual(before);
});
