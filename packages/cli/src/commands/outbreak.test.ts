import { fileURLToPath } from 'node:url';
import { openStore, type Store } from '@sekisho/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startProcess } from '../../../../test/kit/process.ts';
import { type SmtpLedger, startSmtpLedger } from '../../../../test/kit/smtp-ledger.ts';
import { workplace } from '../testing/command.ts';

const { sekisho, path, write, chmod, read } = workplace();
const COMMAND = fileURLToPath(new URL('../../bin/sekisho.js', import.meta.url));
const MAC = '02:00:5e:10:00:01';
const NAME = `device-${MAC}`;

let ledger: SmtpLedger;
let store: Store;

const siteYaml = (submissionPort: number, ...more: string[]): string =>
  [
    'site: tokyo-1',
    'managerName: manager.example.com',
    'servers: [{ name: s1, address: 127.0.0.1, roles: [manager, auth, relay, outbreak] }]',
    'outbreak:',
    '  to: [admin@example.com, second@example.com]',
    `  submission: { host: 127.0.0.1, port: ${submissionPort}, tls: none, from: sekisho@example.com }`,
    ...more.map((line) => `  ${line}`),
  ].join('\n');

beforeAll(async () => {
  ledger = await startSmtpLedger();
  write('site.yaml', siteYaml(ledger.port));
  await sekisho('outbreak', 'status', '--config', 'site.yaml');
  store = await openStore({}, { url: `sqlite:${path('state/site.db')}`, site: 'tokyo-1', operationTimeoutMs: 5000 });
}, 60_000);

afterAll(async () => {
  await store.close();
  await ledger.stop();
});

const record = (count: number): Promise<number> =>
  store.recordDetections(
    Array.from({ length: count }, (_, index) => ({
      key: `${Date.now()}-${index}`,
      at: Date.now(),
      source: 'relay' as const,
      reporter: 's1',
      mac: MAC,
      signature: 'Win.Test.EICAR_HDB-1',
      protocol: 'smtp',
      client: '192.168.1.5:50000',
      destination: 'mail.example.com:587',
      contact: null,
    })),
  );

test('run, status, ack: an outbreak is told, shown and acknowledged', { timeout: 60_000 }, async () => {
  const watch = await startProcess({ command: process.execPath, args: [COMMAND, 'outbreak', 'run', '--config', path('site.yaml')] });
  await record(25);
  await ledger.waitForMessages(2, 20_000);
  await record(1);

  const { stdout, code } = await sekisho('outbreak', 'status', '--config', 'site.yaml');
  expect(code).toBe(0);
  expect(stdout).toContain(`site tokyo-1: 1 outbreak(s); submission server 127.0.0.1:${ledger.port} works\n`);
  expect(stdout).toMatch(new RegExp(`^${NAME} +LASTS +device +- +26 +20`, 'mu'));
  expect(stdout).toMatch(/^mail +admin@example.com +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +1 +0 +told$/mu);

  expect(await sekisho('outbreak', 'ack', 'device-02:00:5e:10:00:99', '--config', 'site.yaml')).toMatchObject({ code: 1, stderr: expect.stringContaining('There is no outbreak') });
  expect(await sekisho('outbreak', 'ack', NAME, '--by', 'ann', '--config', 'site.yaml')).toMatchObject({ code: 0, stdout: `${NAME}\n` });
  const json = JSON.parse((await sekisho('outbreak', 'status', '--json', '--config', 'site.yaml')).stdout) as Record<string, unknown>;
  expect(json).toMatchObject({
    site: 'tokyo-1',
    outbreaks: [{ name: NAME, ack: { by: 'ann' }, tally: { count: 26 } }],
    recipients: [{ address: 'admin@example.com', waiting: 0, claim: null }, { address: 'second@example.com' }],
    submission: { problem: null },
  });

  watch.kill('SIGTERM');
  expect(await watch.exited).toMatchObject({ code: 0 });
  expect(watch.stdout.toString()).toContain('"event":"outbreak_opened"');
});

test('a message that says it is a test goes to every administrator, and what fails is said', { timeout: 60_000 }, async () => {
  const before = ledger.messages.length;
  const sent = await sekisho('outbreak', 'test', '--config', 'site.yaml');
  expect(sent).toMatchObject({ code: 0, stdout: 'mail admin@example.com: sent\nmail second@example.com: sent\n' });
  const mails = ledger.messages.slice(before).map(({ raw }) => raw.toString());
  expect(mails).toHaveLength(2);
  for (const mail of mails) expect(mail).toMatch(/Subject: \[Sekisho tokyo-1\] Test: this would be an alert\r\n[\s\S]*\r\n\r\nThis is a test\./u);
  write('secret', 'a secret of some length');
  chmod('secret', 0o600);
  write('down.yaml', siteYaml(1, 'webhook: { url: "http://127.0.0.1:1/", secretFile: secret }'));
  const failed = await sekisho('outbreak', 'test', '--config', 'down.yaml');
  expect(failed.code).toBe(1);
  expect(failed.stdout).toMatch(/^mail admin@example.com: failed: .*ECONNREFUSED.*\nmail second@example.com: failed: .*\nwebhook http:\/\/127\.0\.0\.1:1\/: failed: .+\n$/u);
  expect(failed.stderr).toContain('3 of 3 messages did not go out');
  const status = await sekisho('outbreak', 'status', '--config', 'down.yaml');
  expect(status.stdout).toContain('submission server 127.0.0.1:1 FAILS: ');
});

describe('files', () => {
  test('one that is missing, open to others or too short is said', async () => {
    const attempt = async (...more: string[]): Promise<string> => {
      write('other.yaml', siteYaml(1, ...more));
      const { code, stderr } = await sekisho('outbreak', 'test', '--config', 'other.yaml');
      expect(code).toBe(2);
      return stderr;
    };
    const hook = 'webhook: { url: "https://hooks.example.com/", secretFile: hook.secret }';
    expect(await attempt(hook)).toContain('outbreak.webhook.secretFile: ');
    write('hook.secret', 'a secret of some length');
    chmod('hook.secret', 0o644);
    expect(await attempt(hook)).toContain('chmod 600');
    chmod('hook.secret', 0o600);
    write('hook.secret', 'short');
    expect(await attempt(hook)).toContain('has fewer than 16 characters');
    expect(read('hook.secret')).toBe('short');
  });

  test('a site without the section says so', async () => {
    write('none.yaml', siteYaml(1).split('\n').slice(0, 2).join('\n').concat('\nservers: [{ name: s1, address: 127.0.0.1, roles: [manager, auth, relay] }]'));
    expect(await sekisho('outbreak', 'status', '--config', 'none.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('has no section outbreak') });
    expect(await sekisho('outbreak', 'run', '--config', 'none.yaml')).toMatchObject({ code: 2, stderr: expect.stringContaining('has the role outbreak') });
  });
});
