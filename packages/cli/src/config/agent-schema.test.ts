import { type IssuedCertificate, type IssuedSite, Operator } from '@sekisho/auth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeTempDir, type TempDir } from '../../../../test/kit/temp-dir.ts';
import { agentYaml } from '../files/agent-yaml.ts';
import { yamlFile } from '../testing/yaml-file.ts';
import { agentSchema, forwardSchema } from './agent-schema.ts';

const MAC = '02:00:5e:10:00:01';
const file = yamlFile();
const device = { mac: MAC, rights: ['smtp'], days: 1, proof: 'certificate' } as const;

let directory: TempDir;
let caCertPem: string;
let issued: IssuedCertificate;
let other: IssuedCertificate;
let site: IssuedSite;
beforeAll(async () => {
  directory = await makeTempDir('agent');
  const operator = await Operator.init(`${directory.path}/operator`, { name: 'Test', managerName: 'manager.example.com' });
  ({ caCertPem } = operator);
  issued = await operator.enrollDevice(device);
  other = await operator.enrollDevice({ ...device, mac: '02:00:5e:10:00:02' });
  site = await operator.issueSite({ site: 'tokyo-1', days: 1 });
});
afterAll(() => directory.remove());

const yaml = (more: Partial<Parameters<typeof agentYaml>[0]> = {}): string =>
  agentYaml({ mac: MAC, label: 'Front office', managerName: 'manager.example.com', caCertPem, ...issued, ...more });

test('what device enroll writes is good', () => {
  file.write(yaml());
  expect(file.load(agentSchema)).toMatchObject({
    mac: MAC,
    label: 'Front office',
    manager: { name: 'manager.example.com', port: 7025 },
    failMode: 'open',
    forward: [],
    ca: caCertPem,
    certificate: issued.certPem,
    key: issued.keyPem,
  });
});

test.each(['受付', 'a: b # c', '"quoted"', "it's", '- x', 'null', '0123', '\u0007\n', ' padded '])('a label of any kind survives: %j', (label) => {
  file.write(yaml({ label }));
  expect(file.load(agentSchema).label).toBe(label);
});

test.each(['02-00-5E-10-00-01', '02:00:5E:10:00:01', '0200.5e10.0001'])('the MAC may be spelled %s', (mac) => {
  file.write(yaml().replace(MAC, mac));
  expect(file.load(agentSchema).mac).toBe(MAC);
});

const firstLine = (pem: string): string => pem.split('\n')[1]!;

test.each<[string, () => string, string, RegExp]>([
  ['a MAC that is too short', () => yaml().replace(MAC, '02:00:5e:10:00'), 'mac', /.+/u],
  ['the MAC of a group', () => yaml().replace(MAC, 'ff:ff:ff:ff:ff:ff'), 'mac', /.+/u],
  ['no MAC', () => yaml().replace(/^mac: .*\n/mu, ''), 'mac', /^is missing/u],
  ['an unknown key', () => `${yaml()}failmode: closed\n`, 'failmode', /no such key/u],
  ['an unknown fail mode', () => `${yaml()}failMode: shut\n`, 'failMode', /"open"\|"closed"/u],
  ['a certificate that is text', () => yaml({ certPem: 'hello\n' }), 'certificate', /from -----BEGIN CERTIFICATE-----.*device enroll/u],
  ['a certificate cut short', () => yaml({ certPem: issued.certPem.slice(0, 200) }), 'certificate', /cannot be read/u],
  ['a certificate with a wrong line', () => yaml({ certPem: issued.certPem.replace(firstLine(issued.certPem), 'AAAA') }), 'certificate', /cannot be read/u],
  ['a CA that is a key', () => yaml({ caCertPem: issued.keyPem }), 'ca', /cannot be read/u],
  ['a key that is a certificate', () => yaml({ keyPem: issued.certPem }), 'key', /from -----BEGIN PRIVATE KEY-----/u],
  ['the key of another', () => yaml({ keyPem: other.keyPem }), 'key', /does not belong to the certificate/u],
  ['the file of another device', () => yaml({ ...other }), 'certificate', /^is that of 02:00:5e:10:00:02, not of 02:00:5e:10:00:01/u],
  ['the certificate of a server', () => yaml({ ...site.relay }), 'certificate', /not the certificate of a device/u],
  ['TTLs that contradict', () => `${yaml()}dns: { minTtl: 2m, maxTtl: 1m }\n`, 'dns.minTtl', /longer than dns\.maxTtl/u],
  ['two listeners at one place', () => `${yaml()}forward:\n  - 127.0.0.1:2525=a.example.com:25\n  - 2525=b.example.com:25\n`, 'forward.1', /already that of forward\.0/u],
  ['a manager by address and port', () => yaml({ managerName: 'manager:7025' }), 'manager.name', /a DNS name/u],
])('%s', (_what, text, key, message) => {
  const problems = file.problems(text(), agentSchema);
  expect(problems).toEqual([{ line: expect.any(Number), key, message: expect.stringMatching(message) }]);
  expect(JSON.stringify(problems)).not.toContain(firstLine(issued.keyPem));
});

describe('forward', () => {
  test.each([
    ['127.0.0.1:2525=mail.example.com:587', '127.0.0.1', 2525, 'mail.example.com', 587, 'smtp'],
    ['2525=mail.example.com:25', '127.0.0.1', 2525, 'mail.example.com', 25, 'smtp'],
    ['0.0.0.0:110=192.0.2.25:110', '0.0.0.0', 110, '192.0.2.25', 110, 'pop3'],
    ['[::1]:1143=[2001:db8::25]:143', '::1', 1143, '2001:db8::25', 143, 'imap'],
    ['[::]:993=imap.example.com:993', '::', 993, 'imap.example.com', 993, 'imaps'],
    ['[::ffff:127.0.0.1]:465=mail_1.example.com:465', '::ffff:127.0.0.1', 465, 'mail_1.example.com', 465, 'smtps'],
    ['127.0.0.1:2525=mail.example.com:2587/smtp', '127.0.0.1', 2525, 'mail.example.com', 2587, 'smtp'],
    ['127.0.0.1:0=mail.example.com:995/imap', '127.0.0.1', 0, 'mail.example.com', 995, 'imap'],
  ])('%s', (text, listenHost, listenPort, host, port, protocol) => {
    expect(forwardSchema.parse(text)).toEqual({ listen: { host: listenHost, port: listenPort }, destination: { host, port }, protocol });
  });

  test.each([
    ['', /a forward is ADDRESS:PORT=HOST:PORT/u],
    ['mail.example.com:25', /a forward is/u],
    ['127.0.0.1:2525', /a forward is/u],
    ['localhost:2525=mail.example.com:25', /a forward is/u],
    ['::1:2525=mail.example.com:25', /a forward is/u],
    ['127.0.0.1:2525=2001:db8::25:25', /a forward is/u],
    ['127.0.0.1:2525=mail.example.com:25 ', /a forward is/u],
    ['127.0.0.1:2525=mail example.com:25', /a forward is/u],
    ['999.0.0.1:2525=mail.example.com:25', /an IP address to listen at/u],
    ['[1:2]:2525=mail.example.com:25', /an IP address to listen at/u],
    ['127.0.0.1:2525=192.0.2.300:25', /a name or an IP address is needed after/u],
    ['127.0.0.1:2525=[2001:zz]:25', /a forward is/u],
    ['127.0.0.1:2525=[2001:db8]:25', /a name or an IP address is needed after/u],
    [`127.0.0.1:2525=${'a'.repeat(254)}:25`, /a name or an IP address is needed after/u],
    ['127.0.0.1:65536=mail.example.com:25', /a port is from 1 to 65535/u],
    ['127.0.0.1:2525=mail.example.com:0', /a port is from 1 to 65535/u],
    ['127.0.0.1:2525=mail.example.com:2587', /does not tell the protocol; add it/u],
    ['127.0.0.1:2525=mail.example.com:25/http', /does not tell the protocol; add it/u],
  ])('%s is refused', (text, message) => {
    const parsed = forwardSchema.safeParse(text);
    expect(parsed.error?.issues.map((issue) => issue.message)).toEqual([expect.stringMatching(message)]);
  });
});
