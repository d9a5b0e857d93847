import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../test/kit/ports.ts';
import { runProcess, startProcess, waitForPort } from '../../test/kit/process.ts';
import { makeTempDir } from '../../test/kit/temp-dir.ts';
import { type Destinations, type Lane, Unavailable } from './lane.ts';

/** Its package and lockfile; no part of the workspace. */
const FOLDER = join(import.meta.dirname, 'haraka');
const PACKAGE = join(FOLDER, 'node_modules/Haraka');
const PROGRAM = join(PACKAGE, 'bin/haraka');
const INSTALL = ['ci', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
const INSTALL_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 20_000;

export async function harakaVersion(): Promise<string> {
  const file = join(PACKAGE, 'package.json');
  if (!existsSync(file)) throw new Unavailable('Haraka is not installed');
  const { default: manifest } = (await import(file, { with: { type: 'json' } })) as { default: { version: string } };
  return manifest.version;
}

/**
 * One Haraka in one process, which passes each command on (queue/smtp_proxy).
 * @param mayInstall fetch it from the registry when it is not here
 * @throws Unavailable
 */
export async function startHaraka(destinations: Destinations, mayInstall: boolean): Promise<Lane> {
  if (!existsSync(PROGRAM)) await install(mayInstall);
  const directory = await makeTempDir('haraka');
  const port = await freePort();
  const files: Readonly<Record<string, string>> = {
    'config/smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
    'config/me': 'bench.example.com\n',
    'config/log.ini': '[main]\nlevel=WARN\n',
    'config/plugins': 'accept_all\nqueue/smtp_proxy\n',
    'config/smtp_proxy.ini': `host=127.0.0.1\nport=${destinations.smtp}\nenable_tls=false\n`,
    // Whom it takes mail for is decided by a plugin of one's own.
    'plugins/accept_all.js': 'exports.hook_rcpt = (next) => next(OK);\n',
  };
  // It does not run without its own defaults beside.
  await cp(join(PACKAGE, 'config'), join(directory.path, 'config'), { recursive: true });
  await mkdir(join(directory.path, 'plugins'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory.path, name), text);
  const child = await startProcess({ command: process.execPath, args: [PROGRAM, '-c', directory.path] });
  await Promise.race([
    waitForPort({ host: '127.0.0.1', port }, START_TIMEOUT_MS),
    child.exited.then(() => Promise.reject(new Error(`Haraka ended:\n${child.output}`))),
  ]);
  return {
    name: 'haraka',
    ports: { smtp: port },
    halves: { relay: child.pid },
    stop: async () => {
      await child.stop();
      await directory.remove();
    },
  };
}

async function install(mayInstall: boolean): Promise<void> {
  if (!mayInstall) throw new Unavailable('Haraka is not installed: npm ci --prefix bench/peers/haraka, or a run without --quick');
  const { code, output } = await runProcess({ command: 'npm', args: INSTALL, cwd: FOLDER, timeoutMs: INSTALL_TIMEOUT_MS }).catch((error: unknown) => ({
    code: undefined,
    output: String(error),
  }));
  if (code !== 0) throw new Unavailable(`Haraka could not be installed: ${output.trim().split('\n').at(-1)}`);
}
