import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { managerSettings } from '../roles/settings.ts';
import { workplace } from '../testing/command.ts';
import { pageFindings, readPageTokenDigest } from './page-token.ts';
import { loadSite, type Site } from './site.ts';

const { sekisho, path, read, write, mode, chmod } = workplace();
let token = '';

beforeAll(async () => {
  await sekisho('operator', 'init', 'operator');
  await sekisho('site', 'init', 'tokyo', '--operator', 'operator', '--site', 'tokyo-1', '--dev');
  write('plain.yaml', read('tokyo/site.yaml'));
}, 60_000);

const siteWith = (...page: string[]): Site => {
  write('tokyo/site.yaml', [read('plain.yaml'), 'page:', ...page, ''].join('\n'));
  return loadSite(path('tokyo/site.yaml'));
};
const findings = (site: Site) => pageFindings(site, site.withRole('manager')[0]!).map(({ grave, message }) => [grave, message]);

test('page token shows a token once and writes its digest, which managers are told', async () => {
  const made = await sekisho('page', 'token', '--out', 'tokyo/keys/page.token');
  expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^[\w-]{43}\n$/u), stderr: expect.stringContaining('page.tokenFile') });
  token = made.stdout.trim();
  expect(read('tokyo/keys/page.token')).toBe(`sha256:${createHash('sha256').update(token).digest('hex')}\n`);
  expect(mode('tokyo/keys/page.token')).toBe('600');
  expect(await sekisho('page', 'token', '--out', 'tokyo/keys/page.token')).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('not overwritten') });

  const site = siteWith('  port: 7080', '  tokenFile: keys/page.token', '  hosts: [Status.Example.com]');
  expect(findings(site)).toEqual([]);
  const { page } = managerSettings(site, site.withRole('manager')[0]!);
  expect(page).toEqual({ host: '127.0.0.1', port: 7080, hosts: ['status.example.com'], tokenDigest: createHash('sha256').update(token).digest() });
});

test('without a port there is no page, without a file it is read-only', () => {
  const site = siteWith('  port: 7080');
  expect([findings(site), readPageTokenDigest(site)]).toEqual([[], undefined]);
  const none = siteWith('  tokenFile: keys/page.token');
  expect(managerSettings(none, none.withRole('manager')[0]!).page).toBeUndefined();
  expect(findings(none)).toEqual([[false, expect.stringContaining('page.port is not')]]);
});

test('check-config warns of a page that others reach, and refuses a file that holds no digest or that others read', () => {
  expect(findings(siteWith('  port: 7080', '  address: 192.0.2.11'))).toEqual([[false, expect.stringMatching(/192\.0\.2\.11.*TLS/u)]]);
  expect(findings(siteWith('  port: 7080', '  address: ::1'))).toEqual([]);
  expect(findings(siteWith('  port: 7080', '  tokenFile: keys/none'))).toEqual([[true, expect.stringMatching(/keys\/none cannot be used.*sekisho page token/u)]]);
  for (const text of [token, '', `sha256:${'0'.repeat(63)}\n`, `sha256:${'0'.repeat(64)}\nsha256:${'1'.repeat(64)}\n`]) {
    write('tokyo/keys/bad.token', text);
    chmod('tokyo/keys/bad.token', 0o600);
    const [[grave, message] = []] = findings(siteWith('  port: 7080', '  tokenFile: keys/bad.token'));
    expect([grave, message], text).toEqual([true, expect.stringContaining('does not hold what `sekisho page token` writes')]);
    expect(message).not.toContain(token);
  }
  chmod('tokyo/keys/page.token', 0o644);
  expect(findings(siteWith('  port: 7080', '  tokenFile: keys/page.token'))).toEqual([[true, expect.stringContaining('can be read by others')]]);
});
