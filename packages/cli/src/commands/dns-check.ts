import { MAX_MANAGERS } from '@sekisho/agent';
import { type Command, InvalidArgumentError } from 'commander';
import { siteAccess } from '../checks/site-access.ts';
import { dnsFindings, type DnsFinding } from '../dns/findings.ts';
import { type DnsServerPlace, type LookUp, lookUp, parseDnsServer, resolverAddress } from '../dns/look-up.ts';
import { type Ask, askAsDevice, askAsServer, type Probe } from '../dns/probe.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { loadAgent } from '../files/agent.ts';
import { loadSite } from '../files/site.ts';
import { type Cell, paint, result, resultJson, table } from '../output.ts';

interface DnsCheckOptions {
  readonly config?: string;
  readonly agent?: string;
  readonly dns?: DnsServerPlace;
  readonly json: boolean;
}

/** Who asks, and whom. */
interface Asker {
  readonly name: string;
  readonly servers: readonly string[];
  readonly ask: Ask;
}

/** For TCP, TLS and hello of every address, all at once: as long as an agent takes to decide. */
export const PROBE_TIMEOUT_MS = 5000;

/** `sekisho dns-check`: the managers' name as agents find it, and every server that stands behind it. */
export function addDnsCheckCommand(program: Command): void {
  program
    .command('dns-check')
    .argument('[name]', "the managers' name; by default that of the configuration")
    .option('--config <file>', 'the site.yaml: ask as a server of that site, with its certificate')
    .option('--agent <file>', 'the agent.yaml: ask as that device, and get a lease')
    .option('--dns <server[:port]>', 'ask this DNS server instead of the usual ones', dnsServer)
    .option('--json', 'for programs', false)
    .description('look up the managers and ask every address: reachable, certificate, answer, version, configuration, clock')
    .addHelpText(
      'after',
      `
Exit code 0: all is well, perhaps with warnings. 1: something is wrong. 2: the command or a file is.

Examples:
  sekisho dns-check --config site.yaml
  sekisho dns-check manager.example.com --config site.yaml --dns 192.0.2.53
  sekisho dns-check --agent agent.yaml`,
    )
    .action(async (name: string | undefined, options: DnsCheckOptions) => {
      const asker = await askerOf(name, options);
      const found = await lookUp(asker.name, asker.servers);
      const probes = await Promise.all(found.addresses.toSorted().slice(0, MAX_MANAGERS).map((address) => asker.ask(address)));
      const findings = dnsFindings(asker.name, found, probes);
      const problems = findings.filter(({ level }) => level === 'problem').length;
      const { addresses: _, ...rest } = found;
      if (options.json) resultJson({ name: asker.name, ok: problems === 0, ...rest, addresses: probes, findings });
      else result(page(asker.name, found, probes, findings));
      if (problems > 0) throw new CommandError(`${asker.name}: ${problems === 1 ? 'one problem' : `${problems} problems`}.`);
    });
}

async function askerOf(name: string | undefined, options: DnsCheckOptions): Promise<Asker> {
  const given = options.dns === undefined ? undefined : [await resolverAddress(options.dns)];
  if (options.config !== undefined && options.agent === undefined) {
    const site = loadSite(options.config);
    const wanted = name ?? site.config.managerName;
    const init = { port: site.config.ports.manager, name: wanted, timeoutMs: PROBE_TIMEOUT_MS };
    return { name: wanted, servers: given ?? [], ask: askAsServer(siteAccess(site).context, init) };
  }
  if (options.agent === undefined || options.config !== undefined)
    throw new CommandError('Say as whom to ask, and only one of them: --config site.yaml on a server, or --agent agent.yaml as a device.', EXIT.usage);
  const { manager, mac, ca, certificate, key, dns } = loadAgent(options.agent);
  const wanted = name ?? manager.name;
  const init = { port: manager.port, name: wanted, timeoutMs: PROBE_TIMEOUT_MS };
  return { name: wanted, servers: given ?? dns.servers, ask: askAsDevice({ caPem: ca, certPem: certificate, keyPem: key }, mac, init) };
}

export function dnsServer(text: string): DnsServerPlace {
  const server = parseDnsServer(text);
  if (server === undefined) throw new InvalidArgumentError('A DNS server is needed here, such as 192.0.2.53 or [2001:db8::1]:5353.');
  return server;
}

function page(name: string, { ttlS }: LookUp, probes: readonly Probe[], findings: readonly DnsFinding[]): string {
  const addresses = probes.length === 1 ? '1 address' : `${probes.length} addresses`;
  const lines = [`${name}: ${addresses}${ttlS === undefined ? '' : `, TTL ${ttlS} s`}`];
  if (probes.length > 0) lines.push(table(['ADDRESS', 'ANSWER', 'MS', 'SITE', 'MANAGER', 'SOFTWARE', 'CERT', 'CLOCK', 'CONFIG', 'STACK', 'RELAYS'], probes.map(row)));
  return [...lines, ...findings.map(line)].join('\n');
}

function row(probe: Probe): Cell[] {
  if (!probe.ok) return [probe.address, { text: probe.kind.toUpperCase(), colour: 'red' }, probe.tookMs, '-', '-', '-', '-', '-', '-', '-', '-'];
  const { address, tookMs, site, manager, software, certificateDays, clockOffsetMs, config, stack, relays } = probe;
  const clock = clockOffsetMs === null ? '-' : `${clockOffsetMs >= 0 ? '+' : ''}${(clockOffsetMs / 1000).toFixed(1)} s`;
  return [address, { text: 'ok', colour: 'green' }, tookMs, site, manager, software ?? '-', `${certificateDays} d`, clock, config ?? '-', stack ?? '-', relays?.join(' ') ?? '-'];
}

function line({ level, about, text }: DnsFinding): string {
  const mark = level === 'problem' ? paint('red', 'PROBLEM') : paint('yellow', 'warning');
  return `${mark}  ${about === null ? '' : `${about}: `}${text}`;
}
