import { setTimeout as sleep } from 'node:timers/promises';
import { type Agent, type AgentSettings, type AgentStatus, startAgent } from '@sekisho/agent';
import { Operator } from '@sekisho/auth';
import { createLogger, Metrics } from '@sekisho/telemetry';
import { MANAGER_NAME, type Mesh } from './mesh.ts';
import { sendMail, type Sent } from './smtp-conversation.ts';

export interface LocalAgentInit {
  readonly mac: string;
  readonly destination: { readonly host: string; readonly port: number };
  /** `address:port`; default the DNS of the mesh. */
  readonly dnsServer?: string;
  readonly failMode?: AgentSettings['failMode'];
  readonly timings?: AgentSettings['timings'];
  /** From 0 up to 1. */
  readonly random?: () => number;
}

export type LogLine = Readonly<Record<string, unknown>>;

const LINE_TIMEOUT_MS = 5000;

/** An agent in this process, with a key and a certificate of its own: many of them cost no processes. */
export class LocalAgent {
  readonly port: number;
  readonly metrics: Metrics;
  readonly #agent: Agent;
  readonly #lines: LogLine[];

  constructor(components: { agent: Agent; metrics: Metrics; lines: LogLine[] }, init: { port: number }) {
    this.#agent = components.agent;
    this.#lines = components.lines;
    this.metrics = components.metrics;
    this.port = init.port;
  }

  status(): AgentStatus {
    return this.#agent.status();
  }

  /** Its log lines of an event, oldest first. */
  events(event: string): LogLine[] {
    return this.#lines.filter((line) => line['event'] === event);
  }

  /** Sends a small mail; resolves with its times and the agent's own line about the session. */
  async send(subject: string): Promise<Sent & { readonly session: LogLine }> {
    const sent = await sendMail(this.port, subject);
    return { ...sent, session: await this.session(sent.client) };
  }

  /** The agent's line about a client's session, once it has ended. */
  async session(client: string): Promise<LogLine> {
    const deadline = performance.now() + LINE_TIMEOUT_MS;
    for (;;) {
      const line = this.events('session').find((event) => event['client'] === client);
      if (line !== undefined) return line;
      if (performance.now() > deadline) throw new Error(`no line about the session of ${client}:\n${this.logText()}`);
      await sleep(5);
    }
  }

  logText(): string {
    return this.#lines.map((line) => JSON.stringify(line)).join('\n');
  }

  close(): void {
    this.#agent.close();
  }
}

/** Enrolls a device at the operator of the mesh and starts its agent, which has begun to search when this resolves. */
export async function startLocalAgent(mesh: Mesh, init: LocalAgentInit): Promise<LocalAgent> {
  const { mac, destination, failMode = 'open', timings, random } = init;
  const operator = await Operator.open(mesh.operator);
  const issued = await operator.enrollDevice({ mac, rights: ['smtp'], days: 1, proof: 'certificate' });
  const lines: LogLine[] = [];
  const log = createLogger({ role: 'agent', destination: { write: (line) => void lines.push(JSON.parse(line) as LogLine) } });
  const metrics = new Metrics();
  const agent = await startAgent(
    { log, metrics, random },
    {
      mac,
      credentials: { caPem: operator.caCertPem, certPem: issued.certPem, keyPem: issued.keyPem },
      managerName: MANAGER_NAME,
      managerPort: mesh.managerPort,
      dns: { servers: [init.dnsServer ?? mesh.dnsServer] },
      failMode,
      forwards: [{ listen: { host: '127.0.0.1', port: 0 }, destination, protocol: 'smtp' }],
      timings,
    },
  );
  const port = agent.status().listeners[0]?.listen.port ?? 0;
  return new LocalAgent({ agent, metrics, lines }, { port });
}
