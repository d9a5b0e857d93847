import type { AgentSettings, AgentStatus } from '@sekisho/agent';
import type { AgentConfig } from '../config/agent-schema.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { InheritedSocket } from './inherited-sockets.ts';

/** FileDescriptorName= in sekisho-agent.socket, and what sekisho-transparent calls its sockets. */
const SOCKET_NAME = 'intercept';

/**
 * Brings together what agent.yaml wants and what this process was given.
 * @throws CommandError when there is one without the other
 */
export function interceptionOf({ intercept }: Pick<AgentConfig, 'intercept'>, sockets: readonly InheritedSocket[]): AgentSettings['interception'] {
  const fds = sockets.filter(({ name }) => name === SOCKET_NAME).map(({ fd }) => fd);
  if (intercept === undefined && fds.length > 0)
    throw new CommandError(
      'There are sockets for interception, but agent.yaml has no intercept: section. Write one (docs/interception.md), or disable sekisho-agent.socket.',
      EXIT.usage,
    );
  if (intercept === undefined) return undefined;
  if (fds.length === 0)
    throw new CommandError(
      'agent.yaml has an intercept: section, but this process was given no transparent sockets. Enable sekisho-agent.socket and start sekisho-agent.service, or start the agent by sekisho-transparent (docs/interception.md).',
      EXIT.usage,
    );
  return { fds, ports: intercept.ports };
}

/** The rules would bring clients to a port at which nobody is. */
export function wrongPort({ intercept }: Pick<AgentConfig, 'intercept'>, interception: AgentStatus['interception']): CommandError | undefined {
  const other = interception.find(({ listen }) => listen.port !== intercept?.listenPort)?.listen;
  if (other === undefined) return undefined;
  return new CommandError(
    `The socket for interception that was passed listens at port ${other.port}, and intercept.listenPort of agent.yaml is ${intercept?.listenPort}: make them the same.`,
    EXIT.usage,
  );
}
