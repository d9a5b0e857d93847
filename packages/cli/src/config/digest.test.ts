import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { configDigest, OWN_TO_A_SITE, stackDigest } from './digest.ts';
import { siteJsonSchema } from './document.ts';
import { siteSchema } from './site-schema.ts';

const parse = (changes: object) =>
  siteSchema.parse({
    site: 'tokyo-1',
    managerName: 'manager.example.com',
    servers: [{ name: 's1', address: '192.0.2.11', roles: ['manager', 'auth', 'relay'] }],
    ...changes,
  });

test('a digest is 16 hexadecimal digits, and the same whatever the order of keys, and with defaults written out', () => {
  const one = parse({ relay: { maxSessions: 900, maxDevices: 50 }, manager: { maxAgents: 7 } });
  const same = parse({ manager: { maxPerAddress: 100, maxAgents: 7 }, relay: { maxDevices: 50, maxSessions: 900 } });
  expect(configDigest(one)).toMatch(/^[0-9a-f]{16}$/u);
  expect(configDigest(same)).toBe(configDigest(one));
  expect(stackDigest(same)).toBe(stackDigest(one));
});

test('any change of site.yaml changes its digest, and what is not the site’s own that of the stack', () => {
  const clamd = (address: string, maxScanBytes = '25MB') => ({ relay: { inspect: { clamd: [address], maxScanBytes } } });
  const standard = parse({});
  const servers = [{ name: 's1', address: '198.51.100.1', roles: ['manager', 'auth', 'relay'] }];
  const own = [{ site: 'osaka-1' }, { servers }, { store: { url: 'redis://192.0.2.1:6379' } }, { ports: { relay: 7126 } }, { log: { level: 'debug' } }, { metrics: { relay: 9100 } }];
  for (const change of own) {
    expect(configDigest(parse(change)), JSON.stringify(change)).not.toBe(configDigest(standard));
    expect(stackDigest(parse(change)), JSON.stringify(change)).toBe(stackDigest(standard));
  }
  const shared = [{ managerName: 'm.example.net' }, { ports: { manager: 7125 } }, { relay: { destinations: { allow: ['10.0.0.0/8'] } } }, { auth: { proof: 'mac-only' } }, clamd('tcp:127.0.0.1:3310')];
  for (const change of shared) expect(stackDigest(parse(change)), JSON.stringify(change)).not.toBe(stackDigest(standard));
  expect(stackDigest(parse(clamd('unix:/run/clamd')))).toBe(stackDigest(parse(clamd('tcp:127.0.0.1:3310'))));
  expect(stackDigest(parse(clamd('unix:/run/clamd', '20MB')))).not.toBe(stackDigest(parse(clamd('unix:/run/clamd'))));
});

test('servers of a site may serve metrics at addresses of their own', () => {
  expect(configDigest(parse({ metrics: { address: '192.0.2.11' } }))).toBe(configDigest(parse({})));
});

test('every key that is a site’s own is one', () => {
  interface Schema {
    readonly properties?: Readonly<Record<string, Schema>>;
  }
  const isKey = (path: string): boolean =>
    path.split('.').reduce<Schema | undefined>((schema, key) => schema?.properties?.[key], siteJsonSchema()) !== undefined;
  expect(OWN_TO_A_SITE.filter((path) => !isKey(path))).toEqual([]);
});

test('docs/dns.md names them', () => {
  const text = readFileSync(new URL('../../../../docs/dns.md', import.meta.url), 'utf8');
  const [, list = ''] = /\*\*stack\*\*([\s\S]+?)\. A new version/u.exec(text) ?? [];
  expect(new Set([...list.matchAll(/`([^`]+)`/gu)].map(([, key]) => key))).toEqual(new Set(OWN_TO_A_SITE));
});
