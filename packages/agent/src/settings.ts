import type { Credentials } from '@sekisho/channel';
import type { MailProtocol, RelayAddress } from '@sekisho/wire';
import type { FailMode } from './route.ts';

/** Everything that an agent is told. Times in milliseconds. */
export interface AgentSettings {
  /** In the spelling of parseMac. It identifies; the key of the credentials proves. */
  readonly mac: string;
  readonly credentials: Credentials;
  /** The DNS name of the managers, also the name in their certificates. */
  readonly managerName: string;
  readonly managerPort: number;
  readonly dns: {
    /** `address` or `address:port`; empty: those of the system. */
    readonly servers: readonly string[];
  };
  readonly failMode: FailMode;
  readonly forwards: readonly Forward[];
  /** Not set: nobody is intercepted. */
  readonly interception?: Interception | undefined;
  /** Instead of those that a lease names: to try relays of its site that are drained in its table. A ticket is for no others. */
  readonly relays?: readonly RelayAddress[] | undefined;
  readonly timings?: Partial<AgentTimings> | undefined;
  readonly limits?: Partial<AgentLimits> | undefined;
}

/** A listener, and where the connections that come to it go. */
export interface Forward {
  /** Port 0: any free one, see the status. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly destination: { readonly host: string; readonly port: number };
  /** By default what is usual at the destination's port, and SMTP at an unusual one. */
  readonly protocol?: MailProtocol | undefined;
}

/** Clients that are carried to wherever they dialled, without knowing of it. */
export interface Interception {
  /** Descriptors of listening sockets that were transparent before this process had them: Node cannot make one so. */
  readonly fds: readonly number[];
  /** The ports that are carried; whoever comes with another one has dialled the listening socket itself. */
  readonly ports: readonly number[];
}

export interface AgentTimings {
  /** A manager that is silent for so long is raced against the next. */
  readonly managerStaggerMs: number;
  /** After so long all managers are silent. */
  readonly managerBudgetMs: number;
  /** A relay that has not acknowledged a session for so long is raced against the second. */
  readonly ackTimeoutMs: number;
  /** A client waits no longer until it is decided how its connection goes. */
  readonly decisionBudgetMs: number;
  /** Bounds of the TTL of the managers' addresses. */
  readonly ttlMinMs: number;
  readonly ttlMaxMs: number;
  /** For one look-up, both families. */
  readonly dnsTimeoutMs: number;
  /** A connection without a byte for so long is dead, even if nothing was reset. */
  readonly deadAfterMs: number;
  /** First and longest pause before a manager that failed is tried again. */
  readonly managerRetryFirstMs: number;
  readonly managerRetryMaxMs: number;
  /** First and longest pause before a refused device asks again. */
  readonly refusalRetryFirstMs: number;
  readonly refusalRetryMaxMs: number;
  /** An agent with a lease waits up to so long before it moves to another manager, or asks for another relay while one is left. */
  readonly moveJitterMs: number;
  /** After so long on average with one manager an agent chooses anew among all that are alive. */
  readonly rehomeMs: number;
  /** To connect to a relay: below the decision budget, so that a relay that is gone is known before the client gives up. */
  readonly relayTimeoutMs: number;
  /** First and longest pause before a relay that failed is tried again; the first is also the longest before one that was lost. */
  readonly relayRetryFirstMs: number;
  readonly relayRetryMaxMs: number;
  /** A connection to a fallback relay is kept for so long after its last session. */
  readonly fallbackIdleMs: number;
  /** To connect to a destination directly. */
  readonly directTimeoutMs: number;
}

export const DEFAULT_TIMINGS: AgentTimings = {
  managerStaggerMs: 300,
  managerBudgetMs: 5000,
  ackTimeoutMs: 300,
  decisionBudgetMs: 5000,
  ttlMinMs: 30_000,
  ttlMaxMs: 1_200_000,
  dnsTimeoutMs: 2500,
  deadAfterMs: 10_000,
  managerRetryFirstMs: 1000,
  managerRetryMaxMs: 60_000,
  refusalRetryFirstMs: 5000,
  refusalRetryMaxMs: 120_000,
  moveJitterMs: 2000,
  rehomeMs: 900_000,
  relayTimeoutMs: 4000,
  relayRetryFirstMs: 500,
  relayRetryMaxMs: 15_000,
  fallbackIdleMs: 60_000,
  // Postfix waits 30 s; a client in an office less.
  directTimeoutMs: 15_000,
};

export interface AgentLimits {
  /** Client connections at once; two descriptors each when they go directly. */
  readonly maxSessions: number;
  /** From one address. */
  readonly maxPerClient: number;
  /** Receive window of a session, at least 256 KiB: the most that a slow client makes us hold. */
  readonly windowBytes: number;
}

export const DEFAULT_LIMITS: AgentLimits = { maxSessions: 500, maxPerClient: 100, windowBytes: 256 * 1024 };

/** What an agent says it is, in hello and ticket. */
export const SOFTWARE = 'sekisho/0.1.0';
