import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProcess } from '../../kit/process.ts';

/** What systemd itself says of the units, and what must agree between the files that are deployed. */

const deploy = join(import.meta.dirname, '../../../deploy');
const directory = join(deploy, 'systemd');
const services = readdirSync(directory).filter((name) => name.endsWith('.service'));
const sockets = readdirSync(directory).filter((name) => name.endsWith('.socket'));
const textOf = (name: string): string => readFileSync(join(directory, name), 'utf8');
/** Values of a key, in their order. */
const valuesOf = (name: string, key: string): string[] => [...textOf(name).matchAll(new RegExp(`^${key}=(.*)$`, 'gmu'))].map(([, value = '']) => value);

/** systemd-analyze counts in tenths. */
const MAX_EXPOSURE = 15;

test('there is a unit for each role, for all of them, and for the agent', () => {
  expect(services.sort()).toEqual(['auth', 'agent', 'manager', 'outbreak', 'relay'].map((role) => `sekisho-${role}.service`).concat('sekisho.service').sort());
  expect(sockets.sort()).toEqual(['sekisho-agent.socket', 'sekisho-auth.socket', 'sekisho-manager.socket']);
});

test('systemd knows every line of the units', async () => {
  const { output } = await runProcess({ command: 'systemd-analyze', args: ['verify', '--man=no', ...[...services, ...sockets].map((name) => join(directory, name))] });
  // That the software is not installed where the tests run is no fault of a unit.
  const complaints = output.split('\n').filter((line) => /sekisho[a-z-]*\.(?:service|socket)/u.test(line) && !/is not executable/u.test(line));
  expect(complaints).toEqual([]);
});

test.each(services)('%s is exposed to 1.5 at most', async (name) => {
  const { code, output } = await runProcess({ command: 'systemd-analyze', args: ['security', '--offline=yes', `--threshold=${MAX_EXPOSURE}`, '--no-pager', join(directory, name)] });
  expect(output).toMatch(/Overall exposure level for sekisho\S* (?:0|1)\.\d/u);
  expect(code, output).toBe(0);
});

test('every service is watched, has time to drain, and is stopped by its main process', () => {
  for (const name of services) {
    expect(valuesOf(name, 'Type'), name).toEqual(['notify']);
    expect(valuesOf(name, 'WatchdogSec'), name).toEqual(['30']);
    expect(valuesOf(name, 'KillMode'), name).toEqual(['mixed']);
    expect(valuesOf(name, 'LimitCORE'), name).toEqual(['0']);
  }
  for (const name of ['sekisho.service', 'sekisho-relay.service', 'sekisho-agent.service']) expect(valuesOf(name, 'TimeoutStopSec'), name).toEqual(['660']);
});

test('a role that runs alone sees the private keys of no other', () => {
  const own = { relay: ['relay.key.pem'], manager: ['manager.key.pem'], auth: ['auth.key.pem', 'ticket.key.pem'], outbreak: [] };
  const all = ['auth.key.pem', 'manager.key.pem', 'relay.key.pem', 'ticket.key.pem'];
  for (const [role, keys] of Object.entries(own)) {
    const hidden = valuesOf(`sekisho-${role}.service`, 'InaccessiblePaths').flatMap((value) => value.split(' ')).map((path) => path.replace('-/etc/sekisho/keys/', ''));
    expect(hidden.sort(), role).toEqual(all.filter((key) => !(keys as string[]).includes(key)));
  }
});

test('kernel settings and limits are enough for what the defaults of site.yaml promise', () => {
  const sysctl = readFileSync(join(deploy, 'sysctl/90-sekisho.conf'), 'utf8');
  const setting = (name: string): string => new RegExp(`^${name} = (.*)$`, 'mu').exec(sysctl)?.[1] ?? '';
  expect(Number(setting('net\\.core\\.somaxconn'))).toBeGreaterThanOrEqual(1024);
  const [first = 0, last = 0] = setting('net\\.ipv4\\.ip_local_port_range').split(' ').map(Number);
  expect(last - first).toBeGreaterThanOrEqual(4000);
  // Ports of ours would be given away.
  expect(first).toBeGreaterThan(7029);
  const limits = readFileSync(join(deploy, 'limits/90-sekisho.conf'), 'utf8');
  expect(limits.match(/nofile\s+(\d+)/gu)?.map((text) => text.replace(/\D+/u, ''))).toEqual(['65536', '65536']);
  for (const role of ['relay', 'manager']) expect(valuesOf(`sekisho-${role}.service`, 'LimitNOFILE')).toEqual(['65536']);
});
