import { Operator } from '@sekisho/auth';
import { type Command, InvalidArgumentError } from 'commander';
import { hostName } from '../config/site-schema.ts';
import { result, say } from '../output.ts';

/** `sekisho operator init`: the operator's keys, which stay off the sites. */
export function addOperatorCommands(program: Command): void {
  const operator = program.command('operator').description("the operator's keys and CA (an offline machine)");
  operator
    .command('init')
    .argument('<directory>', 'where to keep them')
    .option('--name <text>', 'the name of the operator, for people', 'main')
    .option('--manager-name <dns-name>', 'the DNS name by which agents find managers', dnsName, 'manager.example.com')
    .description('make the keys and the CA that every certificate is signed with')
    .action(async (directory: string, options: { name: string; managerName: string }) => {
      const { settings } = await Operator.init(directory, options);
      result(directory);
      say(`The operator's CA is in ${directory}. Whoever has it can admit any device and pose as any site:`);
      say('keep it off the sites, on a machine that is not connected, with a copy in another place.');
      say(`Agents will look for managers at ${settings.managerName}.`);
      say(`Next: sekisho site init ./SITE --operator ${directory} --site SITE`);
    });
}

function dnsName(text: string): string {
  const parsed = hostName().safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join('; '));
  return parsed.data;
}
