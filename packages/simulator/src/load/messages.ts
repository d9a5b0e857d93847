import type { AgentSettings } from '@sekisho/agent';
import type { LedgerParts } from './figures/ledger.ts';
import type { Sample, TallyParts } from './figures/tally.ts';
import type { Unready } from './offices.ts';
import type { SelfSigned } from './self-signed.ts';
import type { ServerInit } from './servers.ts';
import type { SessionKind, Target } from './session.ts';
import type { Traffic } from './traffic.ts';

/** How the clients of a load process reach its simulated servers. */
export type Way =
  | { readonly kind: 'direct' }
  /** Through listeners of agents that run somewhere. */
  | { readonly kind: 'listeners'; readonly targets: Readonly<Record<SessionKind, readonly Target[]>> }
  /** Through agents in this process. */
  | { readonly kind: 'agents'; readonly agents: readonly AgentSettings[] };

/** Everything that a load process is told. */
export interface WorkerSettings {
  readonly run: string;
  readonly worker: number;
  readonly workers: number;
  readonly seed: number;
  readonly traffic: Traffic;
  readonly way: Way;
  readonly servers: readonly ServerInit[];
  readonly tls: SelfSigned | undefined;
  /** For the agents to find a relay. */
  readonly readyTimeoutMs: number;
}

/** From the process that leads to the load processes, in this order. */
export type Order =
  | { readonly type: 'set_up'; readonly settings: WorkerSettings }
  | { readonly type: 'begin' }
  /** The warm-up is over. */
  | { readonly type: 'measure' }
  | { readonly type: 'stop'; readonly graceMs: number }
  /** All have stopped: nobody's mail is under way to anybody's server, and the books can be closed. */
  | { readonly type: 'close' };

/** From a load process. */
export type Word =
  | { readonly type: 'ready'; readonly unready: readonly Unready[]; readonly relayAddresses: readonly string[] }
  | { readonly type: 'failed'; readonly why: string }
  | { readonly type: 'sample'; readonly sample: Sample }
  /** No client of this process runs any more; its servers do. */
  | { readonly type: 'stopped' }
  | { readonly type: 'finished'; readonly outcome: WorkerOutcome };

export interface WorkerOutcome {
  readonly tally: TallyParts;
  readonly ledger: LedgerParts;
  /** Bytes a second of each client in the time that was measured. */
  readonly clientRates: Float64Array;
}
