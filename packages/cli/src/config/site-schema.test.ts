import { expect, test } from 'vitest';
import { siteYaml } from '../files/site-yaml.ts';
import { yamlFile } from '../testing/yaml-file.ts';
import { siteSchema } from './site-schema.ts';

const file = yamlFile();

const HEAD = ['site: tokyo-1', 'managerName: manager.example.com'];
const S1 = '  - { name: s1, address: 192.0.2.11, roles: [manager, auth, relay] }';
const S2 = '  - { name: s2, address: 192.0.2.12, roles: [relay] }';

/** A site of these servers, and more lines behind. */
const site = (servers: string[] = [S1, S2], ...more: string[]): string => [...HEAD, 'servers:', ...servers, ...more].join('\n');

test('a site of two servers is good, and has every default', () => {
  file.write(site());
  expect(file.load(siteSchema)).toMatchObject({
    keys: 'keys',
    store: { url: 'sqlite:state/site.db' },
    ports: { manager: 7025, relay: 7026, relayControl: 7027, auth: 7028 },
    table: { policy: 'least-load', relays: [] },
    auth: { proof: 'certificate', ticketTtl: 600_000 },
    relay: { workers: 'auto', window: 262_144, drainTimeout: 660_000, connectTimeout: 4000 },
  });
});

test.each([
  ['a name twice', site([S1, S2.replace('s2', 's1')]), 5, 'servers.1.name', /^s1 is already the name of servers\.0; each/u],
  ['an address twice', site([S1, S2.replace('.12', '.11')]), 5, 'servers.1.address', /already the address of servers\.0/u],
  [
    'an IPv6 address twice, spelled differently',
    site([S1.replace('192.0.2.11', "'2001:DB8:0:0::1'"), S2.replace('192.0.2.12', "'2001:db8::1'")]),
    5,
    'servers.1.address',
    /already the address/u,
  ],
  ['a role twice', site([S1, S2.replace('[relay]', '[relay, relay]')]), 5, 'servers.1.roles', /twice; remove one/u],
  ['no manager', site([S1.replace('manager, ', '')]), 3, 'servers', /no server has the role manager; a site needs/u],
  ['no auth', site([S1.replace('auth, ', '')]), 3, 'servers', /no server has the role auth/u],
  ['no relay', site([S1.replace(', relay', '')]), 3, 'servers', /no server has the role relay/u],
  ['a table with an unknown name', site(undefined, 'table:', '  relays: [s1, s9]'), 7, 'table.relays.1', /^s9 is no server with the role relay; those are s1, s2$/u],
  ['a table with a server that does not relay', site([S1.replace(', relay', ''), S2], 'table:', '  relays: [s1]'), 7, 'table.relays.0', /those are s2$/u],
  ['a table with a weight of 0', site(undefined, 'table:', '  relays: [{ relay: s1, weight: 0 }]'), 7, 'table.relays.0.weight', />=1/u],
  ['a table with a bad entry', site(undefined, 'table:', '  relays:', '    - "S 1"'), 8, 'table.relays.0', /^the name or the address of a server/u],
  ['a port twice', site(undefined, 'ports:', '  auth: 7026'), 7, 'ports.auth', /^7026 is already ports\.relay; choose another port$/u],
  ['a port for metrics twice', site(undefined, 'metrics:', '  relay: 9460', '  auth: 9460'), 8, 'metrics.auth', /already metrics\.relay/u],
  ['a port for metrics that is a role’s', site(undefined, 'metrics:', '  relay: 7025'), 7, 'metrics.relay', /already ports\.manager/u],
  ['a port for the page that is a role’s', site(undefined, 'page:', '  port: 7027'), 7, 'page.port', /already ports\.relayControl/u],
  ['a URL for a name of the page', site(undefined, 'page:', "  hosts: ['https://status.example.com/']"), 7, 'page.hosts.0', /a name with or without a port is needed here/u],
  ['a name of the page with port 99999', site(undefined, 'page:', "  hosts: ['status.example.com:99999']"), 7, 'page.hosts.0', /a name with or without a port/u],
  ['port 0', site(undefined, 'ports:', '  auth: 0'), 7, 'ports.auth', />=1/u],
  ['port 65536', site(undefined, 'ports:', '  auth: 65536'), 7, 'ports.auth', /<=65535/u],
  ['an unknown role', site([S1, S2.replace('[relay]', '[mail]')]), 5, 'servers.1.roles.0', /"manager"\|"auth"\|"relay"/u],
  ['a name for an address', site([S1, S2.replace('192.0.2.12', 's2.example.com')]), 5, 'servers.1.address', /an IP address is needed here/u],
  ['the address of everything', site([S1, S2.replace('192.0.2.12', '0.0.0.0')]), 5, 'servers.1.address', /nobody can reach/u],
  ['an address with a zone', site([S1, S2.replace('192.0.2.12', "'fe80::1%eth0'")]), 5, 'servers.1.address', /an IP address is needed here/u],
  ['a site name with a dot', site().replace('tokyo-1', 'tokyo.1'), 1, 'site', /1 to 63 of a-z/u],
  ['a manager name with a space', site().replace('manager.example.com', 'manager example'), 2, 'managerName', /a DNS name is needed here/u],
  ['a password in the url of the store', site(undefined, 'store: { url: "redis://:hunter2@192.0.2.1" }'), 6, 'store.url', /^holds a password(?!.*hunter2).*store\.passwordFile/u],
  ['a CA for a store without TLS', site(undefined, 'store:', '  url: redis://192.0.2.1', '  caFile: ca.pem'), 8, 'store.caFile', /^is for a store\.url that begins with rediss: only$/u],
  ['a certificate without its key', site(undefined, 'store:', '  url: rediss://192.0.2.1', '  certFile: c.pem'), 8, 'store.certFile', /needs its key/u],
  ['a key without its certificate', site(undefined, 'store:', '  url: rediss://192.0.2.1', '  keyFile: k.pem'), 8, 'store.keyFile', /needs its certificate/u],
  ['a store at a port that is none', site(undefined, 'store: { url: "redis://192.0.2.1:99999" }'), 6, 'store.url', /is not a url/u],
  ['a store with a word for a database', site(undefined, 'store: { url: "redis://192.0.2.1/main" }'), 6, 'store.url', /not a number/u],
  ['a store of another kind', site(undefined, 'store: { url: postgres://x }'), 6, 'store.url', /sqlite:FILE, redis:/u],
  ['a network without its bits', site(undefined, 'relay:', '  destinations:', '    allow: [10.0.0.0]'), 8, 'relay.destinations.allow.0', /a network is needed here/u],
  ['a network with too many', site(undefined, 'relay:', '  destinations:', '    allow: [10.0.0.0/33]'), 8, 'relay.destinations.allow.0', /a network is needed here/u],
  ['a DNS server with port 0', site(undefined, 'relay:', '  dns:', "    servers: ['192.0.2.53:0']"), 8, 'relay.dns.servers.0', /with or without a port/u],
  ['a DNS server by name', site(undefined, 'relay:', '  dns:', '    servers: [ns.example.com]'), 8, 'relay.dns.servers.0', /with or without a port/u],
  ['a PROXY destination without a port', site(undefined, 'relay:', '  proxyProtocol: [mail.example.com]'), 7, 'relay.proxyProtocol.0', /host:port is needed/u],
  ['a PROXY destination with port 99999', site(undefined, 'relay:', "  proxyProtocol: ['mail.example.com:99999']"), 7, 'relay.proxyProtocol.0', /host:port is needed/u],
  ['a window that is too small', site(undefined, 'relay:', '  window: 255KiB'), 7, 'relay.window', /from 256KiB to 64MiB/u],
  ['a URL that is none', site(undefined, 'auth:', '  revocations:', "    urls: ['ftp://example.com/x']"), 8, 'auth.revocations.urls.0', /URL/u],
])('%s', (_what, text, line, key, message) => {
  expect(file.problems(text, siteSchema)).toEqual([{ line, key, message: expect.stringMatching(message) }]);
});

test('32 relays are a site, 33 are two', () => {
  const servers = (count: number): string[] => Array.from({ length: count }, (_, i) => `  - { name: s${i}, address: 192.0.2.${i + 1}, roles: [manager, auth, relay] }`);
  expect(file.problems(site(servers(32)), siteSchema)).toEqual([]);
  expect(file.problems(site(servers(33)), siteSchema)).toEqual([{ line: 3, key: 'servers', message: '33 relays; a site has at most 32. Make two sites of it' }]);
});

test('a table may name servers by name or address, several times, with weights', () => {
  file.write(site([S1, "  - { name: s2, address: '2001:db8::2', roles: [relay] }"], "table: { relays: [s1, 192.0.2.11, s2, { relay: '2001:DB8:0::2', weight: 3 }, s2] }"));
  expect(file.load(siteSchema).table.relays).toEqual(['s1', '192.0.2.11', 's2', { relay: '2001:db8::2', weight: 3 }, 's2']);
});

test.each([
  ['tokyo-1', ['192.0.2.11', '192.0.2.12', '192.0.2.13']],
  ['2024', ['2001:db8::', '::1']],
  ['null', ['127.0.0.1']],
  ['1e3', ['127.0.0.1']],
  ['0x10', ['fd00::1']],
])('what site init writes for %s is good', (name, addresses) => {
  const servers = addresses.map((address, index) => ({ name: `s${index + 1}`, address, roles: index < 2 ? ['manager', 'auth', 'relay'] : ['relay'] }));
  for (const dev of [false, true]) {
    file.write(siteYaml({ site: name, managerName: 'manager.example.com', servers, dev }));
    const config = file.load(siteSchema);
    expect(config).toMatchObject({ site: name, managerName: 'manager.example.com', servers });
    expect(config.relay.destinations.allow).toEqual(dev ? ['127.0.0.0/8', '::1/128'] : []);
  }
});
