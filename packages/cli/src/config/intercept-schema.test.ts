import { expect, test } from 'vitest';
import { z } from 'zod';
import { yamlFile } from '../testing/yaml-file.ts';
import { interceptSchema } from './intercept-schema.ts';

const schema = z.strictObject({ intercept: interceptSchema });
const file = yamlFile();

test('one interface is enough: all ports of mail, IPv4 and IPv6', () => {
  file.write('intercept:\n  interfaces: [br-lan]\n');
  expect(file.load(schema).intercept).toEqual({
    interfaces: ['br-lan'],
    ports: [25, 587, 465, 110, 995, 143, 993],
    exclude: [],
    privateNetworks: false,
    ipv6: true,
    listenPort: 7029,
    mark: 0x4000_0000,
    routeTable: 7029,
  });
});

test('everything can be said', () => {
  file.write(
    'intercept:\n  interfaces: [eth0.5, wlan0_1]\n  ports: [25]\n  exclude: [192.0.2.25, 198.51.100.0/24, "2001:db8::/32"]\n  privateNetworks: true\n  ipv6: false\n  listenPort: 8025\n  mark: 0x80000000\n  routeTable: 77\n',
  );
  expect(file.load(schema).intercept).toMatchObject({ interfaces: ['eth0.5', 'wlan0_1'], ports: [25], exclude: ['192.0.2.25', '198.51.100.0/24', '2001:db8::/32'], mark: 0x8000_0000 });
});

test.each<[string, string, string, RegExp]>([
  ['the port of SSH', 'ports: [25, 22]', 'intercept.ports.1', /^port 22 is not a mail port.*cut off; allowed are 25, 587, 465, 110, 995, 143, 993$/u],
  ['a port of the web', 'ports: [443]', 'intercept.ports.0', /^port 443 is not a mail port/u],
  ['the agent itself', 'ports: [7029]', 'intercept.ports.0', /^port 7029 is not a mail port/u],
  ['all ports', 'ports: [0-65535]', 'intercept.ports.0', /.+/u],
  ['no port', 'ports: []', 'intercept.ports', /.+/u],
  ['a port twice', 'ports: [25, 110, 25]', 'intercept.ports', /stands here twice/u],
  ['to listen at a port of mail', 'listenPort: 25', 'intercept.listenPort', /another port/u],
  ['a name that is no network', 'exclude: [mail.example.com]', 'intercept.exclude.0', /an address or a network/u],
  ['a rule in the place of a network', 'exclude: ["0.0.0.0/0 }; flush ruleset"]', 'intercept.exclude.0', /an address or a network/u],
  ['a mark of two bits', 'mark: 3', 'intercept.mark', /a single bit/u],
  ['the main table', 'routeTable: 254', 'intercept.routeTable', /table of the system/u],
  ['a key that does not exist', 'port: 25', 'intercept.port', /no such key/u],
])('%s', (_what, line, key, message) => {
  expect(file.problems(`intercept:\n  interfaces: [br-lan]\n  ${line}\n`, schema)).toEqual([{ line: 3, key, message: expect.stringMatching(message) }]);
});

test.each<[string, RegExp]>([
  ['[]', /^at least one interface is needed/u],
  ['[lo]', /^nothing that this machine sends itself/u],
  ['["*"]', /the name of one interface/u],
  ['["br-lan\\" } accept"]', /the name of one interface/u],
  ['["0123456789abcdef"]', /the name of one interface/u],
])('interfaces: %s', (interfaces, message) => {
  const [problem] = file.problems(`intercept:\n  interfaces: ${interfaces}\n`, schema);
  expect(problem).toMatchObject({ line: 2, message: expect.stringMatching(message) });
});
