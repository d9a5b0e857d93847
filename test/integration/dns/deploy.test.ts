import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Resolver } from 'node:dns/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nsupdate } from '../../../packages/cli/src/dns/nsupdate.ts';
import { updateScript } from '../../../packages/cli/src/dns/zone-change.ts';
import { type Bind, startBind, writeTsigKey } from '../../kit/bind.ts';
import { startDnsmasq } from '../../kit/dnsmasq.ts';
import { runProcess } from '../../kit/process.ts';
import { makeTempDir, type TempDir } from '../../kit/temp-dir.ts';

/** deploy/dns with the real servers: what is shipped is what they take, and the key may do what it is for and no more. */

const DEPLOY = join(import.meta.dirname, '../../../deploy/dns');
const NAME = 'manager.sekisho.test';

let bind: Bind;
let dir: TempDir;
let resolver: Resolver;

beforeAll(async () => {
  dir = await makeTempDir('dns');
  bind = await startBind({ zone: 'sekisho.test', addresses: ['192.0.2.11', '2001:db8::11'] });
  resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([bind.server]);
});

afterAll(async () => {
  await bind?.stop();
  await dir?.remove();
});

const server = () => ({ host: bind.address, port: bind.port });
const addresses = async () => (await Promise.all([resolver.resolve4(NAME).catch(() => []), resolver.resolve6(NAME).catch(() => [])])).flat().toSorted();
const update = (lines: readonly string[], keyFile: string | undefined = bind.keyFile) => nsupdate([`server ${bind.address} ${bind.port}`, ...lines, 'send'], keyFile);

test('BIND and dnsmasq take the files', async () => {
  const conf = join(dir.path, 'named.conf');
  await writeTsigKey(join(dir.path, 'sekisho-dns.key'));
  await writeFile(conf, (await readFile(join(DEPLOY, 'named.conf.sekisho'), 'utf8')).replaceAll('/etc/bind', dir.path).replaceAll('/var/lib/bind', DEPLOY));
  // -z loads the zone, too.
  expect(await runProcess({ command: 'named-checkconf', args: ['-z', conf] })).toMatchObject({ code: 0, output: 'zone example.com/IN: loaded serial 2026010101\n' });
  const dnsmasq = await runProcess({ command: 'dnsmasq', args: ['--test', `--conf-file=${join(DEPLOY, 'dnsmasq.conf')}`] });
  expect(dnsmasq).toMatchObject({ code: 0, output: expect.stringContaining('syntax check OK') });
});

test('dnsmasq with these lines tells the addresses, their TTL, and nothing of others', async () => {
  const served = await startDnsmasq({ zone: { 'manager.test': ['192.0.2.11', '2001:db8:1::11'] }, ttlS: 60 });
  try {
    const own = new Resolver({ timeout: 2000, tries: 2 });
    own.setServers([served.server]);
    expect(await own.resolve4('manager.test', { ttl: true })).toEqual([{ address: '192.0.2.11', ttl: 60 }]);
  } finally {
    await served.stop();
  }
});

test('a site joins and leaves whole, with its IPv4 and IPv6 addresses, and another one that leaves meanwhile is noticed', async () => {
  const change = { name: NAME, addresses: ['198.51.100.11', '2001:db8::22'], ttlS: 60 } as const;
  const before = await addresses();
  await nsupdate(updateScript({ kind: 'join', ...change }, { server: server() }), bind.keyFile);
  const both = await addresses();
  expect(both).toEqual([...before, ...change.addresses].toSorted());
  expect(await resolver.resolve4(NAME, { ttl: true })).toEqual(expect.arrayContaining([{ address: '198.51.100.11', ttl: 60 }]));
  const leave = updateScript({ kind: 'leave', ...change }, { server: server(), unlessChangedFrom: both });
  // Somebody else leaves between the look at the zone and the update.
  await update([`update delete ${NAME}. A 192.0.2.11`]);
  await expect(nsupdate(leave, bind.keyFile)).rejects.toThrow(/have changed meanwhile, so nothing was done/u);
  expect(await addresses()).toEqual(both.filter((address) => address !== '192.0.2.11'));
  await update([`update add ${NAME}. 60 A 192.0.2.11`]);
  await nsupdate(leave, bind.keyFile);
  expect(await addresses()).toEqual(before);
});

test('the key changes A and AAAA of that one name, and nothing else; who has none changes nothing', async () => {
  const before = await addresses();
  for (const line of [
    `update add ${NAME}. 60 TXT "x"`,
    `update add ${NAME}. 60 CNAME other.example.`,
    'update add _acme-challenge.manager.sekisho.test. 60 TXT "x"',
    'update add other.sekisho.test. 60 A 192.0.2.1',
    'update add sekisho.test. 60 NS ns.example.com.',
    'update delete ns.sekisho.test. A',
  ])
    await expect(update([line]), line).rejects.toThrow(/does not let this key change the name/u);
  await expect(nsupdate([`server ${bind.address} ${bind.port}`, `update delete ${NAME}. A`, 'send'], undefined)).rejects.toThrow(/does not let this key/u);
  expect(await addresses()).toEqual(before);
});

test('what goes wrong is said in words', async () => {
  const line = `update add ${NAME}. 60 A 192.0.2.99`;
  const key = (name: string) => join(dir.path, name);
  await writeTsigKey(key('other-secret'));
  await writeTsigKey(key('unknown'), 'nobody');
  await writeFile(key('broken'), 'not a key', { mode: 0o600 });
  await expect(update([line], key('other-secret'))).rejects.toThrow(/a key of that name with another secret/u);
  await expect(update([line], key('unknown'))).rejects.toThrow(/knows no key of that name/u);
  await expect(update([line], key('broken'))).rejects.toThrow(/key file cannot be read/u);
  await expect(update(['zone example.net', 'update add manager.example.net. 60 A 192.0.2.1'])).rejects.toThrow(/not in charge of the zone/u);
  await expect(update(['zone sekisho.test', 'update add manager.example.net. 60 A 192.0.2.1'])).rejects.toThrow(/not in the zone of --zone/u);
  const secret = /secret "([^"]+)"/u.exec(await readFile(key('unknown'), 'utf8'))?.[1] ?? '';
  await expect(update([line], key('unknown'))).rejects.toThrow(expect.not.objectContaining({ message: expect.stringContaining(secret) }));
});
