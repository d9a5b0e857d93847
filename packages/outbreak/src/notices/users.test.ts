import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Logins, LoginsBusyError, MAX_CHECKS, MAX_CHECKS_WAITING } from './logins.ts';
import { MAX_USERS, parseUsers } from './users.ts';

const SALT = 'MDEyMzQ1Njc4OWFiY2RlZg';
const HASH = 'A'.repeat(43);
const line = (name = 'gw', parameters = 'ln=15,r=8,p=1'): string => `${name}:$scrypt$${parameters}$${SALT}$${HASH}`;

test('the command of the documentation makes a line that lets its user in, and nobody else', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../../../docs/notices.md'), 'utf8');
  const [, script = ''] = /\| node -e '([^']+)'/u.exec(page) ?? [];
  const made = execFileSync(process.execPath, ['-e', script, 'gw'], { input: 'secret ü\n', encoding: 'utf8' });
  const logins = new Logins({ users: parseUsers(`# gateways\n\n${made}`) });
  expect(await logins.check('gw', 'secret ü')).toBe(true);
  expect(await logins.check('gw', 'secret ü')).toBe(true);
  expect(await logins.check('gw', 'secret u')).toBe(false);
  expect(await logins.check('gw2', 'secret ü')).toBe(false);
});

test('a second login of the same is cheap, also after a wrong one', async () => {
  const logins = new Logins({ users: parseUsers('gw:$scrypt$ln=16,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$6n8kS9qmlaJ8VmhB8JcMBRNR1nqf0KEYgjMNJ4ORE9M') });
  expect(await logins.check('gw', 'right')).toBe(true);
  expect(await logins.check('gw', 'wrong')).toBe(false);
  const before = performance.now();
  for (let count = 0; count < 100; count += 1) expect(await logins.check('gw', 'right')).toBe(true);
  // 100 scrypts take ten seconds.
  expect(performance.now() - before).toBeLessThan(1000);
});

test('more logins at once than can wait are told so, and the others are still answered', async () => {
  const logins = new Logins({ users: parseUsers(line('gw', 'ln=12,r=1,p=1')) });
  const checks = Array.from({ length: MAX_CHECKS + MAX_CHECKS_WAITING + 1 }, (_, index) => logins.check('gw', `guess ${index}`));
  const results = await Promise.allSettled(checks);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(MAX_CHECKS + MAX_CHECKS_WAITING);
  expect(results.at(-1)).toMatchObject({ status: 'rejected', reason: expect.any(LoginsBusyError) });
  expect(await logins.check('gw', 'guess')).toBe(false);
});

test.each([
  ['a name twice', `${line()}\n\n${line()}`, /^line 3: the name stands there twice/u],
  ['a password in clear', 'gw:secret', /^line 1: is not NAME:\$scrypt(?!.*secret)/u],
  ['a name with a space', line('g w'), /^line 1: is not/u],
  ['too cheap', line('gw', 'ln=11,r=8,p=1'), /^line 1: scrypt with ln from 12 to 17/u],
  ['too dear', line('gw', 'ln=18,r=8,p=1'), /^line 1: scrypt with ln/u],
  ['too much memory', line('gw', 'ln=17,r=16,p=1'), /no more than 128 MiB/u],
  ['no blocks', line('gw', 'ln=15,r=0,p=1'), /^line 1: scrypt/u],
  ['too parallel', line('gw', 'ln=15,r=8,p=5'), /^line 1: scrypt/u],
  ['no salt', line().replace(SALT, ''), /^line 1: is not/u],
  ['a short hash', line().replace(HASH, 'AAAA'), /^line 1: is not/u],
  ['too many', Array.from({ length: MAX_USERS + 1 }, (_, index) => line(`gw${index}`)).join('\n'), /^has 101 users/u],
])('a users file with %s is refused', (_, text, message) => {
  expect(() => parseUsers(text)).toThrow(message);
});
