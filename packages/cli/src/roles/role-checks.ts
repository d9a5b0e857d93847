import { readFile } from 'node:fs/promises';
import type { AgentStatus } from '@sekisho/agent';
import type { AuthServer, AuthSettings } from '@sekisho/auth';
import type { Manager, ManagerSettings } from '@sekisho/manager';
import type { RelaySettings, RelayStatus } from '@sekisho/relay';
import { probePort } from './port-probe.ts';
import type { Checked } from './self-check.ts';

/** What each role must be able to do to be alive, as seen through the kernel. A store or another role that is away is no fault of its own. */

export function managerCheck(manager: Manager, settings: ManagerSettings): Checked {
  const { listen, credentials, adminSocket } = settings;
  return {
    selfCheck: async () => {
      await probePort({ what: 'the port for agents', host: listen.host, port: manager.port, certPem: credentials.certPem });
      if (adminSocket === undefined) return;
      const { adminRequest } = await import('@sekisho/manager');
      await adminRequest(adminSocket, 'GET', '/status').catch((error: unknown) => {
        throw new Error(`the socket for administration does not answer: ${(error as Error).message}`);
      });
    },
    statusLine: () => {
      const { agents, table, store } = manager.status();
      const up = table.relays.filter(({ state }) => state === 'up').length;
      return `${agents} agents, ${up} of ${table.relays.length} relays up, store ${store.up ? 'up' : 'DOWN'}`;
    },
  };
}

export function authCheck(auth: AuthServer, { listen, credentials }: AuthSettings): Checked {
  return {
    selfCheck: () => probePort({ what: 'the port for managers', host: listen.host, port: auth.port, certPem: credentials.certPem }),
    statusLine: () => {
      const { managers, registeredDevices, store } = auth.status();
      return `${managers} managers, ${registeredDevices} devices registered, store ${store.up ? 'up' : 'DOWN'}`;
    },
  };
}

export function relayCheck(relay: { status(): RelayStatus }, { listen: { host }, credentials: { certPem } }: RelaySettings): Checked {
  return {
    selfCheck: async () => {
      const { workers, port, controlPort } = relay.status();
      // Some are enough: their supervisor starts the others again, and ending it would end the sessions of these.
      if (workers === 0) throw new Error('no worker is alive');
      await probePort({ what: 'the data port', host, port, certPem });
      await probePort({ what: 'the control port', host, port: controlPort, certPem });
    },
    statusLine: () => {
      const { workers, workersWanted, report } = relay.status();
      return `${report.sessions} sessions, ${report.devices} devices, ${workers} of ${workersWanted} workers`;
    },
  };
}

/** State LISTEN in /proc/net/tcp: include/net/tcp_states.h. */
const LISTEN = '0A';

/**
 * An agent's ports are for clients: whoever connects there is taken to a mail server. So the kernel is asked who listens,
 * in the agent's own network.
 */
export function agentCheck(agent: { status(): AgentStatus }): Checked {
  return {
    selfCheck: async () => {
      const listening = await listeningPorts();
      const dead = agent.status().listeners.find(({ listen }) => !listening.has(listen.port));
      if (dead !== undefined) throw new Error(`nobody listens at ${dead.listen.host}:${dead.listen.port}`);
    },
    statusLine: () => {
      const { mode, manager, lease, sessions } = agent.status();
      const count = Object.values(sessions).reduce((sum, one) => sum + one, 0);
      return `${mode}, ${count} sessions, manager ${manager ?? 'none'}, relay ${lease?.relays[0] ?? 'none'}`;
    },
  };
}

async function listeningPorts(): Promise<ReadonlySet<number>> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/self/net/${name}`, 'utf8').catch(() => '')));
  const ports = tables.flatMap((table) => [...table.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ ([0-9A-F]{2}) /gmu)]);
  return new Set(ports.filter(([, , state]) => state === LISTEN).map(([, port = '']) => Number.parseInt(port, 16)));
}
