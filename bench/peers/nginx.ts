import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../test/kit/ports.ts';
import { startProcess, type TestProcess, waitForPort } from '../../test/kit/process.ts';
import { makeTempDir } from '../../test/kit/temp-dir.ts';
import { debianProgram, versionOf } from './debian-program.ts';
import { type Destinations, type Lane, Unavailable } from './lane.ts';

const MODULES = '/usr/lib/nginx/modules';

export async function nginxVersion(): Promise<string> {
  return versionOf(debianProgram('nginx', 'nginx'), '-v');
}

/** One nginx stream, plain TCP in and out. @throws Unavailable */
export async function startNginx(destinations: Destinations): Promise<Lane> {
  const ports = { smtp: await freePort(), bulk: await freePort() };
  const server = (name: 'smtp' | 'bulk'): string =>
    `  server { listen 127.0.0.1:${ports[name]}; proxy_pass 127.0.0.1:${destinations[name]}; }\n`;
  const { child, stop } = await runNginx('stream', `stream {\n${server('smtp')}${server('bulk')}}\n`, ports.bulk);
  return { name: 'nginx', ports, halves: { relay: child.pid }, stop };
}

/**
 * One worker, and what is nginx' default in everything else.
 * @throws Unavailable when nginx or its module is not here
 */
export async function runNginx(module: 'stream' | 'mail' | 'http', blocks: string, port: number): Promise<{ child: TestProcess; stop: () => Promise<void> }> {
  const program = debianProgram('nginx', 'nginx');
  const load = module === 'http' ? '' : `load_module ${moduleFile(module)};\n`;
  // The worker gives up root and must get in.
  const directory = await makeTempDir('nginx', 0o755);
  const file = join(directory.path, 'nginx.conf');
  const head = `${load}daemon off;\nworker_processes 1;\npid ${directory.path}/pid;\nerror_log ${directory.path}/error.log;\nevents { worker_connections 18000; }\n`;
  await writeFile(file, head + blocks);
  // In a group of its own: a worker outlives a master that is killed.
  const child = await startProcess({ command: program, args: ['-p', directory.path, '-c', file], ownGroup: true });
  await Promise.race([
    waitForPort({ host: '127.0.0.1', port }),
    child.exited.then(() => Promise.reject(new Error(`nginx ended:\n${child.output}`))),
  ]);
  return {
    child,
    stop: async () => {
      await child.stop();
      await directory.remove();
    },
  };
}

/** Debian has these two in packages of their own. */
function moduleFile(module: 'stream' | 'mail'): string {
  const file = `${MODULES}/ngx_${module}_module.so`;
  if (!existsSync(file)) throw new Unavailable(`nginx has no ${module} module: apt-get install libnginx-mod-${module}`);
  return file;
}
