import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SITE_KEY_FILES } from '../../../packages/cli/src/files/site-keys.ts';
import { loadSite } from '../../../packages/cli/src/files/site.ts';
import { authSettings, managerSettings, relaySettings } from '../../../packages/cli/src/roles/settings.ts';
import { Mesh, type MeshSite, setKeys } from '../../kit/mesh.ts';
import { stopAllProcesses, type TestProcess, waitForPort } from '../../kit/process.ts';
import { type Redis, startRedis } from '../../kit/redis.ts';
import { parseAllYaml, read, readYaml, site as siteOf } from './stack-files.ts';

/** Containers of one server: a role that was taken over finds the keys and the state of no other. No container runs here. */

const ROLES = ['auth', 'relay', 'manager'] as const;
type Role = (typeof ROLES)[number];

/** What each reads of keys/. */
const KEYS: Readonly<Record<Role, readonly string[]>> = {
  auth: ['auth.cert.pem', 'auth.key.pem', 'ca.cert.pem', 'ticket.key.pem'],
  relay: ['ca.cert.pem', 'relay.cert.pem', 'relay.key.pem', 'ticket.pub.pem'],
  manager: ['ca.cert.pem', 'manager.cert.pem', 'manager.key.pem'],
};
const SETTINGS = { auth: authSettings, relay: relaySettings, manager: managerSettings };

interface Mount {
  readonly name: string;
  readonly mountPath: string;
  readonly subPath?: string;
  readonly readOnly?: boolean;
}
interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly volumeMounts: readonly Mount[];
}
interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
}
interface Service {
  readonly command: readonly string[];
  readonly secrets?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly volumes?: readonly (string | { readonly source: string; readonly target: string; readonly read_only?: boolean })[];
  readonly profiles?: readonly string[];
  readonly healthcheck?: { readonly disable?: boolean };
}

const compose = readYaml('deploy/container/compose.yaml') as { services: Record<string, Service>; secrets: Record<string, { file: string }>; configs: Record<string, { file: string }> };
const pods = new Map((parseAllYaml(read('deploy/kubernetes/base/servers.yaml')) as { metadata: { name: string }; spec: { template: { spec: PodSpec } } }[]).map(({ metadata, spec }) => [metadata.name, spec.template.spec]));
const byName = (a: string, b: string): number => a.localeCompare(b);
const sorted = (names: readonly string[] = []): string[] => names.toSorted(byName);
/** What a service of compose mounts of the host: files and named volumes. */
const sources = (name: string): string[] => (compose.services[name]?.volumes ?? []).map((volume) => (typeof volume === 'string' ? (volume.split(':')[0] ?? '') : volume.source));

let mesh: Mesh;
let site: MeshSite;
let redis: Redis;

beforeAll(async () => {
  [mesh, redis] = await Promise.all([Mesh.create(), startRedis()]);
  const servers = [{ name: 's1', address: '127.0.9.1', roles: ROLES }];
  site = await mesh.addSite({ name: 'tokyo-1', servers, settings: { 'store.url': redis.url } });
});

afterAll(async () => {
  await mesh?.stop();
  await stopAllProcesses();
  await redis?.stop();
});

test('each role reads exactly these files of keys/', () => {
  const { keysDirectory } = loadSite(site.file);
  expect(sorted(readdirSync(keysDirectory))).toEqual(sorted(SITE_KEY_FILES));
  for (const role of ROLES) {
    const own = copyOfSite(`reads-${role}`);
    const server = own.withRole(role)[0];
    if (server === undefined) throw new Error(role);
    for (const file of SITE_KEY_FILES) {
      const [path, away] = [join(own.keysDirectory, file), join(own.keysDirectory, '..', file)];
      renameSync(path, away);
      const readWithout = (): unknown => SETTINGS[role](own, server);
      if (KEYS[role].includes(file)) expect(readWithout, `${role} without ${file}`).toThrow(file);
      else expect(readWithout, `${role} without ${file}`).not.toThrow();
      renameSync(away, path);
    }
  }
});

function copyOfSite(name: string): ReturnType<typeof loadSite> {
  const directory = join(mesh.directory, name);
  cpSync(dirname(site.file), directory, { recursive: true });
  return loadSite(join(directory, 'site.yaml'));
}

test('compose: the keys of its role, and only the manager has the socket for administration', () => {
  const config = siteOf('deploy/container/site.yaml');
  expect(config.keys).toBe('/run/secrets');
  for (const role of ROLES) expect(sorted(compose.services[role]?.secrets), role).toEqual(KEYS[role]);
  for (const [name, { file }] of Object.entries(compose.secrets)) expect(file).toBe(`\${SEKISHO_SITE:-./site}/keys/${name}`);
  expect(sorted(Object.keys(compose.secrets))).toEqual(sorted(SITE_KEY_FILES));
  expect(compose.configs['site.yaml']?.file).toBe('${SEKISHO_SITE:-./site}/site.yaml');
  // State is one volume each, and the relay has none.
  for (const role of ['auth', 'manager']) expect(compose.services[role]?.volumes).toContain(`${role}-state:${config.stateDir}`);
  for (const [name, { profiles, secrets, command }] of Object.entries(compose.services)) {
    expect(sources(name).includes('auth-state'), name).toBe(name === 'auth');
    expect(sources(name).includes('manager-state'), name).toBe(name === 'manager' || name === 'check');
    // Of the site's own directory, only the list of what was revoked.
    const ofSite = sources(name).filter((source) => source.includes('SEKISHO_SITE'));
    expect(ofSite, name).toEqual(name === 'auth' || name === 'check' ? ['${SEKISHO_SITE:-./site}/revocations'] : []);
    if (!(ROLES as readonly string[]).includes(name) && name !== 'check') expect(secrets, name).toBeUndefined();
    // What sees all keys is started by hand only, and serves nobody.
    expect(profiles, name).toEqual(name === 'check' ? ['check'] : undefined);
    if (name === 'check') expect([command[0], sorted(secrets)]).toEqual(['check-config', sorted(SITE_KEY_FILES)]);
  }
});

/** Runs the init container of a Deployment: from a Secret with these files to what its other containers mount. */
function copyKeys(pod: PodSpec, secret: string, keys: string): void {
  mkdirSync(keys);
  const init = pod.initContainers[0];
  const [command = '', ...args] = init?.command ?? [];
  expect(init?.volumeMounts).toEqual([{ name: 'keys-secret', mountPath: '/secret', readOnly: true }, { name: 'keys', mountPath: '/run/sekisho/keys' }]);
  const here = args.map((text) => text.replaceAll('/run/sekisho/keys', keys).replaceAll('/secret', secret));
  // Twice: a pod whose sandbox was lost runs it again.
  for (let round = 0; round < 2; round += 1) expect(spawnSync(command, here, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
}

/** As the kubelet lays a Secret out: links to links. */
function makeSecret(name: string, files: readonly string[]): string {
  const secret = join(mesh.directory, name);
  mkdirSync(join(secret, '..2026'), { recursive: true });
  symlinkSync('..2026', join(secret, '..data'));
  for (const file of files) {
    cpSync(join(loadSite(site.file).keysDirectory, file), join(secret, '..2026', file));
    symlinkSync(`..data/${file}`, join(secret, file));
  }
  return secret;
}

test.each([
  { part: 'managing', roles: ROLES, all: 'all' },
  { part: 'relaying', roles: ['relay'] as const, all: 'relay' },
])('Kubernetes, $part: each container mounts what the init container copied for its role', ({ part, roles, all }) => {
  const pod = pods.get(`sekisho-${part}`);
  if (pod === undefined) throw new Error(part);
  const keys = join(mesh.directory, part);
  // Even if all of it was entered for a dedicated relay.
  copyKeys(pod, makeSecret(`secret-${part}`, SITE_KEY_FILES), keys);
  const files = (directory: string): string[] => sorted(readdirSync(join(keys, directory)));
  expect(files('.')).toEqual(sorted([...new Set([...roles, all])]));
  expect(files(all)).toEqual(sorted(all === 'all' ? SITE_KEY_FILES : KEYS.relay));
  for (const file of readdirSync(keys, { recursive: true, withFileTypes: true }))
    expect([file.name, statSync(join(file.parentPath, file.name)).mode & 0o777]).toEqual([file.name, file.isDirectory() ? 0o700 : 0o600]);
  const keysMount = (container: Container | undefined) => container?.volumeMounts.filter(({ name }) => name.startsWith('keys'));
  const mountOf = (subPath: string): Mount[] => [{ name: 'keys', mountPath: '/run/sekisho/keys', subPath, readOnly: true }];
  expect(keysMount(pod.initContainers.find(({ name }) => name === 'check-config'))).toEqual(mountOf(all));
  expect(sorted(pod.containers.map(({ name }) => name))).toEqual(sorted(roles));
  for (const container of pod.containers) {
    const role = container.name as Role;
    expect(files(role)).toEqual(KEYS[role]);
    expect(keysMount(container)).toEqual(mountOf(role));
    const names = sorted(container.volumeMounts.map(({ name }) => name));
    const others = { auth: ['auth-state', 'revocations', 'store'], relay: ['spool'], manager: ['manager-state', 'store'] }[role];
    expect(names, role).toEqual(sorted(['keys', 'site', ...others]));
  }
});

test('the roles of a server serve with these files, each in a directory of its own', async () => {
  const pod = pods.get('sekisho-managing');
  if (pod === undefined) throw new Error('managing');
  const keys = join(mesh.directory, 'serving');
  copyKeys(pod, makeSecret('secret-serving', SITE_KEY_FILES), keys);
  const fileOf = (role: Role): string => join(mesh.directory, `root-${role}`, 'site.yaml');
  // The manager last, so that it finds the others ready.
  const serveRole = (role: Role) => serve(role, fileOf(role), join(keys, role));
  await Promise.all([serveRole('auth'), serveRole('relay')]);
  await serveRole('manager');
  const manager = (...args: string[]) => mesh.sekisho.run(...args, '--config', fileOf('manager'), '--json');
  await expect.poll(async () => JSON.parse((await manager('status')).stdout.toString()) as unknown, { timeout: 15_000 }).toMatchObject({
    managers: [{ table: { relays: [{ name: 's1', state: 'up' }] }, auths: [{ name: 's1', up: true }], store: { up: true } }],
    servers: [{ role: 'manager', up: true }, { role: 'relay', up: true }, { role: 'auth', up: true }],
  });
  // A relay keeps nothing there.
  expect(ROLES.map((role) => existsSync(join(dirname(fileOf(role)), 'state')))).toEqual([true, false, true]);
  // Nobody misses what it has not, unless asked about all roles.
  const [own, all, relay] = await Promise.all([
    manager('upgrade-check', '--role', 'manager'),
    manager('upgrade-check'),
    mesh.sekisho.run('status', '--config', fileOf('relay'), '--json'),
  ]);
  const stops = ({ stdout }: { stdout: Buffer }) => (JSON.parse(stdout.toString()) as { findings: { level: string; message: string }[] }).findings.filter(({ level }) => level === 'stop').map(({ message }) => /\w+\.key\.pem is missing/u.exec(message)?.[0]);
  expect(stops(own)).toEqual([]);
  expect(stops(all)).toEqual(expect.arrayContaining(['auth.key.pem is missing', 'relay.key.pem is missing']));
  // From the relay's container the manager takes no orders.
  expect([relay.code, relay.stdout.toString()]).toEqual([69, expect.stringContaining('nobody listens at') as string]);
});

async function serve(role: Role, file: string, keys: string): Promise<TestProcess> {
  mkdirSync(dirname(file));
  cpSync(site.file, file);
  setKeys(file, { keys });
  const child = await mesh.sekisho.start(role, '--config', file);
  await Promise.race([
    waitForPort({ host: '127.0.9.1', port: site.ports[role] }, 30_000),
    child.exited.then(() => Promise.reject(new Error(`${role} ended:\n${child.output}`))),
  ]);
  return child;
}
