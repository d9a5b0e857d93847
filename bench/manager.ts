import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type IssuedSite, Operator } from '@sekisho/auth';
import { ControlConnection, type Credentials, Listener } from '@sekisho/channel';
import { CONTROL_ALPN, type RelayReport } from '@sekisho/wire';
import { makeTempDir } from '../test/kit/temp-dir.ts';
import type { AgentsOrder, DeviceKeys, LoadOrder, LoadResult, PrepareOrder } from './manager/agents.ts';
import type { RoleOrder } from './manager/role.ts';

/**
 * What one manager can do: new devices a second (TCP, TLS with certificates on both sides, hello, lease, close), the same
 * with a resumed session, and renewals on connections that stay; then the time to an answer at half of the target.
 *
 * The manager has the first core, the devices have the others, and auth is where there is room: rates seen are often theirs.
 * What the manager can do is therefore also counted: asks answered for each second of CPU that its process (all threads,
 * from /proc) has used. Auth's CPU is counted in the same way, since a small site runs both on one core; and so is that of
 * a server that does nothing but accept TLS with Node (`node_tls`), which no manager in Node can outdo.
 *
 *     node bench/manager.ts [--quick] [--json] [--only=new|resumed|renewal] [--seconds=N]
 */

export interface Figure {
  readonly name: string;
  readonly ours: number;
  readonly unit: string;
  readonly target: number;
}

const SITE = 'bench-1';
const MANAGER_NAME = 'manager.example.com';
const RELAYS = ['s1', 's2', 's3'];
const RIGHTS = ['smtp', 'pop3', 'imap'];
const REPORT: RelayReport = {
  loadPerCoreMilli: 100,
  hottestCoreMilli: 100,
  loopDelayUs: 100,
  sessions: 10,
  maxSessions: 1000,
  devices: 10,
  bytesPerSecond: 0,
  bytesPerSecondLimit: 0,
  draining: 0,
};

/** Asks a second that one core must answer. */
const TARGETS = { new: 800, resumed: 3000, renewal: 20_000 } as const;
const ANSWER_TARGET_MS = 20;
type Kind = keyof typeof TARGETS;
const KINDS: readonly Kind[] = ['new', 'resumed', 'renewal'];
const AT_ONCE: Readonly<Record<Kind, number>> = { new: 16, resumed: 16, renewal: 256 };

interface Measured extends LoadResult {
  readonly managerCpuSeconds: number;
  readonly authCpuSeconds: number;
  readonly bareCpuSeconds: number;
  readonly agentsCpuSeconds: number;
}

interface Bench {
  readonly manager: ChildProcess;
  readonly auth: ChildProcess;
  /** A TLS server of Node's and nothing else: what nobody who uses it can do without. */
  readonly bare: ChildProcess;
  readonly agents: ChildProcess;
  stop(): Promise<void>;
}

export interface FiguresInit {
  readonly quick: boolean;
  /** Of one kind of ask only. */
  readonly only?: string | undefined;
  /** Of each measurement; each kind has two, and half as much to warm up. */
  readonly seconds?: number | undefined;
}

/** The manager's lines of the bench. Takes about 40 s, or 20 s when `quick`. */
export async function managerFigures({ quick, only, seconds = quick ? 1.5 : 4 }: FiguresInit): Promise<Figure[]> {
  const bench = await startBench(quick ? 300 : 1000);
  try {
    const figures: Figure[] = [];
    for (const kind of KINDS.filter((each) => only === undefined || each === only)) figures.push(...(await figuresOf(bench, kind, seconds)));
    return figures;
  } finally {
    await bench.stop();
  }
}

async function figuresOf(bench: Bench, kind: Kind, seconds: number): Promise<Figure[]> {
  const atOnce = AT_ONCE[kind];
  const target = TARGETS[kind];
  const name = `manager.${kind}`;
  await measure(bench, { kind, seconds: seconds / 2, rate: 0, atOnce });
  const most = await measure(bench, { kind, seconds, rate: 0, atOnce });
  const half = await measure(bench, { kind, seconds, rate: target / 2, atOnce });
  const rate = (what: string, cpu: number, { done }: Measured = most): Figure => ({
    name: `${name}_${what}`,
    ours: Math.round(done / cpu),
    unit: '1/s',
    target,
  });
  const figures = [
    rate('per_cpu_second', most.managerCpuSeconds),
    rate('per_cpu_second_with_auth', most.managerCpuSeconds + most.authCpuSeconds),
    rate('auth_per_cpu_second', most.authCpuSeconds),
    rate('agents_per_cpu_second', most.agentsCpuSeconds),
    rate('seen_per_second', most.seconds),
    { name: `${name}_half_seen_per_second`, ours: Math.round(half.done / half.seconds), unit: '1/s', target: target / 2 },
    { name: `${name}_resumed_share`, ours: most.resumed / most.done, unit: '', target: kind === 'resumed' ? 1 : 0 },
    { name: `${name}_failed`, ours: most.failed + half.failed, unit: '', target: 0 },
    { name: `${name}_answer_p50`, ours: half.p50Ms, unit: 'ms', target: ANSWER_TARGET_MS },
    { name: `${name}_answer_p99`, ours: half.p99Ms, unit: 'ms', target: ANSWER_TARGET_MS },
  ];
  if (kind === 'renewal') return figures;
  const bareOrder = { kind, rate: 0, atOnce, isBare: true } as const;
  await measure(bench, { ...bareOrder, seconds: seconds / 4 });
  const bare = await measure(bench, { ...bareOrder, seconds: seconds / 2 });
  return [...figures, rate('node_tls_per_cpu_second', bare.bareCpuSeconds, bare)];
}

async function measure({ manager, auth, bare, agents }: Bench, order: LoadOrder): Promise<Measured> {
  const children = [manager, auth, bare, agents];
  await ask(agents, { prepare: order });
  const before = children.map(cpuSeconds);
  const result = await ask<LoadResult>(agents, order);
  const [managerCpuSeconds = 0, authCpuSeconds = 0, bareCpuSeconds = 0, agentsCpuSeconds = 0] = children.map(
    (child, index) => cpuSeconds(child) - (before[index] ?? 0),
  );
  return { ...result, managerCpuSeconds, authCpuSeconds, bareCpuSeconds, agentsCpuSeconds };
}

/** What all threads of a process have used, in seconds: the scheduler counts in nanoseconds. */
function cpuSeconds({ pid }: ChildProcess): number {
  const tasks = `/proc/${pid}/task`;
  const nanoseconds = readdirSync(tasks).map((task) => Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]));
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

async function startBench(deviceCount: number): Promise<Bench> {
  const directory = await makeTempDir('bench-manager');
  const operator = await Operator.init(join(directory.path, 'operator'), { name: 'Bench', managerName: MANAGER_NAME });
  const keys = await operator.issueSite({ site: SITE, days: 2 });
  const devices = await enroll(operator, deviceCount);
  const relayPorts = await Promise.all(RELAYS.map((name) => startRelay(name, credentials(operator, keys, 'relay'))));
  const children: ChildProcess[] = [];
  const start = (file: string, cores?: string): ChildProcess => {
    const child = fork(join(import.meta.dirname, 'manager', file), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], execArgv: execArgv(file, children.length) });
    if (cores !== undefined && availableParallelism() > 1) pin(child, cores);
    children.push(child);
    return child;
  };
  const others = `1-${Math.max(1, availableParallelism() - 1)}`;
  const storeUrl = `sqlite:${join(directory.path, 'site.db')}`;
  const auth = start('role.ts');
  const { port: authPort } = await ask<{ port: number }>(auth, authOrder(operator, keys, storeUrl));
  const manager = start('role.ts', '0');
  const { port } = await ask<{ port: number }>(manager, managerOrder(operator, keys, { storeUrl, authPort, relayPorts, devices: deviceCount }));
  const bare = start('role.ts', '0');
  const { port: barePort } = await ask<{ port: number }>(bare, { role: 'bare', credentials: credentials(operator, keys, 'manager') });
  const agents = start('agents.ts', others);
  const order: AgentsOrder = { port, barePort, caPem: operator.caCertPem, managerName: MANAGER_NAME, devices };
  await ask(agents, order);
  const stop = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null) continue;
      const exited = once(child, 'exit');
      child.disconnect();
      await exited;
    }
    for (const relay of relays.splice(0)) relay.close();
    await directory.remove();
  };
  return { manager, auth, bare, agents, stop };
}

/** With SEKISHO_PROFILE=DIRECTORY each process leaves a CPU profile there. */
function execArgv(file: string, number: number): string[] {
  const directory = process.env['SEKISHO_PROFILE'];
  return directory === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-name=${number}-${file}.cpuprofile`];
}

function pin(child: ChildProcess, cores: string): void {
  const { status, stderr } = spawnSync('taskset', ['-a', '-c', '-p', cores, String(child.pid)], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`taskset (util-linux) is needed: ${stderr}`);
}

async function enroll(operator: Operator, count: number): Promise<DeviceKeys[]> {
  const devices: DeviceKeys[] = [];
  for (let number = 0; number < count; number += 1) {
    const hex = number.toString(16).padStart(4, '0');
    const mac = `02:00:5e:10:${hex.slice(0, 2)}:${hex.slice(2)}`;
    const { certPem, keyPem } = await operator.enrollDevice({ mac, rights: RIGHTS, days: 1, proof: 'certificate' });
    devices.push({ mac, certPem, keyPem });
  }
  return devices;
}

function credentials(operator: Operator, keys: IssuedSite, role: 'manager' | 'auth' | 'relay'): Credentials {
  return { caPem: operator.caCertPem, certPem: keys[role].certPem, keyPem: keys[role].keyPem };
}

function authOrder(operator: Operator, keys: IssuedSite, storeUrl: string): RoleOrder {
  const settings = {
    site: SITE,
    name: 's1',
    listen: { host: '127.0.0.1', port: 0 },
    serverAddresses: ['127.0.0.1'],
    credentials: credentials(operator, keys, 'auth'),
    ticketKeyPem: keys.ticketKey.privatePem,
    ticketTtlMs: 600_000,
    proof: 'certificate',
    revocations: { urls: [], refreshMs: 60_000, maxAgeMs: 1e9 },
  } as const;
  return { role: 'auth', storeUrl, settings };
}

function managerOrder(
  operator: Operator,
  keys: IssuedSite,
  { storeUrl, authPort, relayPorts, devices }: { storeUrl: string; authPort: number; relayPorts: readonly number[]; devices: number },
): RoleOrder {
  const settings = {
    site: SITE,
    name: 's1',
    listen: { host: '127.0.0.1', port: 0 },
    credentials: credentials(operator, keys, 'manager'),
    relays: RELAYS.map((name, index) => ({ name, host: '127.0.0.1', port: 7026, controlPort: relayPorts[index] ?? 0 })),
    table: { entries: RELAYS },
    auths: [{ name: 's1', host: '127.0.0.1', port: authPort }],
    // Its limits on one agent are for one agent; these stand for many more.
    maxAgents: devices + 1000,
    maxPerAddress: devices + 1000,
    hellosPerSecond: 10_000,
    probeIntervalMs: 1000,
    probeTimeoutMs: 1000,
  };
  return { role: 'manager', storeUrl, settings };
}

const relays: Listener[] = [];

/** A relay as far as a manager looks: it answers pings on its control port. */
async function startRelay(name: string, keys: Credentials): Promise<number> {
  const listener = new Listener(
    { host: '127.0.0.1', port: 0, credentials: keys, alpn: CONTROL_ALPN, handshakeTimeoutMs: 5000, maxConnections: 16, maxPerAddress: 16 },
    {
      onConnection: (socket) => {
        const connection = new ControlConnection<'hello' | 'ping'>(
          socket,
          { accepts: ['hello', 'ping'], maxPending: 1, maxBufferedBytes: 65_536 },
          {
            onMessage: (message) => {
              if (message.type === 'ping') connection.send({ type: 'pong', id: message.id, report: REPORT });
              else connection.send({ type: 'welcome', id: message.id, version: 1, software: 'bench', name, site: SITE });
            },
            onClose: () => {},
          },
        );
      },
      onReject: () => {},
      onError: () => {},
    },
  );
  relays.push(listener);
  return (await listener.listen()).port;
}

/** The next thing that a child says. Rejects when it ends instead. */
function ask<T>(child: ChildProcess, message: RoleOrder | AgentsOrder | PrepareOrder | LoadOrder): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onExit = (code: number | null): void => reject(new Error(`${child.spawnargs.at(-1)} ended with ${code}`));
  child.once('exit', onExit);
  child.once('message', (answer) => {
    child.off('exit', onExit);
    resolve(answer as T);
  });
  child.send(message);
  return promise;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'boolean' }, only: { type: 'string' }, seconds: { type: 'string' } },
  });
  const { quick, only } = values;
  const figures = await managerFigures({ quick, only, seconds: values.seconds === undefined ? undefined : Number(values.seconds) });
  if (values.json === true) console.log(JSON.stringify({ figures }));
  else {
    console.log(`${availableParallelism()} cores (${cpus()[0]?.model}), Node ${process.version}\n`);
    for (const { name, ours, unit, target } of figures)
      console.log(`${name.padEnd(42)} ${ours.toFixed(unit === 'ms' ? 1 : 2).replace(/\.00$/u, '').padStart(10)} ${unit.padEnd(4)} target ${target}`);
  }
}
