import { Command } from 'commander';
import { addCheckConfigCommand } from '../commands/check-config.ts';
import { addCheckCommands } from '../commands/check.ts';
import { addDeviceCommands } from '../commands/device.ts';
import { addRunCommand } from '../commands/run.ts';
import { addSiteCommands } from '../commands/site.ts';
import { addStatusCommand } from '../commands/status.ts';
import { addTableCommands } from '../commands/table.ts';
import { addUpCommand } from '../commands/up.ts';
import { addUpgradeCheckCommand } from '../commands/upgrade-check.ts';

const program = new Command('sekisho').version('0').configureOutput({ writeErr: () => undefined });
addUpCommand(program);
for (const role of ['manager', 'relay', 'auth'] as const) addRunCommand(program, role);
addCheckConfigCommand(program);
addCheckCommands(program);
addStatusCommand(program);
addTableCommands(program);
addUpgradeCheckCommand(program);
addSiteCommands(program);
addDeviceCommands(program);

/** What is wrong with the arguments of a `sekisho` command, or undefined: no such command or option, or one is missing. */
export function usageProblem(args: readonly string[]): string | undefined {
  let command: Command = program;
  let rest = [...args];
  for (;;) {
    const next: Command | undefined = command.commands.find((one) => one.name() === rest[0]);
    if (next === undefined) break;
    command = next;
    rest = rest.slice(1);
  }
  if (rest.includes('--version') && command === program) return undefined;
  if (command === program || command.commands.length > 0) return `there is no command ${args.join(' ')}`;
  const { operands, unknown } = command.parseOptions(rest);
  if (unknown.length > 0) return `${command.name()} has no ${unknown.join(' ')}`;
  const missing = command.options.find(({ mandatory, long }) => mandatory && !rest.some((word) => word.split('=')[0] === long));
  if (missing !== undefined) return `${command.name()} needs ${missing.long}`;
  const required = command.registeredArguments.filter((argument) => argument.required).length;
  if (operands.length < required || operands.length > command.registeredArguments.length)
    return `${command.name()} takes ${required} operands, not ${operands.join(' ')}`;
  return undefined;
}
