import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../../../test/kit/ports.ts';
import { startProcess, type TestProcess, waitForPort } from '../../../../test/kit/process.ts';
import { destinationTls } from '../../../../test/kit/tls.ts';
import { workplace } from '../testing/command.ts';

const { sekisho, chmod, path, read, write } = workplace();
const MAC = '02:00:5e:10:00:01';
const FILES = 'caFile: redis.ca.pem, certFile: redis.cert.pem, keyFile: redis.key.pem';

let redis: TestProcess;
let port: number;

/** A Redis whose certificate no authority of the system signed, and which asks for one as well. */
beforeAll(async () => {
  const { cert, key, certPath, keyPath } = destinationTls();
  await sekisho('operator', 'init', 'operator');
  await sekisho('site', 'init', 'tokyo', '--operator', 'operator', '--site', 'tokyo-1', '--dev');
  write('tokyo/redis.ca.pem', cert);
  write('tokyo/redis.cert.pem', cert);
  write('tokyo/redis.key.pem', key);
  chmod('tokyo/redis.key.pem', 0o600);
  port = await freePort();
  const tls = `--port 0 --bind 127.0.0.1 --tls-port ${port} --tls-auth-clients yes --save`;
  const args = [...tls.split(' '), '', '--dir', path('tokyo'), '--tls-cert-file', certPath, '--tls-key-file', keyPath, '--tls-ca-cert-file', certPath];
  redis = await startProcess({ command: 'redis-server', args });
  await waitForPort({ host: '127.0.0.1', port });
}, 60_000);
afterAll(() => redis.stop());

/** Writes a site.yaml beside the good one, with another store. */
function site(name: string, files: string): string {
  const file = `tokyo/${name}.yaml`;
  write(file, read('tokyo/site.yaml').replace(/^ {2}url: .*$/mu, `  url: rediss://127.0.0.1:${port}\n${files.split(', ').map((line) => `  ${line}`).join('\n')}`));
  return file;
}

test('a Redis with a private CA that asks for certificates is the store of a site', async () => {
  const file = site('good', FILES);
  expect(await sekisho('check-config', file)).toMatchObject({ code: 0 });
  expect(await sekisho('device', 'register', MAC, '--config', file)).toMatchObject({ code: 0 });
  expect((await sekisho('device', 'list', '--config', file)).stdout).toMatch(new RegExp(`^${MAC} `, 'mu'));
});

test.each([
  ['without the CA', 'certFile: redis.cert.pem, keyFile: redis.key.pem'],
  ['without a certificate of ours', 'caFile: redis.ca.pem'],
])('%s it is none', async (what, files) => {
  const refused = await sekisho('device', 'list', '--config', site(what.replaceAll(' ', '-'), files));
  expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^sekisho: Redis: /u) });
});

describe('files that cannot be used: check-config and every role say which, with exit 2', () => {
  test.each<[string, string, () => void, RegExp]>([
    ['a missing CA', 'caFile: none.pem', () => {}, /store\.caFile: \S+tokyo\/none\.pem cannot be used \(ENOENT/u],
    ['a CA that is garbage', 'caFile: garbage.pem', () => write('tokyo/garbage.pem', 'garbage'), /store\.caFile: \S+garbage\.pem cannot be used \(/u],
    ['a key of another certificate', 'certFile: redis.cert.pem, keyFile: keys/relay.key.pem', () => {}, /store\.keyFile: \S+relay\.key\.pem cannot be used \(not the key of store\.certFile\)/u],
    [
      'a key that others can read',
      'certFile: redis.cert.pem, keyFile: open.pem',
      () => write('tokyo/open.pem', destinationTls().key),
      /open\.pem can be read by others \(mode 644\)\. Run: chmod 600/u,
    ],
    ['a missing password', 'passwordFile: none.txt', () => {}, /store\.passwordFile: \S+none\.txt cannot be used \(ENOENT/u],
  ])('%s', async (what, files, prepare, message) => {
    prepare();
    const file = site(what.replaceAll(' ', '-'), files);
    for (const command of [['check-config', file], ['auth', '--config', file]]) {
      const { code, stderr } = await sekisho(...command);
      expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
    }
  });
});
