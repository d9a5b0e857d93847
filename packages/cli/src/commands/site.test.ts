import { mkdirSync, unlinkSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { workplace } from '../testing/command.ts';

const place = workplace();
const { sekisho, sekishoWith, path, read, write, exists, chmod, mode, tree } = place;

beforeAll(async () => {
  await sekisho('operator', 'init', 'operator');
  await sekisho('site', 'init', 'dev', '--operator', 'operator', '--site', 'tokyo-1', '--dev');
}, 60_000);

const secretsOf = (directory: string): string[] =>
  Object.values(tree(directory)).flatMap((text) => [...text.matchAll(/PRIVATE KEY-----\n(.+)\n/gu)].map((match) => match[1]!));

describe('site init', () => {
  test('writes a site that check-config finds good, modes 0600 and 0700, no secret on the screen', async () => {
    const made = await sekisho('site', 'init', './osaka', '--operator', 'operator', '--site', 'osaka-1', '--address', '127.0.0.11', '127.0.0.12', '127.0.0.13');
    expect(made).toMatchObject({ code: 0, stdout: 'osaka/site.yaml\n' });
    expect(made.stderr).toContain('Next: sekisho check-config osaka/site.yaml, then sekisho up --config osaka/site.yaml,');
    expect(made.stderr).not.toContain('is an example');
    expect(mode('osaka')).toBe('700');
    expect(mode('osaka/keys')).toBe('700');
    for (const file of Object.keys(tree('osaka'))) expect(mode(file.slice(path('').length)), file).toBe('600');
    expect(secretsOf('osaka')).toHaveLength(4);
    for (const secret of secretsOf('osaka')) expect(made.stdout + made.stderr).not.toContain(secret);
    expect(read('osaka/site.yaml')).toContain('{ name: s3, address: 127.0.0.13, roles: [relay] }');
    expect(read('osaka/revocations.crl.pem')).toBe(read('operator/revocations.crl.pem'));
    // Nothing of the operator's own.
    for (const text of Object.values(tree('osaka'))) expect(text).not.toContain(secretsOf('operator')[0]);
    const manager = new X509Certificate(read('osaka/keys/manager.cert.pem'));
    expect(manager.subjectAltName).toBe('URI:sekisho://site/osaka-1/manager, DNS:manager.example.com');
    expect(await sekisho('check-config', 'osaka/site.yaml')).toMatchObject({ code: 0, stdout: 'osaka/site.yaml: good for s1, s2, s3\n' });
  });

  test('says that its address is an example when none was given', async () => {
    const made = await sekisho('site', 'init', 'example', '--operator', 'operator', '--site', 'x');
    expect(made).toMatchObject({ code: 0 });
    expect(made.stderr).toContain('The address in example/site.yaml is an example: enter those of the servers.');
  });

  test('overwrites nothing, not even in part, and leaves the mode of what was there', async () => {
    const before = tree('dev');
    const again = await sekisho('site', 'init', 'dev', '--operator', 'operator', '--site', 'tokyo-2');
    expect(again).toMatchObject({ code: 1, stdout: '' });
    expect(again.stderr).toBe('sekisho: dev/site.yaml exists already; it is not overwritten. Move it away, or choose another name.\n');
    expect(tree('dev')).toEqual(before);

    mkdirSync(path('half/keys'), { recursive: true });
    chmod('half', 0o755);
    write('half/keys/relay.key.pem', 'mine');
    const half = await sekisho('site', 'init', 'half', '--operator', 'operator', '--site', 'tokyo-2');
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('half/keys/relay.key.pem exists already') });
    expect(Object.values(tree('half'))).toEqual(['mine']);
    expect(mode('half')).toBe('755');

    mkdirSync(path('there'));
    chmod('there', 0o755);
    expect(await sekisho('site', 'init', 'there', '--operator', 'operator', '--site', 'tokyo-2')).toMatchObject({ code: 0 });
    expect([mode('there'), mode('there/keys'), mode('there/keys/relay.key.pem')]).toEqual(['755', '700', '600']);
  });

  test.each([
    ['a bad site name', ['--operator', 'operator', '--site', 'Tokyo'], 2, /a site name is 1 to 63/u],
    ['no site name', ['--operator', 'operator'], 2, /required option '--site <name>' not specified/u],
    ['a bad address', ['--operator', 'operator', '--site', 'x', '--address', 's1.example.com'], 2, /An IP address is needed here, such as/u],
    ['an address twice', ['--operator', 'operator', '--site', 'x', '--address', '::1', '::1'], 2, /twice; each server has its own/u],
    ['33 addresses', ['--operator', 'operator', '--site', 'x', '--address', ...Array.from({ length: 33 }, (_, i) => `192.0.2.${i}`)], 2, /at most 32 servers; make two sites/u],
    ['no days', ['--operator', 'operator', '--site', 'x', '--days', '0'], 2, /from 1 to 3650/u],
    ['half a day', ['--operator', 'operator', '--site', 'x', '--days', '1.5'], 2, /from 1 to 3650/u],
    ['no operator there', ['--operator', 'nowhere', '--site', 'x'], 1, /make one with `sekisho operator init nowhere`/u],
  ])('%s', async (_what, args, code, message) => {
    const refused = await sekisho('site', 'init', 'refused', ...args);
    expect(refused).toMatchObject({ code, stdout: '' });
    expect(refused.stderr).toMatch(message);
    expect(exists('refused')).toBe(false);
  });

  test("an operator's key that others can read is refused", async () => {
    await sekisho('operator', 'init', 'open');
    chmod('open/ca.key.pem', 0o644);
    const refused = await sekisho('site', 'init', 'refused', '--operator', 'open', '--site', 'x');
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('chmod 600 open/ca.key.pem') });
    expect(exists('refused')).toBe(false);
  });

  test('a place where nothing can be written', async () => {
    write('plain', '');
    const refused = await sekisho('site', 'init', 'plain/site', '--operator', 'operator', '--site', 'x');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/^sekisho: plain\/site\S* cannot be written: its directory is a file; choose another place\.\n$/u);
  });
});

describe('check-config', () => {
  test('a good site: exit 0, and --json is a list without grave findings', async () => {
    expect(await sekisho('check-config', 'dev/site.yaml')).toMatchObject({ code: 0, stdout: 'dev/site.yaml: good for s1\n' });
    const { code, stdout } = await sekisho('check-config', 'dev/site.yaml', '--json');
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { grave: boolean }[]).filter(({ grave }) => grave)).toEqual([]);
  });

  test('mistakes in the file: exit 2 with file, line and key, on standard error', async () => {
    write('dev/bad.yaml', `${read('dev/site.yaml')}\nmanager:\n  maxAgent: 5\nports: { auth: 7025 }\n`);
    const refused = await sekisho('check-config', 'dev/bad.yaml');
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^dev\/bad\.yaml:\d+: manager\.maxAgent: there is no such key/mu);
    expect(await sekisho('check-config', 'dev/none.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('there is no such file') });
  });

  test('the environment counts, and is blamed', async () => {
    const refused = await sekishoWith({ SEKISHO__relay__maxSessions: 'many' }, 'check-config', 'dev/site.yaml');
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^environment SEKISHO__relay__maxSessions: relay\.maxSessions: .*number/u) });
  });

  test('inspection takes descriptors for its files, and one scanner is no pair', async () => {
    write('dev/inspect.yaml', read('dev/site.yaml').replace(/^relay:$/mu, "relay:\n  inspect: { clamd: ['unix:/run/clamav/clamd.ctl'] }"));
    const env = { SEKISHO__relay__maxSessions: '1000000', SEKISHO__relay__maxDevices: '1000000', SEKISHO__relay__workers: '1' };
    const refused = await sekishoWith(env, 'check-config', 'dev/inspect.yaml');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/need 3000064 descriptors in each of 1 workers, a file for each inspected message included/u);
    expect(refused.stderr).toMatch(/warning: s1: relay\.inspect\.clamd has one scanner only/u);
  });

  test('caps that this machine cannot carry: exit 1, and --json says so as well', async () => {
    const env = { SEKISHO__manager__maxAgents: '1000000', SEKISHO__relay__maxSessions: '1000000', SEKISHO__relay__maxDevices: '1000000', SEKISHO__relay__workers: '1' };
    const refused = await sekishoWith(env, 'check-config', 'dev/site.yaml');
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/error: s1: relay\.maxDevices \+ relay\.maxSessions need 2000064 descriptors in each of 1 workers.*lower the caps/u);
    expect(refused.stderr).toMatch(/warning: s1: .*Lower relay\.maxSessions or relay\.window/u);
    expect(refused.stderr).toMatch(/warning: s1: relay\.maxSessions is 1000000, but only \d+ connections can go from here to one mail server/u);
    expect(refused.stderr).toMatch(/dev\/site\.yaml cannot be used on this machine as it is: mend/u);
    const { code, stdout } = await sekishoWith(env, 'check-config', 'dev/site.yaml', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toContainEqual({ server: 's1', cause: 'machine', grave: true, message: expect.stringContaining('manager.maxAgents needs 1000064') });
  });

  test('which server this is: by address, or by name', async () => {
    await sekisho('site', 'init', 'far', '--operator', 'operator', '--site', 'far', '--address', '192.0.2.11', '192.0.2.12');
    expect(await sekisho('check-config', 'far/site.yaml')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('Say which one this is: --server NAME') });
    expect(await sekisho('check-config', 'far/site.yaml', '--server', 's2')).toMatchObject({ code: 0, stdout: 'far/site.yaml: good for s2\n' });
    expect(await sekisho('check-config', 'far/site.yaml', '--server', 's9')).toMatchObject({ code: 2, stderr: expect.stringContaining('has no server s9; it has s1 (192.0.2.11), s2') });
    // Here --server would not help: orders are given on the machine of a manager.
    expect(await sekisho('table', 'drain', 's1', '--config', 'far/site.yaml')).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/s2 \(192\.0\.2\.12\)\. Run this on a server with a manager: s1 or s2\.\n$/u) });
  });

  describe('keys', () => {
    /** Makes a site, spoils it, and returns what check-config says. */
    async function spoilt(name: string, spoil: (keys: string) => void, ...more: string[]) {
      await sekisho('site', 'init', name, '--operator', 'operator', '--site', 'tokyo-1', '--dev', ...more);
      spoil(`${name}/keys`);
      return sekisho('check-config', `${name}/site.yaml`);
    }

    test.each<[string, (keys: string) => void, RegExp]>([
      ['a key that others can read', (keys) => chmod(`${keys}/relay.key.pem`, 0o640), /relay\.key\.pem can be read by others \(mode 640\)\. Run: chmod 600/u],
      ['a ticket key that others can read', (keys) => chmod(`${keys}/ticket.key.pem`, 0o604), /ticket\.key\.pem can be read by others/u],
      ['a certificate of another site', (keys) => write(`${keys}/auth.cert.pem`, read('example/keys/auth.cert.pem')), /of auth in .* do not belong to each other/u],
      [
        'certificate and key of another site',
        (keys) => {
          for (const file of ['auth.cert.pem', 'auth.key.pem']) write(`${keys}/${file}`, read(`example/keys/${file}`));
        },
        /is not of the auth of tokyo-1 but of URI:sekisho:\/\/site\/x\/auth\. Make new ones/u,
      ],
      [
        'certificate and key of another role',
        (keys) => {
          for (const file of ['cert.pem', 'key.pem']) write(`${keys}/manager.${file}`, read(`${keys}/relay.${file}`));
        },
        /is not of the manager of tokyo-1/u,
      ],
      ['the CA of another operator', (keys) => write(`${keys}/ca.cert.pem`, read('open/ca.cert.pem')), /is not signed by the operator of ca\.cert\.pem/u],
      ['a certificate that is garbage', (keys) => write(`${keys}/relay.cert.pem`, 'garbage'), /relay\.cert\.pem cannot be read \(.*Bring it from where/u],
      ['a key that is garbage', (keys) => write(`${keys}/auth.key.pem`, 'garbage'), /auth\.key\.pem cannot be read \(/u],
      ['a ticket key of another kind', (keys) => write(`${keys}/ticket.key.pem`, read(`${keys}/auth.key.pem`)), /ticket\.key\.pem cannot be read \(not an Ed25519 key\)/u],
      ['no key for tickets to be checked with', (keys) => write(`${keys}/ticket.pub.pem`, ''), /ticket\.pub\.pem cannot be read \(no PUBLIC KEY in it\)/u],
      ['a ticket key of another site', (keys) => write(`${keys}/ticket.pub.pem`, read('example/keys/ticket.pub.pem')), /relays would refuse every ticket/u],
      ['a ticket key that is garbage', (keys) => write(`${keys}/ticket.key.pem`, 'garbage'), /ticket\.key\.pem cannot be read \(/u],
      ['a key that is missing', (keys) => unlinkSync(path(`${keys}/auth.key.pem`)), /auth\.key\.pem is missing\. Bring it from where/u],
    ])('%s: exit 2, as every mistake in the configuration', async (what, spoil, message) => {
      const refused = await spoilt(what.replaceAll(/\W/gu, '-'), spoil);
      expect(refused).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr).toMatch(message);
      expect(refused.stderr).toMatch(/site\.yaml and the keys beside it do not go together/u);
    });

    test('a mistake in the keys on a machine that is too small, too: exit 2', async () => {
      await sekisho('site', 'init', 'both', '--operator', 'operator', '--site', 'tokyo-1', '--dev');
      chmod('both/keys/relay.key.pem', 0o640);
      const { code, stdout } = await sekishoWith({ SEKISHO__manager__maxAgents: '1000000' }, 'check-config', 'both/site.yaml', '--json');
      const grave = (JSON.parse(stdout) as { grave: boolean; cause: string }[]).filter((finding) => finding.grave);
      expect([code, grave.map(({ cause }) => cause).toSorted()]).toEqual([2, ['configuration', 'machine']]);
    });

    test.each([
      ['auth', 'auth.key.pem', 'garbage'],
      ['relay', 'relay.cert.pem', 'garbage'],
      ['relay', 'ticket.pub.pem', 'garbage'],
      ['manager', 'ca.cert.pem', ''],
    ])('the role %s does not start on a damaged %s, in words and with exit 2, as on a mistake in site.yaml', async (role, file, text) => {
      const name = `damaged-${role}-${file}`;
      await spoilt(name, (keys) => write(`${keys}/${file}`, text));
      const started = await sekisho(role, '--config', `${name}/site.yaml`);
      expect(started.code).toBe(2);
      expect(started.stderr).toMatch(new RegExp(`^sekisho: .*keys/${file} cannot be read \\(.*\\)\\. Bring it from where .*\\n$`, 'u'));
    });

    test('a certificate that is about to expire is a warning', async () => {
      const warned = await spoilt('old', () => {}, '--days', '20');
      expect(warned).toMatchObject({ code: 0, stdout: 'old/site.yaml: good for s1\n' });
      expect(warned.stderr).toMatch(/warning: s1: the certificate of relay expires in (?:19|20) days\. Make new ones/u);
    });
  });
});
