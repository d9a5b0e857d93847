import { readdirSync } from 'node:fs';
import { isIP } from 'node:net';
import { cpus, release, type } from 'node:os';
import { join } from 'node:path';
import type { AgentSettings } from '@sekisho/agent';
import type { LoadSettings, Mix, MixName, ServerInit, Target, Traffic, Way } from '@sekisho/simulator';
import { CommandError, EXIT } from '../exit-codes.ts';
import { loadAgent } from '../files/agent.ts';
import type { Forward, Relay, Watched } from './load-arguments.ts';

/** What commander makes of the command line. */
export interface LoadOptions {
  readonly direct: boolean;
  readonly agent: readonly Forward[];
  readonly devices?: string;
  readonly offices?: number;
  readonly relay: readonly Relay[];
  readonly serveAt: string;
  readonly smtpPort: number;
  readonly pop3Port: number;
  readonly clients: number;
  readonly rate?: number;
  readonly think: number;
  readonly mix: MixName;
  readonly size?: number;
  readonly fetch?: number;
  readonly bulk: boolean;
  readonly clientRate?: number;
  readonly tls: boolean;
  readonly duration: number;
  readonly warmUp: number;
  readonly timeout: number;
  readonly processes: number;
  readonly seed: number;
  readonly watch: readonly Watched[];
  readonly iOwnThisTarget: readonly string[];
  readonly json: boolean;
  readonly html?: string;
}

/** From what people write to what a run is told. Throws CommandError for what contradicts itself. */
export async function loadSettings(options: LoadOptions): Promise<LoadSettings> {
  const { meanBytes, MIXES, processExists } = await import('@sekisho/simulator');
  const { agentSettings } = await import('../roles/settings.ts');
  const named: Mix = MIXES[options.mix];
  const sizes = options.size === undefined ? named.sizes : [{ share: 1, bytes: options.size }];
  const mix = { sizes, fetchShare: options.fetch ?? (options.size === undefined ? named.fetchShare : 0) };
  const gone = options.watch.find(({ pid }) => !processExists(pid));
  if (gone !== undefined) throw new CommandError(`--watch ${gone.name}=${gone.pid}: there is no such process.`, EXIT.usage);
  const { way, servers } = wayOf(options, mix, (file) => agentSettings(loadAgent(file)));
  const traffic = trafficOf(options, mix);
  return {
    processes: options.processes,
    seed: options.seed,
    traffic,
    way,
    servers,
    tls: options.tls,
    warmUpMs: options.warmUp,
    durationMs: options.duration,
    watch: options.watch,
    ownTargets: options.iOwnThisTarget,
    conditions: conditions(options, mix, meanBytes(mix)),
  };
}

function trafficOf(options: LoadOptions, mix: Mix): Traffic {
  if (options.bulk && options.rate !== undefined) throw new CommandError('--bulk and --rate: a session of --bulk lasts until the end, so no new ones begin. Give one of them.', EXIT.usage);
  if (options.rate !== undefined && options.think > 0) throw new CommandError('--rate and --think: with a rate nobody waits for the session before. Give one of them.', EXIT.usage);
  return {
    clients: options.clients,
    loop: options.rate === undefined ? { kind: 'closed', thinkMs: options.think } : { kind: 'open', perSecond: options.rate },
    mix,
    bulk: options.bulk,
    clientBytesPerSecond: options.clientRate === undefined ? undefined : (options.clientRate * 1e6) / 8,
    timeoutMs: options.timeout,
  };
}

/** The way in, and the servers that are needed at its end. */
type ReadDevice = (file: string) => AgentSettings;

function wayOf(options: LoadOptions, mix: Mix, read: ReadDevice): { way: Way; servers: ServerInit[] } {
  const { direct, agent, devices, relay: relays } = options;
  if ([direct, agent.length > 0, devices !== undefined].filter(Boolean).length !== 1)
    throw new CommandError('Give one way in: --direct, --agent or --devices. See sekisho load --help', EXIT.usage);
  if (devices === undefined && (relays.length > 0 || options.offices !== undefined))
    throw new CommandError('--relay and --offices go with --devices: a ticket is needed, which only an enrolled device gets.', EXIT.usage);
  if (agent.length > 0) return throughListeners(agent, mix, options.tls);
  const servers: ServerInit[] = [];
  if (mix.fetchShare < 1) servers.push({ protocol: 'smtp', host: options.serveAt, port: options.smtpPort });
  if (mix.fetchShare > 0) servers.push({ protocol: 'pop3', host: options.serveAt, port: options.pop3Port });
  if (devices === undefined) return { way: { kind: 'direct' }, servers };
  return { way: { kind: 'agents', agents: agentsOf(devices, options, read) }, servers };
}

function throughListeners(forwards: readonly Forward[], mix: Mix, tls: boolean): { way: Way; servers: ServerInit[] } {
  const servers = new Map<string, ServerInit>();
  const targets = { send: [] as Target[], fetch: [] as Target[] };
  for (const { listen, destination, protocol } of forwards) {
    const text = `${destination.host}:${destination.port}/${protocol}`;
    if (protocol.startsWith('imap')) throw new CommandError(`--agent …=${text}: IMAP is not simulated; SMTP and POP3 are.`, EXIT.usage);
    if (protocol.endsWith('s') !== tls)
      throw new CommandError(`--agent …=${text}: ${tls ? 'with --tls the protocol is smtps or pop3s' : 'smtps and pop3s need --tls'}.`, EXIT.usage);
    if (isIP(destination.host) === 0)
      throw new CommandError(`--agent …=${text}: the simulated server listens there, so an address of this machine is needed, and not a name.`, EXIT.usage);
    const isSmtp = protocol.startsWith('smtp');
    servers.set(text, { protocol: isSmtp ? 'smtp' : 'pop3', ...destination });
    targets[isSmtp ? 'send' : 'fetch'].push(listen);
  }
  const missing = mix.fetchShare < 1 && targets.send.length === 0 ? 'smtp' : mix.fetchShare > 0 && targets.fetch.length === 0 ? 'pop3' : undefined;
  if (missing !== undefined)
    throw new CommandError(`${(mix.fetchShare * 100).toFixed(0)} % of the sessions fetch by POP3, and no --agent leads to ${missing}. Give one, or --fetch ${missing === 'pop3' ? 0 : 1}.`, EXIT.usage);
  return { way: { kind: 'listeners', targets }, servers: [...servers.values()] };
}

function agentsOf(directory: string, { offices, relay: relays, processes }: LoadOptions, read: ReadDevice): AgentSettings[] {
  const files = readdirSync(directory).filter((name) => /\.ya?ml$/u.test(name)).sort();
  const wanted = offices ?? files.length;
  if (files.length === 0) throw new CommandError(`${directory} has no agent.yaml files; sekisho device enroll makes them, one a device.`, EXIT.usage);
  if (wanted > files.length) throw new CommandError(`--offices ${wanted}: ${directory} has ${files.length} devices. Enroll more (sekisho device enroll).`, EXIT.usage);
  if (wanted < processes) throw new CommandError(`${processes} processes need at least as many offices; there are ${wanted}.`, EXIT.usage);
  return files.slice(0, wanted).map((name) => ({ ...read(join(directory, name)), ...(relays.length > 0 ? { relays } : {}) }));
}

/** What decides the result, as it stands in the report. */
function conditions(options: LoadOptions, mix: Mix, meanBytes: number): Record<string, string> {
  const { direct, agent, devices, relay: relays, clients, rate, think, bulk, clientRate } = options;
  const loop = rate === undefined ? `${clients} clients at once, ${think === 0 ? 'without pauses' : `${think} ms of pause on average`}` : `${rate} sessions/s, at most ${clients} at once`;
  return {
    'way in': direct ? 'direct' : agent.length > 0 ? `${agent.length} listener(s) of running agents` : `agents of ${devices ?? ''} in the load processes${options.offices === undefined ? '' : `, ${options.offices} of them`}`,
    ...(relays.length > 0 ? { relays: relays.map(({ name, host, port }) => `${name}=${host}:${port}`).join(', ') } : {}),
    clients: bulk ? `${clients} at once, mail after mail${clientRate === undefined ? '' : `, each at most ${clientRate} Mbit/s`}` : loop,
    mails: `${options.size === undefined ? options.mix : 'one size'}: ${mix.sizes.map(({ share, bytes }) => `${+(share * 100).toFixed(1)} % ${bytes} B`).join(', ')}; mean ${Math.round(meanBytes)} B; ${+(mix.fetchShare * 100).toFixed(1)} % of the sessions fetch`,
    tls: options.tls ? 'from the first byte' : 'none',
    processes: `${options.processes}, seed ${options.seed}`,
    machine: `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'CPU'}, Node ${process.versions.node}, ${type()} ${release()}`,
  };
}
