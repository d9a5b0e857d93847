import type { Command } from 'commander';
import { loadSite } from '../files/site.ts';
import { ProcessTree } from '../roles/process-tree.ts';
import { createLogger } from '@sekisho/telemetry';

/** `sekisho up`: all roles of this machine as processes of one tree. */
export function addUpCommand(program: Command): void {
  program
    .command('up')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'which of its servers this is; by default all whose address is here')
    .description('run everything that this machine is in a site: auth, manager and relay')
    .action(async ({ config, server }: { config: string; server?: string }) => {
      const site = loadSite(config);
      const log = createLogger({ role: 'up', site: site.config.site, level: site.config.log.level });
      // Auth first, then relays: a manager that starts last finds both.
      const order = ['auth', 'relay', 'manager'] as const;
      const here = site.here(server);
      const jobs = order.flatMap((role) => here.filter(({ roles }) => roles.includes(role)).map(({ name }) => ({ role, name })));
      const tree = new ProcessTree(
        { log },
        jobs.map(({ role, name }) => ({ name: `${name}/${role}`, args: [role, '--config', site.file, '--server', name] })),
      );
      log.info({ event: 'up', processes: jobs.length }, `site ${site.config.site} comes up; see how it is: sekisho status --config ${config}`);
      await tree.run();
    });
}
