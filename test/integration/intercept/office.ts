import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Namespace, Network } from '../../kit/netns.ts';
import { Sekisho, setKeys } from '../../kit/mesh.ts';
import type { ProcessResult, TestProcess } from '../../kit/process.ts';
import { makeTempDir, type TempDir } from '../../kit/temp-dir.ts';
import { transparentCommand } from '../../kit/transparent.ts';
import { CLIENT_V4, CLIENT_V6, DNS, GUEST_V4, MAIL_V4, MAIL_V6, MANAGER, PRIVATE_MAIL, ROUTER_V4, ROUTER_V6, SITE_V4, SITE_V6 } from './addresses.ts';

const root = join(import.meta.dirname, '../../..');
const NODE = join(root, 'node_modules/.bin/node');
const COMMAND = join(root, 'packages/cli/bin/sekisho.js');
const UNIT = join(root, 'deploy/systemd/sekisho-agent.service');
/** Of sekisho-agent.socket. */
export const LISTEN_PORT = 7029;

/**
 * What systemd does for sekisho-agent.service, as far as it matters here: it keeps the listening sockets, starts the agent with
 * them, and runs ExecStopPost= when that has ended, however it has; and all of it again at SIGUSR1. The first argument is a
 * shell command, the rest the agent.
 */
const SERVICE_MANAGER = `
after=$1; shift
trap : USR1
while :; do
  sh -c 'LISTEN_PID=$$ exec "$@"' sh "$@" &
  echo "main pid $!"
  wait $!
  echo "main ended $?"
  eval "$after"
  echo "stopped"
  sleep 600 3<&- 4<&- &
  wait
  kill $!
done
`;
const PATIENCE_MS = 20_000;
const POLL_MS = 20;

/** A line of the namespace with the mail servers: a mail that came. */
export interface Arrival {
  readonly mail: string;
  readonly at: string;
  /** Whose address the mail server saw. */
  readonly peer: string;
  readonly connections: number;
}

/** The agent, with a process that stands for systemd. */
export class AgentService {
  readonly #manager: TestProcess;
  readonly #router: Namespace;

  constructor(components: { manager: TestProcess; router: Namespace }) {
    this.#manager = components.manager;
    this.#router = components.router;
  }

  /** What was said since the agent was started last. */
  get output(): string {
    const { output } = this.#manager;
    return output.slice(Math.max(output.lastIndexOf('main pid '), 0));
  }

  events(event: string): Record<string, unknown>[] {
    return this.output
      .split('\n')
      .filter((line) => line.includes(`"event":"${event}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Its lines about an event, once there are that many. */
  async untilEvents(event: string, count: number): Promise<Record<string, unknown>[]> {
    await this.#until(() => this.events(event).length >= count, `${count} ${event}`);
    return this.events(event);
  }

  /** Resolves when it knows how clients go. */
  async untilReady(): Promise<void> {
    await this.#until(() => /"event":"(?:relayed|direct)_mode"/u.test(this.output), 'relayed_mode or direct_mode');
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(Number(/^main pid (\d+)/u.exec(this.output)?.[1]), signal);
  }

  /** ExecStop=. */
  async release(): Promise<void> {
    for (const command of unitCommands('ExecStop')) await this.#router.run('sh', ['-c', command]);
  }

  /** Begins what `systemctl stop` does: ExecStop=, and then SIGTERM. */
  async beginStop(): Promise<void> {
    await this.release();
    this.signal('SIGTERM');
    await this.untilEvents('draining', 1);
  }

  /** Resolves when the agent has ended, and ExecStopPost= after it; with the agent's exit code. */
  async untilStopped(): Promise<number> {
    await this.#until(() => /^stopped$/mu.test(this.output), 'stopped');
    return Number(/^main ended (\d+)$/mu.exec(this.output)?.[1]);
  }

  /** With the same sockets. */
  async startAgain(): Promise<void> {
    const before = this.output;
    this.#manager.kill('SIGUSR1');
    await this.#until(() => this.output !== before && !/^stopped$/mu.test(this.output), 'a new start');
    await this.untilReady();
  }

  /** Ends all of it; the sockets are closed. */
  async end(): Promise<void> {
    this.#manager.kill('SIGKILL');
    await this.#manager.exited;
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (!this.#manager.running || performance.now() > deadline) throw new Error(`no ${what}; the agent and its service manager said:\n${this.#manager.output}`);
      await sleep(POLL_MS);
    }
  }
}

/** An office with two networks behind a router, a site, and mail servers: five network namespaces. */
export class Office {
  readonly #temp: TempDir;
  readonly #network: Network;
  readonly client: Namespace;
  readonly guest: Namespace;
  readonly router: Namespace;
  readonly #site: Namespace;
  readonly #internet: Namespace;
  readonly #processes: TestProcess[] = [];
  #mailServers: TestProcess | undefined;
  #siteProcess: TestProcess | undefined;

  private constructor(components: { temp: TempDir; network: Network; namespaces: Record<'client' | 'guest' | 'router' | 'site' | 'internet', Namespace> }) {
    this.#temp = components.temp;
    this.#network = components.network;
    ({ client: this.client, guest: this.guest, router: this.router, site: this.#site, internet: this.#internet } = components.namespaces);
  }

  static async create(): Promise<Office> {
    const network = await Network.create('icpt');
    const [client, guest, router, site, internet] = await Promise.all(['client', 'guest', 'router', 'site', 'inet'].map((name) => network.namespace(name)));
    if (client === undefined || guest === undefined || router === undefined || site === undefined || internet === undefined) throw new Error('unreachable');
    const office = new Office({ temp: await makeTempDir('icpt'), network, namespaces: { client, guest, router, site, internet } });
    await Promise.all([office.#wire(), office.#enroll()]);
    return office;
  }

  get agentYaml(): string {
    return join(this.#temp.path, 'agent.yaml');
  }

  async #wire(): Promise<void> {
    const { client, guest, router } = this;
    const [site, internet, network] = [this.#site, this.#internet, this.#network];
    await Promise.all([
      network.connect({ namespace: router, device: 'lan0', addresses: ['10.77.0.1/24', '2001:db8:77::1/64'] }, { namespace: client, device: 'eth0', addresses: [`${CLIENT_V4}/24`, `${CLIENT_V6}/64`] }),
      network.connect({ namespace: router, device: 'guest0', addresses: ['10.78.0.1/24'] }, { namespace: guest, device: 'eth0', addresses: [`${GUEST_V4}/24`] }),
      network.connect({ namespace: router, device: 'wan0', addresses: [`${ROUTER_V4}/24`, `${ROUTER_V6}/64`] }, { namespace: internet, device: 'office', addresses: [`${DNS}/24`, '2001:db8:100::2/64'] }),
      network.connect({ namespace: site, device: 'eth0', addresses: [`${SITE_V4}/25`, `${SITE_V6}/64`] }, { namespace: internet, device: 'site', addresses: ['203.0.113.1/25', '2001:db8:11::1/64'] }),
    ]);
    await Promise.all([
      router.becomeRouter(),
      // As strict as it gets, with what wg-quick sets.
      ...['rp_filter', 'src_valid_mark'].map((name) => router.sysctl(`net.ipv4.conf.all.${name}`, 1)),
      internet.becomeRouter(),
      client.addRoute('default', '10.77.0.1'),
      client.addRoute('default', '2001:db8:77::1'),
      guest.addRoute('default', '10.78.0.1'),
      site.addRoute('default', '203.0.113.1'),
      site.addRoute('default', '2001:db8:11::1'),
      router.addRoute('default', DNS),
      router.addRoute('default', '2001:db8:100::2'),
      // Nothing is masqueraded, so that a mail server sees who comes.
      internet.addRoute('10.76.0.0/14', ROUTER_V4),
      internet.addRoute('2001:db8:77::/64', ROUTER_V6),
      ...[`${MAIL_V4}/32`, `${MAIL_V6}/128`, `${PRIVATE_MAIL}/32`].map((address) => internet.addAddress('lo', address)),
    ]);
  }

  async #enroll(): Promise<void> {
    const sekisho = new Sekisho();
    const [operator, site] = [join(this.#temp.path, 'operator'), join(this.#temp.path, 'site')];
    await sekisho.mustRun('operator', 'init', operator, '--manager-name', MANAGER);
    await Promise.all([
      sekisho.mustRun('site', 'init', site, '--operator', operator, '--site', 'tokyo-1', '--address', SITE_V4),
      sekisho.mustRun('device', 'enroll', '02:00:5e:10:00:01', '--operator', operator, '--out', this.agentYaml),
    ]);
    setKeys(join(site, 'site.yaml'), {
      'relay.workers': 1,
      'relay.destinations.allow': ['203.0.113.0/24', '2001:db8::/32'],
      'relay.proxyProtocol': [`${MAIL_V4}:587`],
      'manager.maxLoadPerCore': 1000,
      'manager.maxHottestCore': 1000,
    });
    setKeys(this.agentYaml, {
      'dns.servers': [DNS],
      managerBudget: '1s',
      intercept: { interfaces: ['lan0'], listenPort: LISTEN_PORT },
    });
  }

  async startInternet(): Promise<void> {
    this.#mailServers = await this.#start(this.#internet, NODE, join(import.meta.dirname, 'internet.ts'));
    await this.#mailServers.waitForOutput(/"ready"/u, 30_000);
  }

  async startSite(): Promise<void> {
    this.#siteProcess = await this.#start(this.#site, NODE, COMMAND, 'up', '--config', join(this.#temp.path, 'site/site.yaml'));
    await this.#site.waitForListener(this.#siteProcess, 7025, 30_000);
  }

  /** All its processes at once. */
  async killSite(): Promise<void> {
    this.#siteProcess?.kill('SIGKILL');
    await this.#siteProcess?.exited;
  }

  /** As its unit does it; the sockets stay open when the agent ends. It has no capability, and no wish for one. */
  async startAgent(): Promise<AgentService> {
    const agent = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', NODE, COMMAND, 'agent', '--config', this.agentYaml];
    const { command, args } = transparentCommand({
      addresses: ['127.0.0.1', '::1'],
      port: LISTEN_PORT,
      command: 'sh',
      args: ['-c', SERVICE_MANAGER, 'sh', unitCommands('ExecStopPost').join('\n'), ...agent],
    });
    const child = await this.#start(this.router, command, ...args);
    const service = new AgentService({ manager: child, router: this.router });
    await service.untilReady();
    return service;
  }

  /** A command of the router's, as root. */
  sekisho(...args: string[]): Promise<ProcessResult> {
    return this.router.run(NODE, [COMMAND, ...args]);
  }

  /** Sends a mail and says what the mail server saw. */
  async send(from: Namespace, to: string, subject: string): Promise<Arrival> {
    await from.run(NODE, [join(import.meta.dirname, 'client.ts'), to, '25', subject]);
    return this.arrival(subject);
  }

  /** Begins a mail that ends when the process hears SIGUSR2. */
  async hold(to: string, subject: string): Promise<TestProcess> {
    const child = await this.#start(this.client, NODE, join(import.meta.dirname, 'client.ts'), to, '25', 'hold', subject);
    await child.waitForOutput(/open/u);
    return child;
  }

  /** Sends mails without a pause until it hears SIGUSR2, and says which of them were not accepted. */
  async keepSending(to: string): Promise<TestProcess> {
    const child = await this.#start(this.client, NODE, join(import.meta.dirname, 'client.ts'), to, '25', 'loop');
    await child.waitForOutput(/sent/u);
    return child;
  }

  /** What a server says to whoever comes, behind the address that he has himself; or how it failed. */
  async banner(from: Namespace, to: string, port: number): Promise<string> {
    const { stdout } = await from.run(NODE, [join(import.meta.dirname, 'client.ts'), to, String(port), 'banner']);
    return stdout.toString();
  }

  /** The mail of that subject, once it is there. */
  async arrival(subject: string): Promise<Arrival> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.arrivals().find(({ mail }) => mail === subject);
      if (found !== undefined) return found;
      if (performance.now() > deadline) throw new Error(`no mail ${subject}; the mail servers said:\n${this.#mailServers?.output}`);
      await sleep(POLL_MS);
    }
  }

  /** Every mail that the mail servers have taken. */
  arrivals(): Arrival[] {
    return (this.#mailServers?.stdout.toString().split('\n') ?? []).filter((line) => line.startsWith('{"mail"')).map((line) => JSON.parse(line) as Arrival);
  }

  /** Everything that interception may change on a router, as it is now. */
  async routerState(): Promise<string> {
    const { stdout } = await this.router.run('sh', [
      '-c',
      'nft list ruleset; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; cat /proc/sys/net/ipv4/conf/*/rp_filter /proc/sys/net/ipv4/ip_forward',
    ]);
    return stdout.toString();
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) child.kill('SIGKILL');
    await Promise.all(this.#processes.map((child) => child.exited));
    await this.#network.stop();
    await this.#temp.remove();
  }

  async #start(namespace: Namespace, command: string, ...args: string[]): Promise<TestProcess> {
    const child = await namespace.start({ command, args, ownGroup: true });
    this.#processes.push(child);
    return child;
  }
}

/** The commands of a key of sekisho-agent.service, without the prefixes of systemd.service(5). */
function unitCommands(key: string): string[] {
  return [...readFileSync(UNIT, 'utf8').matchAll(new RegExp(`^${key}=[-+]*(.*)$`, 'gmu'))].map(([, command = '']) => command);
}
