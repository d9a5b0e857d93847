import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { installHint, missingPackages } from '../../scripts/debian-packages.mjs';
import { runProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const script = fileURLToPath(new URL('../../scripts/debian-packages.mjs', import.meta.url));

test('is silent and quick where everything is installed', async () => {
  expect(missingPackages()).toEqual([]);
  const startedAt = performance.now();
  const result = await runProcess({ command: process.execPath, args: [script] });
  expect(result).toMatchObject({ code: 0, output: '' });
  expect(performance.now() - startedAt).toBeLessThan(2000);
});

test('finds out what is missing, and says how to get it', async () => {
  const root = await makeTempDir('root');
  const everything = missingPackages(root.path);
  expect(everything).toContain('postfix');
  for (const file of ['usr/bin/swaks', 'usr/lib/x86_64-linux-gnu/perl5/5.36/Net/SSLeay.pm', 'usr/lib/empty']) {
    await mkdir(dirname(join(root.path, file)), { recursive: true });
    await writeFile(join(root.path, file), '');
  }
  const rest = missingPackages(root.path);
  expect(everything.filter((name) => !rest.includes(name))).toEqual(['swaks', 'libnet-ssleay-perl']);
  expect(installHint(['postfix', 'swaks'], 'that takes root')).toContain('apt-get install --no-install-recommends postfix swaks\n');
  await root.remove();
});
