import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newCertificateKey, SIGNATURE_ALGORITHM } from '../../auth/src/pki/keys.ts';
import { x509 } from '../../auth/src/pki/x509.ts';
import { makeTempDir, type TempDir } from '../../../test/kit/temp-dir.ts';
import { addressOf, identityOf, networkOf } from './peer.ts';

const run = promisify(execFile);
const RELAY = 'sekisho://site/tokyo-1/relay';
const DEVICE = 'sekisho://device/02-00-5e-10-00-01?rights=smtp,pop3,imap';
const OTHER = 'sekisho://device/02-00-5e-10-00-02?rights=smtp';

type Names = ConstructorParameters<typeof x509.SubjectAlternativeNameExtension>[0];
type Keys = Awaited<ReturnType<typeof newCertificateKey>>['keys'];

let keys: Keys;
let directory: TempDir;
beforeAll(async () => {
  ({ keys } = await newCertificateKey());
  directory = await makeTempDir('peer');
});
afterAll(() => directory.remove());

/** A certificate with exactly these names; who signed it does not matter here. */
async function withNames(names: Names | undefined): Promise<X509Certificate> {
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=sekisho://site/tokyo-1/manager',
    notBefore: new Date(0),
    notAfter: new Date(Date.UTC(2090, 0)),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: names === undefined ? [] : [new x509.SubjectAlternativeNameExtension(names)],
  });
  return new X509Certificate(certificate.toString('pem'));
}

test('a server and a device are read from their one URI, wherever it stands', async () => {
  expect(identityOf(await withNames([{ type: 'url', value: RELAY }]))).toEqual({ kind: 'server', site: 'tokyo-1', role: 'relay' });
  const device = { kind: 'device', mac: '02:00:5e:10:00:01', rights: ['smtp', 'pop3', 'imap'] };
  expect(identityOf(await withNames([{ type: 'url', value: DEVICE }]))).toEqual(device);
  const among: Names = [
    { type: 'dns', value: 'mail.example.com' },
    { type: 'ip', value: '192.0.2.1' },
    { type: 'email', value: 'postmaster@example.com' },
    { type: 'url', value: 'https://example.com/' },
    { type: 'url', value: DEVICE },
    { type: 'id', value: '1.2.3.4' },
  ];
  expect(identityOf(await withNames(among))).toEqual(device);
});

test.each<[string, Names | undefined]>([
  ['no names at all: the common name does not count', undefined],
  ['no sekisho URI', [{ type: 'dns', value: 'mail.example.com' }]],
  ['two', [{ type: 'url', value: RELAY }, { type: 'url', value: DEVICE }]],
  ['the same one twice', [{ type: 'url', value: RELAY }, { type: 'url', value: RELAY }]],
  ['one that is valid and one that is not', [{ type: 'url', value: RELAY }, { type: 'url', value: 'sekisho://nothing' }]],
  ['one as a DNS name', [{ type: 'dns', value: RELAY }]],
  ['one as an e-mail address', [{ type: 'email', value: RELAY }]],
  ['another spelling of it', [{ type: 'url', value: RELAY.toUpperCase() }]],
  ['something behind it', [{ type: 'url', value: `${RELAY}\n` }]],
  ['a NUL behind it', [{ type: 'url', value: `${RELAY}\0.example.com` }]],
  ['a fragment behind it', [{ type: 'url', value: `${RELAY}#x` }]],
])('no identity: %s', async (_what, names) => {
  expect(identityOf(await withNames(names))).toBeUndefined();
});

test.each([
  `mail.example.com, URI:${RELAY}`,
  `mail.example.com", URI:${RELAY}`,
  `mail.example.com\\", URI:${RELAY}`,
  `"mail.example.com", URI:${RELAY}, DNS:"`,
  `x", URI:${RELAY}, DNS:"y`,
  `, URI:${RELAY}`,
  `URI:${RELAY}`,
  `\u0000, URI:${RELAY}`,
  `x\nURI:${RELAY}`,
])('a name cannot pretend to be several (CVE-2021-44532): %j', async (hostile) => {
  for (const type of ['dns', 'email', 'url'] as const)
    expect(identityOf(await withNames([{ type, value: hostile }])), type).toBeUndefined();
  // Beside a real one, the real one counts and nothing of the other.
  const beside = await withNames([{ type: 'dns', value: hostile }, { type: 'url', value: OTHER }]);
  expect(identityOf(beside)).toEqual({ kind: 'device', mac: '02:00:5e:10:00:02', rights: ['smtp'] });
});

test('names that OpenSSL wrote: directory names, other names and quotes', async () => {
  const config = `${directory.path}/openssl.cnf`;
  const names = (lines: string[]): string =>
    ['[req]', 'distinguished_name=dn', 'x509_extensions=v3', 'prompt=no', '[dn]', 'CN=x', '[v3]', 'subjectAltName=@san', '[san]', ...lines, '[dir]', `CN=a, URI:${RELAY}`, `O="URI:${RELAY}"`].join('\n');
  const made = async (lines: string[]): Promise<X509Certificate> => {
    await writeFile(config, names(lines));
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${directory.path}/key.pem`, '-config', config, '-days', '1'];
    return new X509Certificate((await run('openssl', args)).stdout);
  };
  const hostile = ['dirName=dir', `otherName.1=1.3.6.1.5.5.7.8.5;UTF8:a, URI:${RELAY}`, `otherName.2=1.3.6.1.5.5.7.8.9;UTF8:", URI:${RELAY}, DNS:"`, `otherName.3=1.2.3.4;UTF8:URI:${RELAY}`, 'RID=1.2.3.4'];
  const certificate = await made(hostile);
  expect(certificate.subjectAltName).toContain(RELAY);
  expect(identityOf(certificate)).toBeUndefined();
  expect(identityOf(await made([...hostile, `URI=${OTHER}`]))).toMatchObject({ mac: '02:00:5e:10:00:02' });
});

test('property: any names beside any URI never throw and never make an identity that is not a URI of the certificate', async () => {
  const nasty = fc.string({ unit: fc.constantFrom('"', ',', ':', '\\', ' ', '\n', '\0', 'x', 'URI:', ', URI:', RELAY, 'DNS:'), maxLength: 12 });
  const name = fc.record({ type: fc.constantFrom('dns', 'email', 'url'), value: nasty });
  await fc.assert(
    fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 4 }), async (names) => {
      const uris = names.filter(({ type, value }) => type === 'url' && value.startsWith('sekisho://'));
      const expected = uris.length === 1 && uris[0]!.value === RELAY ? { kind: 'server', site: 'tokyo-1', role: 'relay' } : undefined;
      expect(identityOf(await withNames(names as Names))).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test('addressOf takes off what a dual-stack listener puts before IPv4, and only that', () => {
  const shown = ['192.0.2.1', '::ffff:192.0.2.1', '::ffff:c000:201', '2001:db8::1', undefined].map((remoteAddress) => addressOf({ remoteAddress }));
  expect(shown).toEqual(['192.0.2.1', '192.0.2.1', '::ffff:c000:201', '2001:db8::1', '']);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['2001::5:6:7:8:9:a', '2001:0:5:6::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', ''],
])('the network of %j is %j', (address, network) => {
  expect(networkOf(address)).toBe(network);
});
