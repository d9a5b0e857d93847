import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import type { InterceptConfig } from '../config/intercept-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { loadAgent } from '../files/agent.ts';
import { downCommands, type Family, listRules, releaseCommands, type RoutingRule, type SystemCommand, upCommands } from '../intercept/commands.ts';
import { ruleset } from '../intercept/ruleset.ts';
import { runSystem } from '../intercept/run-system.ts';
import { result, say } from '../output.ts';

/** There when the kernel has it, and it is not turned off. */
const IPV6 = '/proc/net/if_inet6';

interface Options {
  readonly dryRun: boolean;
}

/** `sekisho intercept`: the rules that bring the office's mail to the agent of this machine. */
export function addInterceptCommands(program: Command): void {
  const intercept = program.command('intercept').description("the rules that bring the office's mail to the agent, by intercept: of agent.yaml");
  intercept
    .command('rules')
    .requiredOption('--config <file>', 'the agent.yaml of this device')
    .description('print the rules in the language of nft, and change nothing')
    .addHelpText('after', '\nExample:\n  sekisho intercept rules --config agent.yaml | nft --check -f -')
    .action(({ config }: { config: string }) => result(ruleset(required(config)).trimEnd()));
  changing(intercept.command('up'))
    .requiredOption('--config <file>', 'the agent.yaml of this device')
    .description('set the rules, or set them anew; as root. Without intercept: in agent.yaml nothing is done')
    .action(({ config, dryRun }: Options & { config: string }) => up(loadAgent(config).intercept, dryRun));
  changing(intercept.command('release'))
    .description('new connections go untouched from now on, those that the agent has go on; before it is stopped')
    .action(({ dryRun }: Options) => release(dryRun));
  changing(intercept.command('down'))
    .description('remove the rules and everything that belongs to them')
    .action(({ dryRun }: Options) => {
      run(downCommands(existsSync(IPV6) ? [4, 6] : [4]), dryRun);
      if (!dryRun) say('Interception is off: mail goes untouched.');
    });
}

function changing(command: Command): Command {
  return command.option('--dry-run', 'print what would be run, and change nothing', false);
}

function required(file: string): InterceptConfig {
  const { intercept } = loadAgent(file);
  if (intercept === undefined)
    throw new CommandError(`${file} has no intercept: section. It needs at least intercept.interfaces; docs/interception.md says how.`, EXIT.usage);
  return intercept;
}

function up(config: InterceptConfig | undefined, dryRun: boolean): void {
  if (config === undefined) return say('agent.yaml has no intercept: section: there is nothing to set.');
  for (const name of config.interfaces)
    if (!existsSync(`/sys/class/net/${name}`)) say(`There is no interface ${name} now; its clients are intercepted when there is one.`);
  if (config.ipv6 && !existsSync(IPV6)) throw new CommandError('This machine has no IPv6: set intercept.ipv6: false in agent.yaml.', EXIT.unavailable);
  run(upCommands(config, rulesOf), dryRun);
  if (!dryRun) say(`Interception is on: ${config.interfaces.join(', ')}, ports ${config.ports.join(', ')}.`);
}

function release(dryRun: boolean): void {
  try {
    run(releaseCommands(), dryRun);
  } catch (error) {
    if (!(error instanceof CommandError && error.message.includes('No such file or directory'))) throw error;
    return say('There was no interception to be released.');
  }
  if (!dryRun) say('New connections go untouched; `sekisho intercept down` when the agent has ended.');
}

function rulesOf(family: Family): readonly RoutingRule[] {
  const listed: unknown = JSON.parse(runSystem(listRules(family)) || '[]');
  return Array.isArray(listed) ? listed : [];
}

function run(commands: readonly SystemCommand[], dryRun: boolean): void {
  for (const command of commands) {
    if (dryRun) result(shown(command));
    else runSystem(command);
  }
}

/** As it could be typed into a shell. */
function shown({ command, args, stdin }: SystemCommand): string {
  const line = [command, ...args.map((arg) => (/^[\w./:-]+$/u.test(arg) ? arg : `'${arg}'`))].join(' ');
  return stdin === undefined ? line : `${line} <<'END'\n${stdin}END`;
}
