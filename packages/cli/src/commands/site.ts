import { constants, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Operator } from '@sekisho/auth';
import { IdentityError, MAX_RELAYS, parseSiteName } from '@sekisho/wire';
import { type Command, InvalidArgumentError } from 'commander';
import { isIP } from 'node:net';
import { makePrivateDirectory, requireAbsent, writeSecretFile } from '../files/secret-file.ts';
import { SITE_KEY_FILES, writeSiteKeys } from '../files/site-keys.ts';
import { siteYaml } from '../files/site-yaml.ts';
import { result, say } from '../output.ts';
import { days } from './days.ts';
import { addSiteDnsCommands } from './site-dns.ts';

interface SiteInitOptions {
  readonly operator: string;
  readonly site: string;
  readonly dev: boolean;
  readonly address: readonly string[];
  readonly days: number;
}

/** The two servers of a site that also manage; the rest are dedicated relays. */
const MANAGING_SERVERS = 2;

/** `sekisho site init|join|leave`; init is here: everything that a new site needs, and nothing that another site has. */
export function addSiteCommands(program: Command): void {
  const site = program.command('site').description('the sites of the mesh');
  site
    .command('init')
    .argument('<directory>', 'where to write the site')
    .requiredOption('--operator <directory>', "the operator's directory")
    .requiredOption('--site <name>', 'the name of the site, such as tokyo-1', siteName)
    .option('--address <address...>', 'the addresses of its servers', addresses)
    .option('--days <n>', 'how long its certificates are valid', days, 825)
    .option('--dev', 'a site on loopback that may relay to loopback', false)
    .description('make the certificates and the site.yaml of a site')
    .addHelpText('after', '\nExample:\n  sekisho site init ./tokyo --operator ./operator --site tokyo-1 --address 192.0.2.11 192.0.2.12')
    .action(async (directory: string, options: SiteInitOptions) => {
      await initSite(directory, options);
    });
  addSiteDnsCommands(site);
}

async function initSite(directory: string, options: SiteInitOptions): Promise<void> {
  const operator = await Operator.open(options.operator);
  const yaml = join(directory, 'site.yaml');
  const keys = join(directory, 'keys');
  const revocations = join(directory, 'revocations.crl.pem');
  // All before any is written, so that a second try finds nothing half done.
  for (const path of [yaml, revocations, ...SITE_KEY_FILES.map((name) => join(keys, name))]) requireAbsent(path);
  const issued = await operator.issueSite({ site: options.site, days: options.days });
  const given = options.address ?? [options.dev ? '127.0.0.1' : '192.0.2.11'];
  const servers = given.map((address, index) => ({
    name: `s${index + 1}`,
    address,
    roles: index < MANAGING_SERVERS ? ['manager', 'auth', 'relay'] : ['relay'],
  }));
  makePrivateDirectory(directory);
  const { managerName } = operator.settings;
  writeSecretFile(yaml, siteYaml({ site: options.site, managerName, servers, dev: options.dev }));
  writeSiteKeys(keys, issued);
  copyFileSync(join(options.operator, 'revocations.crl.pem'), revocations, constants.COPYFILE_EXCL);
  result(yaml);
  say(`Site ${options.site} is in ${directory}; its certificates hold until ${issued.manager.expiresAt.toISOString().slice(0, 10)}.`);
  if (options.address === undefined && !options.dev)
    say(`The address in ${yaml} is an example: enter those of the servers.`);
  say(`Next: sekisho check-config ${yaml}, then sekisho up --config ${yaml}${options.dev ? '' : ','}`);
  if (!options.dev) say(`and to let agents find it, its managers' addresses under ${managerName} in DNS: sekisho site join --config ${yaml}`);
}

function addresses(value: string, previous: readonly string[] | undefined): string[] {
  const before = previous ?? [];
  if (isIP(value) === 0) throw new InvalidArgumentError('An IP address is needed here, such as 192.0.2.11.');
  if (before.includes(value)) throw new InvalidArgumentError('It stands there twice; each server has its own address.');
  if (before.length >= MAX_RELAYS) throw new InvalidArgumentError(`A site has at most ${MAX_RELAYS} servers; make two sites of it.`);
  return [...before, value];
}

function siteName(text: string): string {
  try {
    return parseSiteName(text);
  } catch (error) {
    throw error instanceof IdentityError ? new InvalidArgumentError(error.message) : error;
  }
}
