import type { Command } from 'commander';
import { CommandError, EXIT } from '../exit-codes.ts';
import { loadSite, type Role } from '../files/site.ts';

const DESCRIPTIONS: Readonly<Record<Role, string>> = {
  manager: 'run the manager of a server: it tells agents which relay to use',
  auth: 'run the auth of a server: it admits devices and issues tickets',
  relay: 'run the relay of a server: it carries the mail',
  outbreak: 'run the watch of a server: it counts detections, and sends the alerts',
};

interface RunOptions {
  readonly config: string;
  readonly server?: string;
}

/** `sekisho manager|relay|auth` and `sekisho outbreak run`: one role, as the servers of a site run them. */
export function addRunCommand(program: Command, role: Role, name: string = role): void {
  program
    .command(name)
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'which of its servers this is; by default by address')
    .description(DESCRIPTIONS[role])
    .action(async ({ config, server }: RunOptions) => {
      const site = loadSite(config);
      const own = site.here(server).filter(({ roles }) => roles.includes(role));
      const [first] = own;
      if (first === undefined) throw new CommandError(`In ${config} no server that is this machine has the role ${role}.`, EXIT.usage);
      if (own.length > 1)
        throw new CommandError(`${own.map(({ name }) => name).join(' and ')} are both this machine. Say which: --server NAME`, EXIT.usage);
      const { runSiteRole } = await import('../roles/site-roles.ts');
      await runSiteRole(site, first, role);
    });
}

/** The process that a relay's supervisor starts for each core; not for people. */
export function addRelayWorkerCommand(program: Command): void {
  program.command('relay-worker', { hidden: true }).action(async () => {
    const { countBuffersAsHeap } = await import('../roles/heap.ts');
    const { runRelayWorker } = await import('@sekisho/relay');
    countBuffersAsHeap();
    await runRelayWorker();
  });
}
