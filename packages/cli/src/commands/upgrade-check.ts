import { ChannelError, greet, secureContext } from '@sekisho/channel';
import { sqliteSchema } from '@sekisho/store';
import { printable } from '@sekisho/telemetry';
import { type Command, Option } from 'commander';
import manifest from '../../package.json' with { type: 'json' };
import { CommandError, EXIT } from '../exit-codes.ts';
import { certificateFindings } from '../files/certificate-findings.ts';
import { machineFindings } from '../files/machine.ts';
import { askManagers } from '../files/managers.ts';
import { readCredentials } from '../files/site-keys.ts';
import { loadSite, type Role, ROLES, type Server, type Site, withOnly } from '../files/site.ts';
import { siteFindings, type UpgradeFinding } from '../files/upgrade-findings.ts';
import { type Cell, result, resultJson, table } from '../output.ts';

interface UpgradeOptions {
  readonly config: string;
  readonly server?: string;
  readonly role?: Role;
  readonly drained: boolean;
  readonly json: boolean;
}

/** For TCP, TLS and hello of one manager. */
const GREET_TIMEOUT_MS = 3000;

/** `sekisho upgrade-check`: whether one server of a site may be taken out now, asked of the software that is to replace the old. */
export function addUpgradeCheckCommand(program: Command): void {
  program
    .command('upgrade-check')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'which server is to be taken out; by default this machine')
    .addOption(new Option('--role <role>', 'of this machine, look only at what this role needs: in a container with the files of one role').choices(ROLES))
    .option('--drained', 'may it be stopped now: its relay is drained and has no session', false)
    .option('--json', 'for programs', false)
    .description('say whether a server can be taken out now to replace its software, and what to do first')
    .addHelpText(
      'after',
      `
Run it on a server with a manager, best with the new software: it also looks whether that understands the one that runs.
Exit code 0: yes, perhaps with warnings. 1: not now. 69: no manager of this machine answers.

Examples:
  sekisho upgrade-check --config site.yaml --server s3
  sekisho table drain s3 --config site.yaml
  until sekisho upgrade-check --config site.yaml --server s3 --drained; do sleep 5; done`,
    )
    .action(async (options: UpgradeOptions) => {
      const site = loadSite(options.config);
      const server = serverOf(site, options.server);
      const asked = await askManagers(site, undefined);
      // Another manager than the one that goes, where there is one here: it will be asked again while that is away.
      const [status] = asked.flatMap((one) => one.status ?? []).toSorted((a, b) => Number(a.name === server.name) - Number(b.name === server.name));
      if (status === undefined)
        throw new CommandError(asked.map(({ problem }) => problem).join('\n') || 'No manager of this machine answers.', EXIT.unavailable);
      const question = { server, drained: options.drained, options: `--config ${options.config}` };
      const findings = [...siteFindings(status, question), ...(await ownFindings(site, server, options.role))];
      const isFine = findings.every(({ level }) => level !== 'stop');
      if (options.json) resultJson({ site: site.config.site, server: server.name, version: manifest.version, asked: status.name, ok: isFine, findings });
      else report(site, server, findings);
      const what = options.drained ? 'stopped' : 'taken out';
      if (!isFine) throw new CommandError(`site ${site.config.site}, server ${server.name}: is not to be ${what} now; see what stands above.`);
    });
}

function serverOf(site: Site, name: string | undefined): Server {
  const [server, ...more] = site.here(name);
  if (server === undefined || more.length > 0)
    throw new CommandError(`${[server, ...more].map((one) => one?.name).join(' and ')} are both this machine. Say which: --server NAME`, EXIT.usage);
  return server;
}

/** What this software and this machine have to say: keys, limits, the store's file, and whether the running managers understand it. */
async function ownFindings(site: Site, server: Server, role: Role | undefined): Promise<UpgradeFinding[]> {
  const here = site.here(undefined).find(({ name }) => name === server.name);
  const local = here === undefined ? undefined : withOnly(here, role);
  const checks = local === undefined ? [] : [...certificateFindings(site, local, Date.now()), ...machineFindings(site, local)];
  const found = checks.map(({ cause, grave, message }): UpgradeFinding => ({ check: cause === 'configuration' ? 'keys' : 'machine', level: grave ? 'stop' : 'warning', message }));
  return [...found, ...schemaFindings(site), ...(await protocolFindings(site))];
}

function schemaFindings(site: Site): UpgradeFinding[] {
  const schema = site.sqliteFile === undefined ? undefined : sqliteSchema(site.sqliteFile);
  if (schema === undefined || schema.has === schema.speaks) return [];
  const message =
    schema.has > schema.speaks
      ? `${site.sqliteFile} has schema ${schema.has}, and this software speaks ${schema.speaks}: it is older than what ran here. Take the newer one, or move the file away; what is in it is made anew.`
      : `${site.sqliteFile} goes from schema ${schema.has} to ${schema.speaks}: to go back to the old software, move it away`;
  return [{ check: 'schema', level: schema.has > schema.speaks ? 'stop' : 'warning', message }];
}

/** Says hello to every manager of the site as this software does. One that is not there is another finding's concern. */
async function protocolFindings(site: Site): Promise<UpgradeFinding[]> {
  const role = site.here(undefined).some(({ roles }) => roles.includes('manager')) ? 'manager' : 'relay';
  const context = secureContext(readCredentials(site.keysDirectory, role));
  const greeted = site.withRole('manager').map(async ({ name, address }): Promise<UpgradeFinding[]> => {
    try {
      const { software, version } = await greet({
        host: address,
        port: site.config.ports.manager,
        context,
        expect: { role: 'manager', site: site.config.site },
        timeoutMs: GREET_TIMEOUT_MS,
      });
      return [{ check: 'protocol', level: 'ok', message: `${name} (${printable(software)}) understands this software (${manifest.version}): version ${version}` }];
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      if (error.code === 'UNREACHABLE' || error.code === 'TIMEOUT') return [];
      return [{ check: 'protocol', level: 'stop', message: `${name} and this software (${manifest.version}) do not understand each other: ${printable(error.message)}` }];
    }
  });
  return (await Promise.all(greeted)).flat();
}

const MARKS: Readonly<Record<UpgradeFinding['level'], Cell>> = {
  ok: { text: 'ok', colour: 'green' },
  warning: { text: 'warning', colour: 'yellow' },
  stop: { text: 'STOP', colour: 'red' },
};

function report(site: Site, server: Server, findings: readonly UpgradeFinding[]): void {
  result(`site ${site.config.site}, server ${server.name} (${server.roles.join(', ')})`);
  result(table(['', 'CHECK', 'FOUND'], findings.map(({ level, check, message }) => [MARKS[level], check, message])));
}
