import { StoreError } from '@sekisho/store';
import { Command, CommanderError } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { ConfigError } from './config/config-error.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import { say } from './output.ts';

/** Only the command that is asked for is loaded: a worker that replaces a dead one must not wait for the PKI. */
const LOADERS: Readonly<Record<string, (program: Command) => Promise<void>>> = {
  operator: async (program) => (await import('./commands/operator.ts')).addOperatorCommands(program),
  'dns-check': async (program) => (await import('./commands/dns-check.ts')).addDnsCheckCommand(program),
  site: async (program) => (await import('./commands/site.ts')).addSiteCommands(program),
  device: async (program) => (await import('./commands/device.ts')).addDeviceCommands(program),
  check: async (program) => (await import('./commands/check.ts')).addCheckCommands(program),
  'check-config': async (program) => (await import('./commands/check-config.ts')).addCheckConfigCommand(program),
  up: async (program) => (await import('./commands/up.ts')).addUpCommand(program),
  manager: async (program) => (await import('./commands/run.ts')).addRunCommand(program, 'manager'),
  relay: async (program) => (await import('./commands/run.ts')).addRunCommand(program, 'relay'),
  auth: async (program) => (await import('./commands/run.ts')).addRunCommand(program, 'auth'),
  outbreak: async (program) => (await import('./commands/outbreak.ts')).addOutbreakCommands(program),
  'relay-worker': async (program) => (await import('./commands/run.ts')).addRelayWorkerCommand(program),
  agent: async (program) => (await import('./commands/agent.ts')).addAgentCommand(program),
  intercept: async (program) => (await import('./commands/intercept.ts')).addInterceptCommands(program),
  status: async (program) => (await import('./commands/status.ts')).addStatusCommand(program),
  'upgrade-check': async (program) => (await import('./commands/upgrade-check.ts')).addUpgradeCheckCommand(program),
  table: async (program) => (await import('./commands/table.ts')).addTableCommands(program),
  page: async (program) => (await import('./commands/page.ts')).addPageCommands(program),
  plan: async (program) => (await import('./commands/plan.ts')).addPlanCommand(program),
  trace: async (program) => (await import('./commands/trace.ts')).addTraceCommand(program),
  load: async (program) => (await import('./commands/load.ts')).addLoadCommand(program),
  'load-worker': async (program) => (await import('./commands/load.ts')).addLoadWorkerCommand(program),
};

const program = new Command('sekisho')
  .description('A masterless, multi-site relay mesh for mail.')
  .version(manifest.version)
  .configureHelp({ showGlobalOptions: false })
  .showHelpAfterError('(run it with --help for what it takes)')
  .exitOverride();

const wanted = LOADERS[process.argv[2] ?? ''];
for (const load of wanted === undefined ? Object.values(LOADERS) : [wanted]) await load(program);

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough, as in `sekisho device list | head`, is no failure.
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** Says what went wrong, for people, and returns the exit code for scripts. */
function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
  if (error instanceof ConfigError) {
    say(error.message);
    return EXIT.usage;
  }
  if (error instanceof CommandError) {
    say(`sekisho: ${error.message}`);
    return error.exitCode;
  }
  // By name, since its class is only loaded by the commands that use it.
  if (error instanceof StoreError || (error instanceof Error && error.name === 'PkiError')) {
    say(`sekisho: ${error.message}`);
    return EXIT.failed;
  }
  // Of the system: no permission, no space, address in use. Its message names the call and the path.
  if (error instanceof Error && 'syscall' in error) {
    say(`sekisho: ${error.message}`);
    return EXIT.failed;
  }
  throw error;
}
