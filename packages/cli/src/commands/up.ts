import type { Command } from 'commander';
import { loadSite, type Role } from '../files/site.ts';
import { Notifier } from '../roles/notify.ts';
import { ProcessTree } from '../roles/process-tree.ts';
import { AFTER_DRAIN_MS } from '../roles/run.ts';
import { SelfCheck } from '../roles/self-check.ts';
import { createLogger, type Logger } from '@sekisho/telemetry';

/** `sekisho up`: all roles of this machine as processes of one tree. */
export function addUpCommand(program: Command): void {
  program
    .command('up')
    .requiredOption('--config <file>', 'the site.yaml')
    .option('--server <name>', 'which of its servers this is; by default all whose address is here')
    .description('run everything that this machine is in a site: auth, manager, relay and the watch for outbreaks')
    .action(async ({ config, server }: { config: string; server?: string }) => {
      const site = loadSite(config);
      const log = createLogger({ role: 'up', site: site.config.site, level: site.config.log.level });
      const notifier = Notifier.fromEnvironment({ log }, process.env, process.pid);
      const here = site.here(server);
      const jobs = (role: Role) =>
        here
          .filter(({ roles }) => roles.includes(role))
          .map(({ name }) => ({ name: `${name}/${role}`, args: [...commandOf(role), '--config', site.file, '--server', name] }));
      // A manager that starts last finds auths and relays.
      const waves = [[...jobs('auth'), ...jobs('relay'), ...jobs('outbreak')], jobs('manager')];
      const tree = new ProcessTree({ log }, waves);
      log.info({ event: 'up', processes: waves.flat().length }, `site ${site.config.site} comes up; see how it is: sekisho status --config ${config}`);
      if (notifier !== undefined) announce(tree, notifier, log, site.config.relay.drainTimeout);
      await tree.run();
    });
}

/** Tells the service manager: ready when every process is, alive while those that are not can be mended, stopping. */
function announce(tree: ProcessTree, notifier: Notifier, log: Logger, drainTimeoutMs: number): void {
  const { watchdogIntervalMs: intervalMs } = notifier;
  const watch = intervalMs === undefined ? undefined : new SelfCheck({ log, notifier, role: tree }, { intervalMs });
  void tree.ready().then(() => notifier.ready(tree.statusLine()));
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      watch?.drain();
      notifier.stopping('draining', drainTimeoutMs + AFTER_DRAIN_MS);
    });
}

/** The watch has other commands as well. */
function commandOf(role: Role): string[] {
  return role === 'outbreak' ? ['outbreak', 'run'] : [role];
}
