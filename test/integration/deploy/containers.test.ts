import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { openStore } from '@sekisho/store';
import { afterAll, expect, test } from 'vitest';
import { usageProblem } from '../../../packages/cli/src/testing/usage.ts';
import { startProcess, stopAllProcesses } from '../../kit/process.ts';
import { makeTempDir } from '../../kit/temp-dir.ts';
import { read, readYaml, root, site, typedCommands } from './stack-files.ts';

/** deploy/container, docs/containers.md and docs/upgrading.md: no container runs here, so all that they name is looked up. */

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly volumes?: readonly (string | { readonly source: string; readonly target: string; readonly read_only?: boolean })[];
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly network_mode?: string;
  readonly networks?: readonly string[];
  readonly ports?: unknown;
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly user?: string;
  readonly logging?: { readonly options: Readonly<Record<string, string>> };
  readonly build?: { readonly context: string; readonly dockerfile: string };
}

const { services, volumes } = readYaml('deploy/container/compose.yaml') as { services: Record<string, Service>; volumes: Record<string, { driver_opts?: { o: string } }> };
const config = site('deploy/container/site.yaml');
const ROLES = ['relay', 'auth', 'manager'] as const;

afterAll(stopAllProcesses);

/** `[from, to]` of each volume, secret and config; containers-roles.test.ts looks at who has what. */
const mounts = (name: string): string[][] => {
  const { volumes: own = [], secrets = [], configs = [] } = services[name] ?? {};
  return [
    ...own.map((volume) => (typeof volume === 'string' ? volume : `${volume.source}:${volume.target}${volume.read_only === true ? ':ro' : ''}`)),
    ...secrets.map((secret) => `SITE/keys/${secret}:/run/secrets/${secret}:ro`),
    ...configs.map(({ source, target }) => `SITE/${source}:${target}:ro`),
  ].map((volume) => volume.replace(/^\$\{[^}]*\}/u, 'SITE').split(':'));
};
const isMounted = (name: string, path: string): boolean => mounts(name).some(([, to = '']) => path === to || path.startsWith(`${to}/`));

test('the image: its stages and instructions are in order', () => {
  const lines = read('deploy/container/Dockerfile').replaceAll('\\\n', ' ').split('\n').filter((line) => /^[A-Z]+ /u.test(line));
  const instructions = lines.map((line) => line.split(/\s+/u)[0]);
  expect(instructions.filter((name) => name === 'FROM')).toHaveLength(2);
  expect(instructions).not.toContain('ADD');
  expect(lines.filter((line) => /\b(?:curl|wget|https?:\/\/(?!127\.0\.0\.1))/u.test(line))).toEqual([]);
  const line = (name: string): string => lines.findLast((one) => one.startsWith(`${name} `)) ?? '';
  expect(line('ARG')).toMatch(/=node:\d+-[a-z]+-slim$/u);
  // The major version of Node that the code is developed and tested with.
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
  expect(/node:(\d+)/u.exec(line('ARG'))?.[1]).toBe(devDependencies.node.split('.')[0]);
  expect(line('USER')).toMatch(/^USER [1-9]\d*:[1-9]\d*$/u);
  expect(line('STOPSIGNAL')).toBe('STOPSIGNAL SIGTERM');
  const last = instructions.slice(instructions.lastIndexOf('FROM'));
  expect(last.indexOf('USER')).toBeGreaterThan(last.lastIndexOf('RUN'));
  expect(last.indexOf('USER')).toBeGreaterThan(last.lastIndexOf('COPY'));
  expect(lines.filter((one) => /^RUN npm run (\w+)/u.test(one))).toEqual(['RUN npm run build']);
  // What is copied is what the build makes; what is started is in it.
  expect(lines).toContain('COPY --from=build /src/dist/ /opt/sekisho/');
  expect(read('scripts/build.mjs')).toContain("join(dist, 'sekisho.mjs')");
  expect(JSON.parse(line('ENTRYPOINT').slice(11))).toEqual(['node', '/opt/sekisho/sekisho.mjs']);
  expect(usageProblem(JSON.parse(line('CMD').slice(4)) as string[])).toBeUndefined();
  expect(line('EXPOSE').split(' ').slice(1).map(Number)).toEqual(Object.values(config.ports));
  for (const path of JSON.parse(line('VOLUME').slice(7)) as string[]) expect([config.stateDir, config.relay.inspect?.spoolDir]).toContain(path);
  expect(line('HEALTHCHECK')).toContain(`http://127.0.0.1:${config.metrics.relay}/metrics`);
});

test('what the build needs is let through, and keys are not', () => {
  const ignored = read('.dockerignore').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  expect(ignored[0]).toBe('*');
  for (const needed of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', 'packages', 'scripts', 'LICENSE', 'README.md', 'CHANGELOG.md']) expect(ignored).toContain(`!${needed}`);
  for (const unwanted of ['**/node_modules', '**/*.pem']) expect(ignored.indexOf(unwanted)).toBeGreaterThan(ignored.indexOf('!packages'));
});

test('the services of compose are the roles of its site.yaml, and see the files that they need', () => {
  expect(config.servers.flatMap(({ roles }) => roles).toSorted((a, b) => a.localeCompare(b))).toEqual([...ROLES].toSorted((a, b) => a.localeCompare(b)));
  for (const role of ROLES) {
    const { command = [], network_mode, ports, build } = services[role] ?? {};
    expect(command[0]).toBe(role);
    expect(usageProblem(command)).toBeUndefined();
    // An address of site.yaml is the machine's.
    expect([network_mode, ports]).toEqual(['host', undefined]);
    expect(join('/deploy/container', build?.context ?? '', build?.dockerfile ?? '')).toBe('/deploy/container/Dockerfile');
    expect(services[role]?.healthcheck?.test.at(-1)).toContain(`http://127.0.0.1:${config.metrics[role]}/metrics`);
    expect(mounts(role).filter(([from]) => from?.startsWith('SITE')).map(([, , mode]) => mode)).not.toContain(undefined);
    expect(isMounted(role, '/etc/sekisho/site.yaml')).toBe(true);
    expect(isMounted(role, join(config.keys, `${role}.key.pem`))).toBe(true);
    expect(isMounted(role, config.stateDir)).toBe(role !== 'relay');
  }
  expect(isMounted('auth', join('/etc/sekisho', config.auth.revocations.file ?? ''))).toBe(true);
  const redis = /^redis\+unix:(.+)$/u.exec(config.store.url)?.[1] ?? '';
  for (const role of ['auth', 'manager']) expect(isMounted(role, redis)).toBe(true);
  expect(read('deploy/container/redis.conf')).toContain(`unixsocket ${redis}\n`);
  expect(isMounted('relay', redis)).toBe(false);
  expect(isMounted('relay', config.relay.inspect?.spoolDir ?? '')).toBe(true);
  expect(config.relay.inspect?.clamd).toHaveLength(2);
  const socket = /^LocalSocket (.+)$/mu.exec(read('deploy/container/clamd.conf'))?.[1] ?? '';
  for (const [index, address] of (config.relay.inspect?.clamd ?? []).entries()) {
    const volume = mounts('relay').find(([, to = '']) => address.startsWith(`unix:${to}/`));
    const at = mounts(`clamd-${index + 1}`).find(([from]) => from === volume?.[0]);
    expect(address).toBe(`unix:${socket.replace(at?.[1] ?? '', volume?.[1] ?? '')}`);
  }
});

test('compose: grace, hardening, networks and references', () => {
  const seconds = Number(/^(\d+)s$/u.exec(services['relay']?.stop_grace_period ?? '')?.[1]);
  expect(seconds * 1000).toBeGreaterThanOrEqual(config.relay.drainTimeout + 30_000);
  for (const [name, service] of Object.entries(services)) {
    expect([name, service.read_only, service.cap_drop, service.security_opt]).toEqual([name, true, ['ALL'], ['no-new-privileges:true']]);
    expect(service.logging?.options['max-size']).toMatch(/^\d+m$/u);
    expect(Object.keys(services)).toEqual(expect.arrayContaining([...(service.depends_on ?? [])]));
    for (const [from = '', to] of mounts(name)) {
      if (from.startsWith('./')) expect(() => read(join('deploy/container', from)), `${name} ${to}`).not.toThrow();
      else if (!from.startsWith('SITE/')) expect(Object.keys(volumes), `${name} ${to}`).toContain(from);
    }
    for (const [, file] of [...(service.command ?? []), ...(service.entrypoint ?? [])].join(' ').matchAll(/(\/etc\/[a-z./-]+)/gu)) expect(isMounted(name, file ?? ''), `${name} ${file}`).toBe(true);
  }
  // Whoever could reach clamd could end it, and whoever could reach Redis could read the registry.
  for (const name of ['redis', 'clamd-1', 'clamd-2']) expect(services[name]?.network_mode).toBe('none');
  expect(services['redis']?.user).toBe(/^USER (.+)$/mu.exec(read('deploy/container/Dockerfile'))?.[1]);
  expect(volumes['redis-socket']?.driver_opts?.o).toMatch(/mode=0700,uid=10001,gid=10001/u);
});

test.each(['container', 'kubernetes/base'])('clamd.conf of %s says what inspection needs', (where) => {
  const text = read(`deploy/${where}/clamd.conf`);
  const value = (key: string): string | undefined => new RegExp(`^${key} (.+)$`, 'mu').exec(text)?.[1];
  expect(value('AlertExceedsMax')).toBe('yes');
  const mebibytes = (key: string): number => Number(value(key)?.replace('M', '')) * 1024 * 1024;
  expect(mebibytes('StreamMaxLength')).toBeGreaterThanOrEqual(config.relay.inspect?.maxScanBytes ?? Number.NaN);
  expect(mebibytes('MaxScanSize')).toBeGreaterThanOrEqual(mebibytes('StreamMaxLength'));
  expect(Number(value('MaxThreads'))).toBeGreaterThanOrEqual(config.relay.inspect?.maxScansPerScanner ?? Number.NaN);
});

test('the rights for Redis are the documented ones, here and in what the page tells to type', () => {
  const rights = (text: string): Set<string> => new Set([...text.matchAll(/(?<=\s)\+[a-z]+/gu)].map(([right]) => right));
  const documented = rights(read('docs/operations.md').replaceAll('`', ' '));
  expect(documented.size).toBeGreaterThan(10);
  expect(rights(read('deploy/container/users.acl'))).toEqual(documented);
  expect(rights(read('docs/containers.md'))).toEqual(documented);
});

test('a real Redis takes the configuration of compose, and our store is content with the rights it gives', async () => {
  const temp = await makeTempDir('containers');
  const socket = join(temp.path, 'redis.sock');
  const files = join(root, 'deploy/container');
  const server = await startProcess({
    command: 'redis-server',
    args: [join(files, 'redis.conf'), '--dir', temp.path, '--unixsocket', socket, '--aclfile', join(files, 'users.acl')],
  });
  await server.waitForOutput(/ready to accept connections/u);
  const store = await openStore({}, { url: `redis+unix:${socket}`, site: 'tokyo-1' });
  expect(await store.getRevocations()).toBeNull();
  await store.close();
  const cli = (...args: string[]): string => spawnSync('redis-cli', ['-s', socket, ...args], { encoding: 'utf8' }).stdout.trim();
  expect(cli('ping')).toBe('PONG');
  expect(cli('flushall')).toContain('NOPERM');
  await server.stop();
  await temp.remove();
});

test.each(['docs/containers.md', 'docs/upgrading.md'])('every sekisho command that %s tells to type is one', (page) => {
  const typed = typedCommands(page);
  expect(typed.length).toBeGreaterThan(3);
  expect(typed.map((args) => usageProblem(args)).filter((problem) => problem !== undefined)).toEqual([]);
});
