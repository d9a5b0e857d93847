import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProcessInit, type ProcessResult, runProcess, startProcess, type TestProcess, whenThisProcessEnds } from './process.ts';

/** One end of a veth pair. */
export interface LinkEnd {
  readonly namespace: Namespace;
  /** At most 15 characters, unique in its namespace. */
  readonly device: string;
  /** With prefix lengths, IPv4 and IPv6: `192.0.2.1/30`. */
  readonly addresses?: readonly string[];
}

/** Where `ip netns` keeps their names. */
const NAMES = '/run/netns';
const PREFIX = 'sekisho';
const POLL_MS = 20;
/** `st` of a listening socket in /proc/net/tcp. */
const LISTEN = '0A';

let networks = 0;
let refusal: { readonly reason: string | undefined } | undefined;

/** Why network namespaces can't be made here; undefined where they can. Tried once in a process. */
export function namespacesAllowed(): string | undefined {
  refusal ??= { reason: tryNamespace() };
  return refusal.reason;
}

function tryNamespace(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `${PREFIX}-${process.pid}-trial`;
  try {
    ip('netns', 'add', name);
    try {
      ip('-n', name, 'link', 'add', 'name', 'one', 'type', 'veth', 'peer', 'name', 'two');
      execFileSync('ip', ['netns', 'exec', name, 'nft', 'list', 'ruleset'], { stdio: 'pipe' });
    } finally {
      ip('netns', 'del', name);
    }
    return undefined;
  } catch (error) {
    return `network namespaces are not possible here: ${error instanceof Error ? error.message.trim() : String(error)}`;
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' });
}

/** A network of one machine's own, with links, routes and packet filters of its own. Made by `Network.namespace`. */
export class Namespace {
  /** As `ip netns` knows it. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** Runs a command in it to its end. @throws when it does not end with 0 */
  async run(command: string, args: readonly string[] = [], options: Pick<ProcessInit, 'stdin'> = {}): Promise<ProcessResult> {
    const result = await runProcess(this.inside({ command, args, ...options }));
    if (result.code !== 0) throw new Error(`${command} ${args.join(' ')} in ${this.name} ended with ${result.code}:\n${result.output}`);
    return result;
  }

  /** Starts a process in it; what `startProcess` says holds, and its pid is that of the command itself. */
  start(init: ProcessInit): Promise<TestProcess> {
    return startProcess(this.inside(init));
  }

  /** The same, for whoever starts it elsewhere. */
  inside<Init extends ProcessInit>(init: Init): Init {
    return { ...init, command: 'ip', args: ['netns', 'exec', this.name, init.command, ...(init.args ?? [])] };
  }

  /** Resolves once a process in it listens at that TCP port; rejects when it ends or the time is over before it. */
  async waitForListener(child: TestProcess, port: number, timeoutMs = 10_000): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!listens(child.pid, port)) {
      if (!child.running) throw new Error(`${child.name} in ${this.name} ended before it listened at ${port}:\n${child.output}`);
      if (performance.now() > deadline) throw new Error(`nobody listens at ${port} in ${this.name} after ${timeoutMs} ms:\n${child.output}`);
      await sleep(POLL_MS);
    }
  }

  /** Applies rules in the language of nft(8), all of them or none. */
  async nft(ruleset: string): Promise<void> {
    await this.run('nft', ['-f', '-'], { stdin: ruleset });
  }

  /** `ip` with these arguments, here. */
  async ip(...args: string[]): Promise<void> {
    const { code, output } = await runProcess({ command: 'ip', args: ['-n', this.name, ...args] });
    if (code !== 0) throw new Error(`ip -n ${this.name} ${args.join(' ')}:\n${output}`);
  }

  async addAddress(device: string, address: string): Promise<void> {
    await this.ip('address', 'add', address, 'dev', device, ...(address.includes(':') ? ['nodad'] : []));
  }

  /** @param to a network, or `default` */
  async addRoute(to: string, via: string): Promise<void> {
    await this.ip(via.includes(':') ? '-6' : '-4', 'route', 'add', to, 'via', via);
  }

  /** @param name as in `net.ipv4.ip_forward` */
  async sysctl(name: string, value: string | number): Promise<void> {
    await this.run('sh', ['-c', 'echo "$2" > "/proc/sys/$1"', 'sh', name.replaceAll('.', '/'), String(value)]);
  }

  /** Lets it forward packets between its links. */
  async becomeRouter(): Promise<void> {
    await this.sysctl('net.ipv4.ip_forward', 1);
    await this.sysctl('net.ipv6.conf.all.forwarding', 1);
  }

  /** What leaves by this device is sent at that rate at most; undefined: as fast as it goes. */
  async limitRate(device: string, bitsPerSecond: number | undefined): Promise<void> {
    const rate = bitsPerSecond === undefined ? undefined : Math.round(bitsPerSecond);
    if (rate === undefined) {
      await runProcess({ command: 'tc', args: ['-n', this.name, 'qdisc', 'del', 'dev', device, 'root'] });
      return;
    }
    // A burst of 5 ms, but two full segments of a veth with offloading; a queue of 200 ms, as routers of offices have.
    const burst = Math.max(Math.round(rate / 8 / 200), 2 * 65_536);
    const { code, output } = await runProcess({
      command: 'tc',
      args: ['-n', this.name, 'qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', `${rate}bit`, 'burst', `${burst}b`, 'latency', '200ms'],
    });
    if (code !== 0) throw new Error(`tc in ${this.name} for ${device}:\n${output}`);
  }
}

/** Network namespaces that belong together, joined by links. They are gone after `stop`, and when the process ends. */
export class Network {
  readonly #prefix: string;
  readonly #namespaces: Namespace[] = [];
  readonly #forget: () => void;

  private constructor(prefix: string) {
    this.#prefix = prefix;
    this.#forget = whenThisProcessEnds(() => this.#removeAll());
  }

  /** Also removes what runs left behind that were killed. @throws where namespaces are not allowed */
  static async create(label: string): Promise<Network> {
    const reason = namespacesAllowed();
    if (reason !== undefined) throw new Error(reason);
    await removeLeftovers();
    networks += 1;
    return new Network(`${PREFIX}-${process.pid}-${networks}-${label}`);
  }

  /** @param name unique within this network */
  async namespace(name: string): Promise<Namespace> {
    const made = new Namespace(`${this.#prefix}-${name}`);
    await mustRun('ip', 'netns', 'add', made.name);
    this.#namespaces.push(made);
    // A link is of use at once, and not after the second in which its end looks for a double.
    for (const scope of ['all', 'default']) await made.sysctl(`net.ipv6.conf.${scope}.accept_dad`, 0);
    await made.ip('link', 'set', 'lo', 'up');
    return made;
  }

  /** Joins two namespaces by a cable (veth), both ends up and with their addresses. */
  async connect(a: LinkEnd, b: LinkEnd): Promise<void> {
    const ends = ['name', a.device, 'netns', a.namespace.name, 'type', 'veth', 'peer', 'name', b.device, 'netns', b.namespace.name];
    await mustRun('ip', 'link', 'add', ...ends);
    for (const { namespace, device, addresses = [] } of [a, b]) {
      for (const address of addresses) await namespace.addAddress(device, address);
      await namespace.ip('link', 'set', device, 'up');
    }
  }

  /** Removes all of it. Processes that still run there keep running, without a name for where they are. */
  async stop(): Promise<void> {
    this.#forget();
    this.#removeAll();
  }

  #removeAll(): void {
    for (const { name } of this.#namespaces.splice(0)) {
      try {
        ip('netns', 'del', name);
      } catch {
        // Somebody else did.
      }
    }
  }
}

async function mustRun(command: string, ...args: string[]): Promise<void> {
  const { code, output } = await runProcess({ command, args });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${output}`);
}

/** Ends and removes what networks of processes left behind that are gone. */
async function removeLeftovers(): Promise<void> {
  for (const name of namesOf()) {
    const owner = Number(new RegExp(`^${PREFIX}-(\\d+)-`, 'u').exec(name)?.[1]);
    if (Number.isNaN(owner) || isRunning(owner)) continue;
    const { stdout } = await runProcess({ command: 'ip', args: ['netns', 'pids', name] });
    for (const pid of stdout.toString().split('\n').filter(Boolean).map(Number)) kill(pid);
    await runProcess({ command: 'ip', args: ['netns', 'del', name] });
  }
}

/** Whether somebody in the network of that process listens at that port. */
function listens(pid: number, port: number): boolean {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['tcp', 'tcp6'].some((table) => {
    try {
      const rows = readFileSync(`/proc/${pid}/net/${table}`, 'latin1').split('\n');
      return rows.some((row) => {
        const [, local, , state] = row.trim().split(/\s+/);
        return state === LISTEN && local?.endsWith(suffix) === true;
      });
    } catch {
      // It has ended.
      return false;
    }
  });
}

function namesOf(): string[] {
  try {
    return readdirSync(NAMES);
  } catch {
    // Nobody has made one on this machine yet.
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}
