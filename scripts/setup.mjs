// Makes a fresh clone ready: the workspace's packages (with their own Node) and, for the tests, the Debian packages
// with the real servers. Plain JavaScript for whatever Node the machine has; quick and silent when all is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PNPM = 'pnpm@12.21.0';
const stamp = join(root, 'node_modules', '.sekisho-setup');

/** What decides which packages must be installed. */
function wanted() {
  const hash = createHash('sha256');
  for (const file of ['pnpm-lock.yaml', 'package.json', 'pnpm-workspace.yaml']) hash.update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

function installPackages() {
  const now = wanted();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === now && existsSync(join(root, 'node_modules/.bin/node'))) return;
  console.error('sekisho: installing the npm packages (once, about half a minute) …');
  // npm exports its own settings to what it starts, and the nested install would only complain about them.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_config_/iu.test(name) || /registry|proxy|cafile|userconfig|cache|nodedir/iu.test(name)));
  const args = ['-y', PNPM, 'install', '--frozen-lockfile', '--reporter=silent'];
  const { status, error } = spawnSync('npx', args, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) {
    console.error(`sekisho: the npm packages could not be installed${error ? `: ${error.message}` : ''}.`);
    console.error(`  Try it by hand and read what it says: npx ${args.slice(0, -1).join(' ')}`);
    process.exit(1);
  }
  writeFileSync(stamp, now);
}

installPackages();
if (process.argv.includes('--integration')) {
  const { ensureDebianPackages } = await import('./debian-packages.mjs');
  ensureDebianPackages();
}
