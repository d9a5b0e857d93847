import type { RejectReason } from '@sekisho/channel';
import type { RefusalCode } from '@sekisho/wire';
import type { Outcome, SessionState } from './stream/outcome.ts';

/** Why a connection ended before it was of any use. */
export const REJECT_REASONS = [
  'full',
  'address_full',
  'handshake',
  'timeout',
  'alpn',
  'no_certificate',
  'no_ticket',
  'violation',
] as const satisfies readonly (RejectReason | 'no_ticket' | 'violation')[];
export type Reject = (typeof REJECT_REASONS)[number];

/** What has happened since the last report. */
export interface Counts {
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly outcomes: Partial<Record<Outcome, number>>;
  readonly refusals: Partial<Record<RefusalCode, number>>;
  readonly rejects: Partial<Record<Reject, number>>;
  readonly connectMs: readonly number[];
}

/** A report carries each connect time; beyond this many in one interval, the rest is left out of the histogram. */
const MAX_CONNECT_TIMES = 5000;

/** The counters of a worker. They are added to at each event, and taken away with each report. */
export class Tally {
  readonly sessions: Record<SessionState, number> = { preamble: 0, connecting: 0, streaming: 0, scanning: 0, closing: 0 };
  bytesUp = 0;
  bytesDown = 0;
  #outcomes: Partial<Record<Outcome, number>> = {};
  #refusals: Partial<Record<RefusalCode, number>> = {};
  #rejects: Partial<Record<Reject, number>> = {};
  #connectMs: number[] = [];

  /** A session goes from one state to the next; undefined before the first and after the last. */
  move(from: SessionState | undefined, to: SessionState | undefined): void {
    if (from !== undefined) this.sessions[from] -= 1;
    if (to !== undefined) this.sessions[to] += 1;
  }

  outcome(outcome: Outcome): void {
    this.#outcomes[outcome] = (this.#outcomes[outcome] ?? 0) + 1;
  }

  refused(code: RefusalCode): void {
    this.#refusals[code] = (this.#refusals[code] ?? 0) + 1;
  }

  rejected(reason: Reject): void {
    this.#rejects[reason] = (this.#rejects[reason] ?? 0) + 1;
  }

  connected(ms: number): void {
    if (this.#connectMs.length < MAX_CONNECT_TIMES) this.#connectMs.push(ms);
  }

  take(): Counts {
    const counts = {
      bytesUp: this.bytesUp,
      bytesDown: this.bytesDown,
      outcomes: this.#outcomes,
      refusals: this.#refusals,
      rejects: this.#rejects,
      connectMs: this.#connectMs,
    };
    this.bytesUp = 0;
    this.bytesDown = 0;
    this.#outcomes = {};
    this.#refusals = {};
    this.#rejects = {};
    this.#connectMs = [];
    return counts;
  }
}
