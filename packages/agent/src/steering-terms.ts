import type { BackoffInit } from './backoff.ts';
import type { Lease, Refused } from './lease-state.ts';
import type { ManagerFailure, ManagerHealth } from './manager-set.ts';
import type { MoveReason } from './moves.ts';
import type { DirectReason, FailMode } from './route.ts';
import type { ZoneInit } from './zone.ts';

export interface SteeringInit {
  readonly zone: ZoneInit;
  readonly failMode: FailMode;
  readonly managerStaggerMs: number;
  readonly managerBudgetMs: number;
  /** After which a manager that failed is tried again. */
  readonly managerRetry: BackoffInit;
  /** After which a device that was refused asks again. */
  readonly refusalRetry: BackoffInit;
  /** An agent that has a lease waits up to so long before it moves, or asks in place of a lost relay: the others do, too. */
  readonly moveJitterMs: number;
  /** After so long on average, with one manager, an agent chooses anew among all: so those that were dead get their share again. */
  readonly rehomeMs: number;
}

/** What is to be done outside; each is answered by the event named. */
export type Command =
  /** lookedUp() */
  | { readonly type: 'lookUp' }
  /** Say hello, over the connection to this address or a new one: leased(), refused() or lost() */
  | { readonly type: 'ask'; readonly address: string }
  /** Connect, see whether a ping is answered, close: answered() or lost() */
  | { readonly type: 'probe'; readonly address: string }
  /** End the connection to this address, or the attempt at one, because of `cause` if it failed; no event comes of it. */
  | { readonly type: 'drop'; readonly address: string; readonly cause: ManagerFailure | undefined };

export interface SteeringStatus {
  readonly manager: string | undefined;
  readonly managers: readonly ManagerHealth[];
  readonly lease: Lease | undefined;
  readonly refused: Refused | undefined;
  readonly absence: DirectReason | undefined;
  readonly searching: boolean;
  /** Sites that were left though they answer, and until when nobody goes back by choice. */
  readonly shunned: readonly { readonly site: string; readonly untilMs: number }[];
  /** Changes of site since the start. */
  readonly moves: Readonly<Record<MoveReason, number>>;
}
