import { type Command, InvalidArgumentError } from 'commander';
import { type AgentConfig, forwardSchema } from '../config/agent-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { loadAgent } from '../files/agent.ts';
import { inheritedSockets } from '../roles/inherited-sockets.ts';
import { interceptionOf, wrongPort } from '../roles/interception.ts';

type Forward = AgentConfig['forward'][number];

/** The same patience as a relay's: more than the 10 min of RFC 5321 4.5.3.2.6. */
const DRAIN_TIMEOUT_MS = 660_000;

/** `sekisho agent`: on the router. */
export function addAgentCommand(program: Command): void {
  program
    .command('agent')
    .requiredOption('--config <file>', 'the agent.yaml of this device')
    .option('--forward <listen=destination>', 'listen here and carry to there; may be given several times', forward, [])
    .description("run the agent: it carries the office's mail through the nearest healthy site")
    .addHelpText(
      'after',
      '\nExample:\n  sekisho agent --config agent.yaml --forward 127.0.0.1:2525=mail.example.com:587 --forward 127.0.0.1:1110=mail.example.com:110' +
        '\n\nSIGUSR2 writes how it stands into the log: managers, lease, relays, sessions.',
    )
    .action(async (options: { config: string; forward: Forward[] }) => {
      const config = loadAgent(options.config);
      const forwards = [...config.forward, ...options.forward];
      const interception = interceptionOf(config, inheritedSockets(process.env, process.pid));
      if (forwards.length === 0 && interception === undefined)
        throw new CommandError('There is nothing to carry: give --forward LISTEN=DESTINATION, or forward: or intercept: in agent.yaml.', EXIT.usage);
      const { startAgent } = await import('@sekisho/agent');
      const { agentCheck } = await import('../roles/role-checks.ts');
      const { runRole } = await import('../roles/run.ts');
      const { countBuffersAsHeap } = await import('../roles/heap.ts');
      const { agentSettings } = await import('../roles/settings.ts');
      countBuffersAsHeap();
      await runRole({
        role: 'agent',
        name: config.label,
        level: config.log.level,
        metricsAddress: config.metrics.address,
        metricsPort: config.metrics.port,
        start: async ({ log, metrics }) => {
          const agent = await startAgent({ log, metrics }, { ...agentSettings({ ...config, forward: forwards }), interception });
          const problem = wrongPort(config, agent.status().interception);
          if (problem !== undefined) {
            agent.close();
            throw problem;
          }
          process.on('SIGUSR2', () => log.info({ event: 'status', status: agent.status() }, 'how it stands'));
          return { ...agentCheck(agent), drainTimeoutMs: DRAIN_TIMEOUT_MS, drain: () => agent.drain(DRAIN_TIMEOUT_MS), close: () => agent.close() };
        },
      });
    });
}

function forward(text: string, previous: readonly Forward[]): Forward[] {
  const parsed = forwardSchema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError(parsed.error.issues.map(({ message }) => message).join('; '));
  return [...previous, parsed.data];
}
