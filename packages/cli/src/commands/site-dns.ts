import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolve } from 'node:path';
import { ChannelError, greet, secureContext } from '@sekisho/channel';
import { type Command, InvalidArgumentError } from 'commander';
import { type DnsServerPlace, type LookUp, lookUp, resolverAddress } from '../dns/look-up.ts';
import { nsupdate } from '../dns/nsupdate.ts';
import { type Ask, askAsServer } from '../dns/probe.ts';
import { joinObjections, leaveObjections } from '../dns/site-objections.ts';
import { updateScript, type ZoneChange, zoneLines } from '../dns/zone-change.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { requirePrivate } from '../files/secret-file.ts';
import { readCredentials } from '../files/site-keys.ts';
import { loadSite, type Site } from '../files/site.ts';
import { result, resultJson, say } from '../output.ts';
import { dnsServer, PROBE_TIMEOUT_MS } from './dns-check.ts';

interface SiteDnsOptions {
  readonly config: string;
  readonly zone?: string;
  readonly ttl: number;
  readonly server?: DnsServerPlace;
  readonly tsigKey?: string;
  readonly nsupdate: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly force?: boolean;
  readonly confirm?: string;
}

const STANDARD_TTL_S = 60;
const MAX_TTL_S = 86_400;
/** A primary shows an update at once, one with helpers behind it soon. */
const VERIFY_MS = 5000;
const VERIFY_PAUSE_MS = 200;

/** `sekisho site join|leave`: the one change of DNS by which agents find a site, or leave it. */
export function addSiteDnsCommands(site: Command): void {
  withOptions(site.command('join'))
    .option('--force', 'also when the site is not ready', false)
    .description("enter the site's managers under the managers' name, so that agents find them")
    .addHelpText('after', example('join'))
    .action((options: SiteDnsOptions) => changeZone('join', options));
  withOptions(site.command('leave'))
    .option('--confirm <site>', 'the name of the site, to take out even the last managers that answer')
    .description("take the site's managers out of the managers' name; agents leave within the TTL, conversations finish")
    .addHelpText('after', example('leave'))
    .action((options: SiteDnsOptions) => changeZone('leave', options));
}

function withOptions(command: Command): Command {
  return command
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <server[:port]>', "the zone's primary DNS server; asked what the name has now, and with --tsig-key told the change", dnsServer)
    .option('--tsig-key <file>', 'the key that may change the name, as tsig-keygen writes it')
    .option('--nsupdate', 'make the change also without a key, where the server trusts this address', false)
    .option('--zone <name>', 'the zone; by default nsupdate finds it', zoneName)
    .option('--ttl <seconds>', 'of the records', ttl, STANDARD_TTL_S)
    .option('--dry-run', 'change nothing; say what would be done, or why it is refused', false)
    .option('--json', 'for programs', false);
}

function example(kind: ZoneChange['kind']): string {
  return `
Without --server and --tsig-key the change is printed, in a form that nsupdate reads; the zone's own lines stand in it behind ";".

Examples:
  sekisho site ${kind} --config site.yaml
  sekisho site ${kind} --config site.yaml --server 192.0.2.53 --tsig-key /etc/sekisho/dns.key`;
}

async function changeZone(kind: ZoneChange['kind'], options: SiteDnsOptions): Promise<void> {
  const site = loadSite(options.config);
  checkOptions(site, options);
  const servers = options.server === undefined ? [] : [await resolverAddress(options.server)];
  const name = site.config.managerName;
  const now = await lookUp(name, servers);
  const own = site.withRole('manager').map(({ address }) => address);
  // Of a DNS that says nothing nobody knows who is there.
  const addresses = own.filter((address) => now.unanswered.length > 0 || now.addresses.includes(address) === (kind === 'leave'));
  const change: ZoneChange = { kind, name, addresses, ttlS: options.ttl };
  if (addresses.length === 0) return done(site, change, options, 'nothing to do');
  await refuseUnlessReady(site, change, now, options);
  const script = updateScript(change, {
    server: options.server,
    zone: options.zone,
    ...(kind === 'leave' && options.confirm === undefined ? { unlessChangedFrom: now.addresses } : {}),
  });
  if (!options.json) printChange(site, change, script);
  const isDone = (options.tsigKey !== undefined || options.nsupdate) && !options.dryRun;
  if (isDone) {
    await nsupdate(script, options.tsigKey);
    await verify(change, own, servers);
  }
  done(site, change, options, isDone ? 'done' : 'printed', script);
}

function checkOptions(site: Site, { server, tsigKey, nsupdate: withoutKey, confirm }: SiteDnsOptions): void {
  const own = site.config.site;
  if (confirm !== undefined && confirm !== own)
    throw new CommandError(`--confirm takes the name of the site, which is ${own}. Nothing was changed; is this the right machine?`, EXIT.usage);
  if (server === undefined && (tsigKey !== undefined || withoutKey))
    throw new CommandError('Whom to tell the change? Name the primary DNS server of the zone with --server.', EXIT.usage);
  if (tsigKey === undefined) return;
  if (!existsSync(tsigKey)) throw new CommandError(`${tsigKey} is missing. tsig-keygen makes such a key, for the DNS server and for here: docs/dns.md.`, EXIT.usage);
  requirePrivate(resolve(tsigKey));
}

/** Throws CommandError when agents would be worse off after the change than before. */
async function refuseUnlessReady(site: Site, change: ZoneChange, now: LookUp, options: SiteDnsOptions): Promise<void> {
  const { config } = site;
  if (options.force === true || options.confirm !== undefined) return;
  const credentials = readCredentials(site.keysDirectory, 'manager');
  const context = secureContext(credentials);
  const ask: Ask = askAsServer(context, { port: config.ports.manager, name: config.managerName, timeoutMs: PROBE_TIMEOUT_MS });
  const own = new Set(site.withRole('manager').map(({ address }) => address));
  const [ours, others] = await Promise.all([
    Promise.all([...own].map((address) => ask(address))),
    Promise.all(now.addresses.filter((address) => !own.has(address)).map((address) => ask(address))),
  ]);
  const objections =
    change.kind === 'join'
      ? joinObjections({ site: config.site, about: site.about, ours, others, relaysUp: await relaysUp(site, context) })
      : leaveObjections({ others, unanswered: now.unanswered });
  if (objections.length === 0) return;
  const { kind, name, addresses, ttlS } = change;
  if (options.json) resultJson({ site: config.site, name, change: kind, addresses, ttlS, outcome: 'refused', objections, nsupdate: [] });
  const anyway = change.kind === 'join' ? '--force joins nevertheless' : `--confirm=${config.site} leaves nevertheless`;
  throw new CommandError([`site ${config.site} does not ${change.kind} ${config.managerName}:`, ...objections.map((text) => `  ${text}`), `Nothing was changed; ${anyway}.`].join('\n'));
}

async function relaysUp(site: Site, context: ReturnType<typeof secureContext>): Promise<number> {
  const { config } = site;
  const answers = site.withRole('relay').map(async ({ address }) => {
    try {
      const expect = { role: 'relay', site: config.site } as const;
      await greet({ host: address, port: config.ports.relayControl, context, expect, timeoutMs: PROBE_TIMEOUT_MS });
      return 1;
    } catch (error) {
      if (error instanceof ChannelError) return 0;
      throw error;
    }
  });
  return (await Promise.all(answers)).reduce<number>((sum, up) => sum + up, 0);
}

function printChange(site: Site, change: ZoneChange, script: readonly string[]): void {
  const what = change.kind === 'join' ? `joins ${change.name}; into the zone` : `leaves ${change.name}; out of the zone`;
  result([`; site ${site.config.site} ${what}:`, ...zoneLines(change).map((text) => `; ${text}`), ...script].join('\n'));
}

/** Asks the server that was updated until it says what it was told. Throws CommandError. */
async function verify({ kind, name }: ZoneChange, own: readonly string[], servers: readonly string[]): Promise<void> {
  const untilMs = performance.now() + VERIFY_MS;
  for (;;) {
    const { addresses, unanswered } = await lookUp(name, servers);
    const there = own.filter((address) => addresses.includes(address)).length;
    if (unanswered.length === 0 && there === (kind === 'join' ? own.length : 0)) return;
    if (performance.now() > untilMs)
      throw new CommandError(`The server took the change of ${name} and does not show it: ${addresses.join(', ') || 'no addresses'}. Look at its views and its log.`);
    await sleep(VERIFY_PAUSE_MS);
  }
}

function done(site: Site, { kind, name, addresses, ttlS }: ZoneChange, options: SiteDnsOptions, outcome: 'nothing to do' | 'printed' | 'done', script: readonly string[] = []): void {
  const own = site.config.site;
  if (options.json) resultJson({ site: own, name, change: kind, addresses, ttlS, outcome, nsupdate: script });
  const texts: Readonly<Record<typeof outcome, string>> = {
    'nothing to do': kind === 'join' ? `site ${own}: ${name} has all its managers already.` : `site ${own}: ${name} has none of its managers.`,
    printed: options.dryRun ? `site ${own}: nothing was changed.` : `site ${own}: nothing was changed yet; make this change in the zone, or name --server and --tsig-key.`,
    done:
      kind === 'join'
        ? `site ${own}: joined. Agents that look for a manager find it from now on, the others within the TTL. Next: sekisho dns-check --config ${options.config}`
        : `site ${own}: left. Its agents go to other sites within the TTL (${ttlS} s if that of the zone is the same); keep its servers running until sekisho status shows no agents and no sessions.`,
  };
  say(texts[outcome]);
}

/** It becomes a line of what nsupdate is told. */
function zoneName(text: string): string {
  if (!/^[a-z0-9_][a-z0-9_.-]{0,253}$/iu.test(text)) throw new InvalidArgumentError('The name of a zone is needed here, such as example.com.');
  return text;
}

function ttl(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/u.test(text) || value < 1 || value > MAX_TTL_S) throw new InvalidArgumentError(`Seconds are needed here, from 1 to ${MAX_TTL_S}.`);
  return value;
}
