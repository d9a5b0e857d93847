import { execFile } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { workplace } from '../testing/command.ts';

const run = promisify(execFile);
const MAC = '02:00:5e:10:00:01';
const OTHER = '02:00:5e:10:00:02';
const { sekisho, path, read, write, exists, chmod, mode } = workplace();

beforeAll(async () => {
  await sekisho('operator', 'init', 'operator');
  await sekisho('site', 'init', 'site', '--operator', 'operator', '--site', 'tokyo-1', '--dev');
  await sekisho('device', 'enroll', MAC, '--operator', 'operator', '--out', 'agent.yaml', '--label', '受付', '--contact', 'it@example.com');
}, 60_000);

interface Agent {
  readonly mac: string;
  readonly label?: string;
  readonly certificate: string;
  readonly key: string;
}

const agent = (file: string): Agent => parse(read(file)) as Agent;
const certificateOf = (file: string): X509Certificate => new X509Certificate(agent(file).certificate);
const keyLine = (file: string): string => agent(file).key.split('\n')[1]!;

async function shown(mac: string, ...where: string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await sekisho('device', 'show', mac, '--json', ...where)).stdout) as Record<string, unknown>;
}
const AT_OPERATOR = ['--operator', 'operator'];
const AT_SITE = ['--config', 'site/site.yaml'];

describe('enroll', () => {
  test('writes one file with key, certificate and CA, which only its owner can read', async () => {
    const made = await sekisho('device', 'enroll', '02-00-5E-10-00-03', ...AT_OPERATOR, '--out', 'three.yaml', '--rights', 'imap,smtp', '--days', '30');
    expect(made).toMatchObject({ code: 0, stdout: 'three.yaml\n' });
    expect(made.stderr).toMatch(/^02:00:5e:10:00:03 is enrolled until \d{4}-\d\d-\d\d\. three\.yaml holds its key: carry it to the router, and keep no copy\.\n$/u);
    expect(mode('three.yaml')).toBe('600');
    expect(mode('operator/issued.jsonl')).toBe('600');
    expect(mode('operator/registry.db')).toBe('600');
    const certificate = certificateOf('three.yaml');
    expect(certificate.subjectAltName).toBe('URI:"sekisho://device/02-00-5e-10-00-03?rights=smtp\\u002cimap"');
    expect(certificate.checkPrivateKey(createPrivateKey(agent('three.yaml').key))).toBe(true);
    expect(certificate.verify(new X509Certificate(read('operator/ca.cert.pem')).publicKey)).toBe(true);
    expect(made.stdout + made.stderr).not.toContain(keyLine('three.yaml'));
    // The operator keeps no key of a device.
    for (const file of ['operator/issued.jsonl', 'operator/registry.db']) expect(read(file)).not.toContain(keyLine('three.yaml'));
  });

  test('overwrites nothing, and leaves no trace of what failed', async () => {
    const before = read('agent.yaml');
    const again = await sekisho('device', 'enroll', MAC, ...AT_OPERATOR, '--out', 'agent.yaml');
    expect(again).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/agent\.yaml exists already; it is not overwritten\. Move it away/u) });
    const twice = await sekisho('device', 'enroll', MAC, ...AT_OPERATOR, '--out', 'again.yaml');
    expect(twice).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`A new key for it: sekisho device renew ${MAC} --operator operator`) });
    expect([read('agent.yaml'), exists('again.yaml')]).toEqual([before, false]);

    const nowhere = await sekisho('device', 'enroll', OTHER, ...AT_OPERATOR, '--out', 'no/where.yaml');
    expect(nowhere).toMatchObject({ code: 1, stdout: '', stderr: 'sekisho: no/where.yaml cannot be written: its directory does not exist; make it first.\n' });
    expect(await sekisho('device', 'show', OTHER, ...AT_OPERATOR)).toMatchObject({ code: 1 });
    expect(read('operator/issued.jsonl')).not.toContain(OTHER);
  });

  test.each([
    ['a bad MAC', ['02:00:5e', ...AT_OPERATOR, '--out', 'x.yaml'], /MAC address/u],
    ['no file', [OTHER, ...AT_OPERATOR], /required option '--out <file>' not specified/u],
    ['an unknown right', [OTHER, ...AT_OPERATOR, '--out', 'x.yaml', '--rights', 'smtp,ftp'], /rights are one or more of smtp, pop3, imap/u],
    ['no rights', [OTHER, ...AT_OPERATOR, '--out', 'x.yaml', '--rights', ''], /rights are one or more of/u],
    ['too many days', [OTHER, ...AT_OPERATOR, '--out', 'x.yaml', '--days', '99999'], /from 1 to 3650/u],
    ['a label that agent.yaml cannot hold', [OTHER, ...AT_OPERATOR, '--out', 'x.yaml', '--label', 'x'.repeat(201)], /At most 200 characters/u],
  ])('%s: exit 2', async (_what, args, message) => {
    expect(await sekisho('device', 'enroll', ...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
    expect(exists('x.yaml')).toBe(false);
  });

  test('--mac-only says that it proves nothing', async () => {
    const made = await sekisho('device', 'enroll', '02:00:5e:10:00:04', ...AT_OPERATOR, '--out', 'four.yaml', '--mac-only');
    expect(made).toMatchObject({ code: 0, stderr: expect.stringContaining('It proves nothing: a site admits it only with auth.proof: mac-only') });
    expect(certificateOf('four.yaml').verify(new X509Certificate(read('operator/ca.cert.pem')).publicKey)).toBe(false);
    expect(await shown('02:00:5e:10:00:04', ...AT_OPERATOR)).toMatchObject({ proof: 'mac-only' });
  });
});

describe('list and show', () => {
  test('a table for people, JSON for programs', async () => {
    const { code, stdout } = await sekisho('device', 'list', ...AT_OPERATOR);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^MAC +LABEL +STATE +EXPIRES +LAST SEEN +FROM\n/u);
    expect(stdout).toMatch(/^02:00:5e:10:00:01 {2}受付 {3}enabled {2}\d{4}-\d\d-\d\d {2}- +-$/mu);
    const devices = JSON.parse((await sekisho('device', 'list', '--json', ...AT_OPERATOR)).stdout) as { mac: string }[];
    expect(devices.map(({ mac }) => mac)).toContain(MAC);
    expect(devices.find(({ mac }) => mac === MAC)).toMatchObject({ label: '受付', contact: 'it@example.com', proof: 'certificate', state: 'enabled', rights: ['smtp', 'pop3', 'imap'], revokedAt: null });
    const one = await sekisho('device', 'show', '02-00-5E-10-00-01', ...AT_OPERATOR);
    expect(one).toMatchObject({ code: 0, stderr: '' });
    expect(one.stdout).toMatch(/^contact +it@example\.com$/mu);
    expect(one.stdout).toMatch(/^rights +smtp, pop3, imap$/mu);
    expect(await shown(MAC, ...AT_OPERATOR)).toMatchObject({ mac: MAC, serial: certificateOf('agent.yaml').serialNumber.toLowerCase() });
  });

  test('a record that cannot be read is named, and hides no other', async () => {
    await sekisho('site', 'init', 'torn', ...AT_OPERATOR, '--site', 'torn', '--dev');
    for (const mac of [MAC, OTHER]) await sekisho('device', 'register', mac, '--config', 'torn/site.yaml');
    const database = new DatabaseSync(path('torn/state/site.db'));
    database.exec(`UPDATE device SET body = '{' WHERE mac = '${MAC}'`);
    database.close();
    const listed = await sekisho('device', 'list', '--config', 'torn/site.yaml');
    expect(listed).toMatchObject({ code: 1, stdout: expect.stringMatching(/^02:00:5e:10:00:02 /mu) });
    expect(listed.stderr).toBe(`sekisho: The list is not complete: 1 record(s) in the store cannot be read, of ${MAC}. Mend or delete them there.\n`);
  });

  test('a site without devices says so, and that is no failure', async () => {
    await sekisho('site', 'init', 'empty', ...AT_OPERATOR, '--site', 'empty', '--dev');
    const listed = await sekisho('device', 'list', '--config', 'empty/site.yaml');
    expect(listed).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('No devices are registered here. One with a valid certificate is admitted all the same.') });
    expect(await sekisho('device', 'list', '--json', '--config', 'empty/site.yaml')).toMatchObject({ code: 0, stdout: '[]\n' });
  });

  test.each([
    ['neither place', ['device', 'list'], 2, /Say whose devices: --operator DIRECTORY .* or --config site\.yaml/u],
    ['both places', ['device', 'list', ...AT_OPERATOR, ...AT_SITE], 2, /Say whose devices/u],
    ['no operator there', ['device', 'list', '--operator', 'nowhere'], 1, /is not an operator's directory.*sekisho operator init nowhere/u],
    ['an unknown device', ['device', 'show', OTHER, ...AT_OPERATOR], 1, /02:00:5e:10:00:02 is not registered here\. Which ones are: sekisho device list/u],
    ['a bad configuration', ['device', 'list', '--config', 'agent.yaml'], 2, /agent\.yaml:\d+: mac: there is no such key/u],
  ])('%s', async (_what, args, code, message) => {
    expect(await sekisho(...args)).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) });
  });
});

describe('renew', () => {
  test('in place: a new key, everything else as it was', async () => {
    await sekisho('device', 'enroll', '02:00:5e:10:00:05', ...AT_OPERATOR, '--out', 'five.yaml');
    const mine = '\n# our own remark\nfailMode: closed   # since May\nforward:\n  - 127.0.0.1:2525=mail.example.com:587\n';
    write('five.yaml', read('five.yaml').replace('# failMode: open', '# was: failMode: open') + mine);
    chmod('five.yaml', 0o644);
    const before = { text: read('five.yaml'), ...agent('five.yaml') };
    const renewed = await sekisho('device', 'renew', '02:00:5e:10:00:05', ...AT_OPERATOR, '--out', 'five.yaml', '--days', '100');
    expect(renewed).toMatchObject({ code: 0, stdout: 'five.yaml\n', stderr: expect.stringContaining('Carry five.yaml to the router and restart its agent.') });
    const after = agent('five.yaml');
    expect(after.key).not.toBe(before.key);
    expect(after.certificate).not.toBe(before.certificate);
    expect(certificateOf('five.yaml').checkPrivateKey(createPrivateKey(after.key))).toBe(true);
    const without = (text: string): string => text.replaceAll(/^(?: {2}\S{20,}| {2}-----.*)\n/gmu, '');
    expect(without(read('five.yaml'))).toBe(without(before.text));
    expect(read('five.yaml').endsWith(mine)).toBe(true);
    expect(mode('five.yaml')).toBe('600');
    expect(renewed.stdout + renewed.stderr).not.toContain(keyLine('five.yaml'));
    expect(await shown('02:00:5e:10:00:05', ...AT_OPERATOR)).toMatchObject({ serial: certificateOf('five.yaml').serialNumber.toLowerCase() });
  });

  test('into a new file', async () => {
    const renewed = await sekisho('device', 'renew', MAC, ...AT_OPERATOR, '--out', 'new.yaml');
    expect(renewed).toMatchObject({ code: 0, stdout: 'new.yaml\n' });
    expect(agent('new.yaml')).toMatchObject({ mac: MAC, label: '受付' });
    expect(mode('new.yaml')).toBe('600');
  });

  test('not into the file of another device, not into something else, not into nowhere', async () => {
    const before = read('agent.yaml');
    const serial = (await shown('02:00:5e:10:00:05', ...AT_OPERATOR))['serial'];
    const other = await sekisho('device', 'renew', '02:00:5e:10:00:05', ...AT_OPERATOR, '--out', 'agent.yaml');
    expect(other).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/agent\.yaml is not the agent\.yaml of 02:00:5e:10:00:05: name that one/u) });
    expect(read('agent.yaml')).toBe(before);
    write('odd.yaml', 'mac: 02:00:5e:10:00:05\ncertificate: "one line"\nkey: "another"\n');
    const odd = await sekisho('device', 'renew', '02:00:5e:10:00:05', ...AT_OPERATOR, '--out', 'odd.yaml');
    expect(odd).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/odd\.yaml has no block "certificate: \|".*Name a new file/u) });
    expect(await sekisho('device', 'renew', '02:00:5e:10:00:05', ...AT_OPERATOR, '--out', 'no/where.yaml')).toMatchObject({ code: 1, stdout: '' });
    expect((await shown('02:00:5e:10:00:05', ...AT_OPERATOR))['serial']).toBe(serial);
    expect(await sekisho('device', 'renew', OTHER, ...AT_OPERATOR, '--out', 'x.yaml')).toMatchObject({ code: 1, stderr: expect.stringContaining('is not registered here') });
  });
});

describe('revoke', () => {
  test('lists every certificate of the device that is still valid, and only those', async () => {
    const mac = '02:00:5e:10:00:06';
    await sekisho('device', 'enroll', mac, ...AT_OPERATOR, '--out', 'six.yaml');
    const serials = [certificateOf('six.yaml').serialNumber];
    for (const _ of [1, 2]) {
      await sekisho('device', 'renew', mac, ...AT_OPERATOR, '--out', 'six.yaml');
      serials.push(certificateOf('six.yaml').serialNumber);
    }
    expect(new Set(serials).size).toBe(3);
    // One that has expired takes no place in the list.
    const expired = { mac, serial: '7f01', issuedAt: '2025-01-01T00:00:00.000Z', expiresAt: '2025-02-01T00:00:00.000Z' };
    write('operator/issued.jsonl', `${JSON.stringify(expired)}\n${read('operator/issued.jsonl')}`);

    const revoked = await sekisho('device', 'revoke', mac, ...AT_OPERATOR, '--reason', 'key-compromise');
    expect(revoked).toMatchObject({ code: 0, stdout: 'operator/revocations.crl.pem\n' });
    expect(revoked.stderr).toMatch(/^02:00:5e:10:00:06: 3 certificate\(s\) revoked, in list number 2\.\nBring revocations\.crl\.pem to the sites/u);
    const { stdout } = await run('openssl', ['crl', '-in', path('operator/revocations.crl.pem'), '-noout', '-text']);
    const listed = [...stdout.matchAll(/Serial Number: ([0-9A-F]+)/gu)].map((match) => match[1]!);
    expect(listed.toSorted()).toEqual(serials.toSorted());
    expect(stdout.match(/Key Compromise/gu)).toHaveLength(3);
    await run('openssl', ['crl', '-in', path('operator/revocations.crl.pem'), '-noout', '-verify', '-CAfile', path('operator/ca.cert.pem')]);

    expect((await sekisho('device', 'list', ...AT_OPERATOR)).stdout).toMatch(/^02:00:5e:10:00:06 +revoked /mu);
    const renewed = await sekisho('device', 'renew', mac, ...AT_OPERATOR, '--out', 'six.yaml');
    expect(renewed).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/was revoked on \d{4}-\d\d-\d\d and is not renewed\. .*enrolled under its own MAC/u) });

    // Once more does no harm: the list is signed again.
    expect(await sekisho('device', 'revoke', mac, ...AT_OPERATOR)).toMatchObject({ code: 0, stderr: expect.stringContaining('in list number 3') });
  }, 60_000);

  test('a device that is enrolled with its MAC alone must be disabled at the sites, too, and that is said', async () => {
    await sekisho('device', 'enroll', '02:00:5e:10:00:07', ...AT_OPERATOR, '--out', 'seven.yaml', '--mac-only');
    const revoked = await sekisho('device', 'revoke', '02:00:5e:10:00:07', ...AT_OPERATOR);
    expect(revoked).toMatchObject({ code: 0, stderr: expect.stringContaining('disable it at each site, too') });
  });

  test('an unknown device, an unknown reason', async () => {
    expect(await sekisho('device', 'revoke', OTHER, ...AT_OPERATOR)).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('is not registered here') });
    expect(await sekisho('device', 'revoke', MAC, ...AT_OPERATOR, '--reason', 'mood')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('key-compromise') });
  });

  test('a damaged log of what was issued stops it: a certificate might be forgotten', async () => {
    await sekisho('operator', 'init', 'damaged');
    await sekisho('device', 'enroll', MAC, '--operator', 'damaged', '--out', 'damaged.yaml');
    write('damaged/issued.jsonl', `${read('damaged/issued.jsonl')}{"mac": "02:0\n`);
    const before = read('damaged/revocations.crl.pem');
    const refused = await sekisho('device', 'revoke', MAC, '--operator', 'damaged');
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/damaged\/issued\.jsonl:2 is damaged: restore it from a backup, or mend that line/u) });
    expect(read('damaged/revocations.crl.pem')).toBe(before);
  });
});

describe('at a site', () => {
  test('register notes what is given and keeps what is not', async () => {
    expect(await sekisho('device', 'register', MAC, ...AT_SITE, '--label', 'Front office', '--contact', 'it@example.com', '--mac-only')).toMatchObject({ code: 0, stdout: `${MAC}\n` });
    expect(await shown(MAC, ...AT_SITE)).toMatchObject({ label: 'Front office', contact: 'it@example.com', notes: '', proof: 'mac-only', state: 'enabled' });
    await sekisho('device', 'register', MAC, ...AT_SITE, '--notes', 'second floor');
    expect(await shown(MAC, ...AT_SITE)).toMatchObject({ label: 'Front office', contact: 'it@example.com', notes: 'second floor', proof: 'mac-only' });
    await sekisho('device', 'register', MAC, ...AT_SITE, '--no-mac-only', '--contact', '');
    expect(await shown(MAC, ...AT_SITE)).toMatchObject({ label: 'Front office', contact: '', notes: 'second floor', proof: 'certificate' });
    // The registry of the operator is another one.
    expect(await shown(MAC, ...AT_OPERATOR)).toMatchObject({ label: '受付', notes: '' });
  });

  test('a device that is admitted by its MAC alone has the rights that stand in the registry', async () => {
    const [all, some] = ['02:00:5e:10:00:31', '02:00:5e:10:00:32'];
    await sekisho('device', 'register', all, ...AT_SITE, '--mac-only');
    await sekisho('device', 'register', some, ...AT_SITE, '--mac-only', '--rights', 'pop3,smtp');
    await sekisho('device', 'register', some, ...AT_SITE, '--notes', 'as before');
    expect(await shown(all, ...AT_SITE)).toMatchObject({ proof: 'mac-only', rights: ['smtp', 'pop3', 'imap'] });
    expect(await shown(some, ...AT_SITE)).toMatchObject({ proof: 'mac-only', rights: ['smtp', 'pop3'] });
    expect(await sekisho('device', 'register', some, ...AT_SITE, '--rights', 'ftp')).toMatchObject({ code: 2, stdout: '' });
  });

  test('disable and enable, for a device that is registered and for one that is not', async () => {
    for (const mac of [MAC, OTHER]) {
      const disabled = await sekisho('device', 'disable', mac, ...AT_SITE);
      expect(disabled).toMatchObject({ code: 0, stdout: `${mac}\n`, stderr: expect.stringContaining('is disabled at this site; its servers act on it within seconds') });
      expect(await shown(mac, ...AT_SITE)).toMatchObject({ state: 'disabled' });
    }
    // To write something down about it does not let it in again.
    await sekisho('device', 'register', OTHER, ...AT_SITE, '--notes', 'stolen');
    expect((await sekisho('device', 'list', ...AT_SITE)).stdout).toMatch(/^02:00:5e:10:00:02 .*disabled/mu);
    expect(await sekisho('device', 'enable', OTHER, ...AT_SITE)).toMatchObject({ code: 0, stdout: `${OTHER}\n` });
    expect(await shown(OTHER, ...AT_SITE)).toMatchObject({ state: 'enabled', notes: 'stolen' });
  });

  test('a label cannot move the terminal of who lists it', async () => {
    await sekisho('device', 'register', OTHER, ...AT_SITE, '--label', '\u001b[2Jevil\u202e');
    const { stdout } = await sekisho('device', 'list', ...AT_SITE);
    expect(stdout).toContain('\\u001b[2Jevil\\u202e');
    expect(stdout).not.toContain('\u001b');
  });

  test('without a site: exit 2', async () => {
    expect(await sekisho('device', 'disable', MAC)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining("required option '--config <file>'") });
    expect(await sekisho('device', 'disable', MAC, '--config', 'none.yaml')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('there is no such file') });
  });
});

test('a reader that closes early is no failure', async () => {
  const { stdout, stderr } = await run('sh', ['-c', '"$0" "$1" device list --json --operator operator | true', process.execPath, `${import.meta.dirname}/../../bin/sekisho.js`], { cwd: path('.') });
  expect([stdout, stderr]).toEqual(['', '']);
});
