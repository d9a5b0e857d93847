import type { TraceStep } from '@sekisho/agent';
import { type Command, InvalidArgumentError } from 'commander';
import { CommandError } from '../exit-codes.ts';
import { loadAgent } from '../files/agent.ts';
import { paint, result, resultJson } from '../output.ts';

interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `sekisho trace`: the way of one connection, step by step. */
export function addTraceCommand(program: Command): void {
  program
    .command('trace')
    .argument('<host:port>', 'a destination', hostPort)
    .requiredOption('--config <file>', 'the agent.yaml of this device')
    .option('--json', 'for programs', false)
    .description('walk the way of one connection: DNS, managers, lease, relay, destination; times and reasons')
    .addHelpText('after', '\nExample:\n  sekisho trace --config agent.yaml mail.example.com:587')
    .action(async ({ host, port }: HostPort, options: { config: string; json: boolean }) => {
      const { trace } = await import('@sekisho/agent');
      const { agentSettings } = await import('../roles/settings.ts');
      const steps: TraceStep[] = [];
      const reached = await trace(agentSettings(loadAgent(options.config)), host, port, (step) => {
        steps.push(step);
        if (!options.json) result(line(step));
      });
      if (options.json) resultJson({ reached, steps });
      if (!reached) throw new CommandError(`${host}:${port} was not reached through a relay; the first ✗ above says where it ended.`);
    });
}

const NAME_WIDTH = 24;
const TIME_WIDTH = 6;

function line({ name, of, ok, ms, detail }: TraceStep): string {
  const mark = ok ? paint('green', '✓') : paint('red', '✗');
  return `${mark} ${`${name} ${of}`.padEnd(NAME_WIDTH)} ${String(ms).padStart(TIME_WIDTH)} ms  ${detail}`;
}

function hostPort(text: string): HostPort {
  const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([^\s:]+)):(\d{1,5})$/iu.exec(text) ?? [];
  const host = v6 ?? name;
  if (host === undefined || port === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new InvalidArgumentError('HOST:PORT is needed here, such as mail.example.com:587.');
  return { host, port: Number(port) };
}
