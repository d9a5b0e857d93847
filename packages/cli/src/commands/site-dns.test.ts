import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';
import { addDnsCheckCommand } from './dns-check.ts';
import { addSiteDnsCommands } from './site-dns.ts';

/** What is a mistake in the command; what the commands do is in test/integration/dns. */

let dir: TempDir;
beforeAll(async () => {
  dir = await makeTempDir('site-dns');
  writeFileSync(at('site.yaml'), 'site: nagoya-1\nmanagerName: manager.example.com\nservers: [{ name: s1, address: 192.0.2.11, roles: [manager, auth, relay] }]\n');
  writeFileSync(at('open.key'), 'key', { mode: 0o644 });
  writeFileSync(at('dns.key'), 'key', { mode: 0o600 });
});
afterAll(() => dir.remove());

const at = (name: string): string => join(dir.path, name);

/** Runs a command in this process. */
async function run(...args: string[]): Promise<unknown> {
  const program = new Command();
  addSiteDnsCommands(program);
  addDnsCheckCommand(program);
  for (const command of [program, ...program.commands]) command.exitOverride().configureOutput({ writeErr: () => {} });
  return program.parseAsync(args, { from: 'user' });
}

test.each<[string, string[], RegExp]>([
  ['a key without a server', ['join', '--tsig-key', 'dns.key'], /Name the primary DNS server of the zone with --server/u],
  ['nsupdate without a server', ['join', '--nsupdate'], /--server/u],
  ['another site', ['leave', '--confirm', 'tokyo-1'], /the name of the site, which is nagoya-1.+Nothing was changed/u],
  ['a key that is not there', ['join', '--server', '127.0.0.1', '--tsig-key', 'nowhere'], /nowhere is missing\. tsig-keygen makes/u],
  ['a key that others can read', ['leave', '--server', '127.0.0.1', '--tsig-key', 'open.key'], /can be read by others/u],
])('%s', async (_, args, message) => {
  const files = args.map((arg) => (/\.key$|nowhere/u.test(arg) ? at(arg) : arg));
  await expect(run(...files, '--config', at('site.yaml'))).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(message) });
});

test.each<[string, string[], RegExp]>([
  ['a TTL of 0', ['join', '--config', 'site.yaml', '--ttl', '0'], /from 1 to 86400/u],
  ['a server that is none', ['join', '--config', 'site.yaml', '--server', 'a b'], /such as 192\.0\.2\.53/u],
  ['a zone with a command behind it', ['leave', '--config', 'site.yaml', '--zone', 'example.com\nupdate delete example.com'], /such as example\.com/u],
  ['nobody to ask as', ['dns-check', 'manager.example.com'], /--config site\.yaml on a server, or --agent agent\.yaml/u],
  ['two to ask as', ['dns-check', '--config', 'x', '--agent', 'y'], /--config site\.yaml on a server, or --agent agent\.yaml/u],
])('%s', async (_, args, message) => {
  await expect(run(...args)).rejects.toThrow(message);
});
