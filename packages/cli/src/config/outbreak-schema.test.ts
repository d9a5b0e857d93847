import { expect, test } from 'vitest';
import { z } from 'zod';
import { yamlFile } from '../testing/yaml-file.ts';
import { outbreakSchema } from './outbreak-schema.ts';
import { siteSchema } from './site-schema.ts';

const file = yamlFile();
const schema = z.strictObject({ outbreak: outbreakSchema });
const SUBMISSION = 'submission: { host: mail.example.com, from: sekisho@example.com }';
const yaml = (...lines: string[]): string => ['outbreak:', ...lines.map((line) => `  ${line}`)].join('\n');
const submission = (more: string): string => yaml('to: [admin@example.com]', `submission: { host: mail.example.com, from: sekisho@example.com, ${more} }`);
const good = (...more: string[]): string => yaml('to: [admin@example.com]', SUBMISSION, ...more);

test('somebody to tell and a server to send by are enough', () => {
  file.write(good());
  expect(file.load(schema).outbreak).toEqual({
    to: ['admin@example.com'],
    customer: false,
    window: 600_000,
    thresholds: { device: 20, contact: 50, signature: 100 },
    coolDown: 3_600_000,
    clearAfter: 1_800_000,
    submission: { host: 'mail.example.com', port: 587, tls: 'starttls', from: 'sekisho@example.com' },
  });
});

test('a password over loopback, and a webhook there', () => {
  file.write(yaml('to: [a@example.com]', 'submission: { host: 127.0.0.1, port: 25, tls: none, from: a@example.com, user: u, passwordFile: p }', 'webhook: { url: "http://[::1]:8080/x", secretFile: s }'));
  expect(file.load(schema).outbreak).toMatchObject({ webhook: { url: 'http://[::1]:8080/x' } });
});

test.each([
  ['nobody', yaml('to: []', SUBMISSION), 'outbreak.to', />=1/u],
  ['no address', yaml('to: [admin]', SUBMISSION), 'outbreak.to.0', /^a mail address is needed here/u],
  ['an address with a header in it', yaml('to: ["a@example.com\\r\\nBcc: b@example.com"]', SUBMISSION), 'outbreak.to.0', /^a mail address/u],
  ['several addresses in one', yaml('to: ["a@example.com, b@example.com"]', SUBMISSION), 'outbreak.to.0', /^a mail address/u],
  ['no server', yaml('to: [a@example.com]'), 'outbreak.submission', /is missing/u],
  ['a user without a password', submission('user: u'), 'outbreak.submission.user', /^needs its password/u],
  ['a password without a user', submission('passwordFile: p'), 'outbreak.submission.passwordFile', /^needs to know whose/u],
  ['a password in clear text', submission('user: u, passwordFile: p, tls: none'), 'outbreak.submission.tls', /does not go over a network in clear text/u],
  ['a CA without TLS', submission('tls: none, caFile: c'), 'outbreak.submission.caFile', /^is for TLS/u],
  ['a threshold of one', good('thresholds: { device: 1 }'), 'outbreak.thresholds.device', />=2/u],
  ['over before the window is', good('window: 1h'), 'outbreak.clearAfter', /^is below window/u],
  ['a webhook in clear text', good('webhook: { url: "http://hooks.example.com/", secretFile: s }'), 'outbreak.webhook.url', /must begin with https:/u],
  ['a webhook that only looks local', good('webhook: { url: "http://127.0.0.1.example.com/", secretFile: s }'), 'outbreak.webhook.url', /must begin with https:/u],
  ['a webhook of another kind', good('webhook: { url: "file:///etc/passwd", secretFile: s }'), 'outbreak.webhook.url', /./u],
  ['an unknown key', good('cc: [b@example.com]'), 'outbreak.cc', /./u],
])('%s', (_, text, key, message) => {
  const problems = file.problems(text, schema);
  expect(problems[0]).toMatchObject({ key, message: expect.stringMatching(message) });
});

const site = (roles: string, ...more: string[]): string =>
  ['site: tokyo-1', 'managerName: manager.example.com', 'servers:', `  - { name: s1, address: 192.0.2.11, roles: [${roles}] }`, ...more].join('\n');

test('the role and the section belong together', () => {
  expect(file.problems(site('manager, auth, relay, outbreak'), siteSchema)).toMatchObject([{ key: 'servers', message: expect.stringMatching(/^a server has the role outbreak, but nothing says who is told/u) }]);
  expect(file.problems(site('manager, auth, relay', good()), siteSchema)).toMatchObject([{ key: 'outbreak', message: expect.stringMatching(/^no server has the role outbreak/u) }]);
  expect(file.problems(site('manager, auth, relay, outbreak', good()), siteSchema)).toEqual([]);
});

test('its port for metrics is its own', () => {
  expect(file.problems(site('manager, auth, relay', 'metrics: { manager: 9460, outbreak: 9460 }'), siteSchema)).toMatchObject([{ key: 'metrics.outbreak' }]);
});
