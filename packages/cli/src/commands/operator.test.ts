import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { workplace } from '../testing/command.ts';

const { sekisho, read, write, exists, mode, tree } = workplace();

test('operator init makes a directory that only its owner can read, and says what is next', async () => {
  const made = await sekisho('operator', 'init', './operator', '--name', 'Example', '--manager-name', 'manager.example.net');
  expect(made).toMatchObject({ code: 0, stdout: './operator\n' });
  expect(made.stderr).toContain('Agents will look for managers at manager.example.net.');
  expect(made.stderr).toContain('Next: sekisho site init ./SITE --operator ./operator --site SITE');
  expect(mode('operator')).toBe('700');
  expect(Object.keys(tree('operator')).map((path) => path.split('/').at(-1)!).toSorted()).toEqual(['ca.cert.pem', 'ca.key.pem', 'operator.json', 'revocations.crl.pem']);
  for (const file of ['ca.cert.pem', 'ca.key.pem', 'operator.json', 'revocations.crl.pem']) expect(mode(`operator/${file}`), file).toBe('600');
  expect(new X509Certificate(read('operator/ca.cert.pem')).subject).toContain('Example');
  expect(made.stdout + made.stderr).not.toContain(read('operator/ca.key.pem').split('\n')[1]);
});

test('it overwrites nothing', async () => {
  const before = tree('operator');
  const again = await sekisho('operator', 'init', './operator');
  expect(again).toMatchObject({ code: 1, stdout: '' });
  expect(again.stderr).toMatch(/^sekisho: \.\/operator already exists and is not overwritten: name another directory\n$/u);
  expect(tree('operator')).toEqual(before);
  write('file', 'mine');
  expect(await sekisho('operator', 'init', './file')).toMatchObject({ code: 1, stdout: '' });
  expect(read('file')).toBe('mine');
});

test.each([
  ['no directory', ['operator', 'init'], /missing required argument 'directory'/u],
  ['an unknown option', ['operator', 'init', 'x', '--force'], /unknown option '--force'/u],
  ['a manager name that is none', ['operator', 'init', 'x', '--manager-name', 'no name'], /a DNS name is needed here/u],
  ['an unknown command', ['operators'], /unknown command 'operators'/u],
  ['an unknown subcommand', ['operator', 'start'], /unknown command 'start'/u],
  ['nothing', [], /Usage: sekisho/u],
])('%s: exit 2, on standard error', async (_what, args, message) => {
  const refused = await sekisho(...args);
  expect(refused).toMatchObject({ code: 2, stdout: '' });
  expect(refused.stderr).toMatch(message);
  expect(exists('x')).toBe(false);
});

test('help and version are results: exit 0, on standard output', async () => {
  const help = await sekisho('operator', 'init', '--help');
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toContain('--manager-name');
  expect(await sekisho('--version')).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/u) });
});
