import { type Command, Option } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { certificateFindings } from '../files/certificate-findings.ts';
import { type Finding, machineFindings } from '../files/machine.ts';
import { pageFindings } from '../files/page-token.ts';
import { loadSite, type Role, ROLES, type Server, withOnly } from '../files/site.ts';
import { paint, result, resultJson, say } from '../output.ts';

/** `sekisho check-config`: everything that can be known before a site is started. */
export function addCheckConfigCommand(program: Command): void {
  program
    .command('check-config')
    .argument('<site.yaml>', 'the configuration of a site')
    .option('--server <name>', 'which of its servers this machine is; by default by address')
    .addOption(new Option('--role <role>', 'only what this role needs: its keys and limits').choices(ROLES))
    .option('--json', 'for programs', false)
    .description('check a site.yaml, its keys, and whether this machine can carry what it promises')
    .addHelpText(
      'after',
      `
Exit code 0: good, perhaps with warnings. 2: a mistake in the file, or in the keys and certificates that belong to it.
1: the file is right, but this machine cannot carry it: descriptors, or a port that needs more rights.`,
    )
    .action((file: string, options: { server?: string; role?: Role; json: boolean }) => {
      const site = loadSite(file);
      const servers = site.here(options.server).map((server) => withOnly(server, options.role));
      const findings = servers.flatMap((server) => [...certificateFindings(site, server, Date.now()), ...pageFindings(site, server), ...machineFindings(site, server)]);
      if (options.json) resultJson(findings);
      else report(file, servers, findings);
      const grave = findings.filter((finding) => finding.grave);
      if (grave.length === 0) return;
      const isMistake = grave.some(({ cause }) => cause === 'configuration');
      throw new CommandError(
        isMistake
          ? `${file} and the keys beside it do not go together: mend what stands above, then check again.`
          : `${file} cannot be used on this machine as it is: mend what stands above, then check again.`,
        isMistake ? EXIT.usage : EXIT.failed,
      );
    });
}

function report(file: string, servers: readonly Server[], findings: readonly Finding[]): void {
  for (const { server, grave, message } of findings)
    say(`${paint(grave ? 'red' : 'yellow', grave ? 'error' : 'warning')}: ${server}: ${message}`);
  if (!findings.some(({ grave }) => grave)) result(`${file}: good for ${servers.map(({ name }) => name).join(', ')}`);
}
