import { StoreError } from '@sekisho/store';
import { Command, CommanderError } from 'commander';
import { PkiError } from '@sekisho/auth';
import manifest from '../package.json' with { type: 'json' };
import { addCheckConfigCommand } from './commands/check-config.ts';
import { addDeviceCommands } from './commands/device.ts';
import { addOperatorCommands } from './commands/operator.ts';
import { addSiteCommands } from './commands/site.ts';
import { ConfigError } from './config/config-error.ts';
import { CommandError, EXIT } from './exit-codes.ts';
import { say } from './output.ts';

const program = new Command('sekisho')
  .description('A masterless, multi-site relay mesh for mail.')
  .version(manifest.version)
  .configureHelp({ sortSubcommands: false, showGlobalOptions: false })
  .showHelpAfterError('(run it with --help for what it takes)')
  .exitOverride();

addOperatorCommands(program);
addSiteCommands(program);
addDeviceCommands(program);
addCheckConfigCommand(program);

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
  if (error instanceof PkiError || error instanceof StoreError) {
    say(`sekisho: ${error.message}`);
    return EXIT.failed;
  }
  throw error;
}
