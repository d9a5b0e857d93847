import { setTimeout as sleep } from 'node:timers/promises';
import { type Agent, type AgentSettings, startAgent } from '@sekisho/agent';
import type { MailProtocol } from '@sekisho/wire';
import { AgentTap, SILENT } from './agent-tap.ts';
import type { Tally } from './figures/tally.ts';
import type { SessionKind, Target } from './session.ts';

/** A simulated server as the offices reach it. */
export interface Destination extends Target {
  readonly kind: SessionKind;
}

/** An office that has no relay yet, and why as far as its agent knows. */
export interface Unready {
  readonly mac: string;
  readonly why: string;
}

const READY_POLL_MS = 100;
/** Sessions that are not closed yet take a place beside those that begin. */
const SPARE_SESSIONS = 64;

/** Offices whose agents, the real ones, run in this process. */
export class Offices {
  readonly #agents: Agent[] = [];
  readonly #tally: Tally;

  constructor(components: { readonly tally: Tally }) {
    this.#tally = components.tally;
  }

  /** Starts the agents, each with a listener for every destination. Rejects when one cannot be had. */
  async start(agents: readonly AgentSettings[], destinations: readonly Destination[], init: { readonly tls: boolean; readonly clients: number }): Promise<void> {
    const limits = { maxSessions: init.clients + SPARE_SESSIONS, maxPerClient: init.clients + SPARE_SESSIONS };
    for (const settings of agents) {
      const forwards = destinations.map(({ kind, host, port }) => ({
        listen: { host: '127.0.0.1', port: 0 },
        destination: { host, port },
        protocol: protocolOf(kind, init.tls),
      }));
      const metrics = new AgentTap({ tally: this.#tally });
      this.#agents.push(await startAgent({ log: SILENT, metrics }, { ...settings, forwards, limits }));
    }
  }

  /** Where clients of a kind connect to. */
  targets(kind: SessionKind): Target[] {
    return this.#agents
      .flatMap((agent) => agent.status().listeners)
      .filter(({ protocol }) => protocol.startsWith(kind === 'send' ? 'smtp' : 'pop3'))
      .map(({ listen }) => listen);
  }

  /** Waits until every agent has a warm connection to a relay; resolves with those that have none when the time is over. */
  async ready(timeoutMs: number): Promise<Unready[]> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const unready = this.#agents.map(unreadiness).filter((one) => one !== undefined);
      if (unready.length === 0 || performance.now() > deadline) return unready;
      await sleep(READY_POLL_MS);
    }
  }

  /** Addresses of the relays that the agents are connected to. */
  relayAddresses(): string[] {
    return [...new Set(this.#agents.flatMap((agent) => agent.status().links.map(({ address }) => address.replace(/:\d+$/u, '').replace(/^\[(.*)\]$/u, '$1'))))];
  }

  close(): void {
    for (const agent of this.#agents) agent.close();
  }
}

function protocolOf(kind: SessionKind, tls: boolean): MailProtocol {
  if (kind === 'send') return tls ? 'smtps' : 'smtp';
  return tls ? 'pop3s' : 'pop3';
}

function unreadiness(agent: Agent): Unready | undefined {
  const { mac, mode, links, lastRefusal, zone, directReason } = agent.status();
  if (mode === 'relayed' && links.some(({ state }) => state === 'ready')) return undefined;
  const refused = links.find(({ state }) => state.startsWith('refused'))?.state;
  const why = refused ?? lastRefusal?.code ?? (zone.problem === undefined ? (directReason ?? mode) : `DNS: ${zone.problem}`);
  return { mac, why };
}
