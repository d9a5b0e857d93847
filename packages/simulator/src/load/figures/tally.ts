import type { RefusalCode } from '@sekisho/wire';
import type { Failure, LoadErrorCode, Stage } from '../load-error.ts';
import { Histogram, type HistogramParts } from './histogram.ts';

/** The ways of a session, each timed; microseconds. */
export const PHASES = [
  'timeToRelay', // a client connects until the greeting of the destination is there
  'connect', // until its connection is accepted
  'greeting', // from then on
  'relay', // at an agent in this process: from the accepted client until the relay has connected to the destination
  'session', // from the beginning to the end, of sessions that went well
] as const;
export type Phase = (typeof PHASES)[number];

export interface ErrorCount {
  readonly code: LoadErrorCode;
  readonly stage: Stage;
  readonly count: number;
}

/** What happened in one second of the run. */
export interface Sample {
  readonly second: number;
  readonly sessions: number;
  readonly failed: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Running at its end. */
  readonly active: number;
  readonly timeToRelay: HistogramParts;
}

/** What one load process has counted. */
export interface TallyParts {
  /** In the time that is measured. */
  readonly sessions: number;
  readonly failed: number;
  readonly mailsUp: number;
  readonly mailsDown: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly phases: Readonly<Record<Phase, HistogramParts>>;
  /** In the whole run, as are all that follow. */
  readonly errors: readonly ErrorCount[];
  readonly refusals: readonly { readonly code: RefusalCode; readonly count: number }[];
  readonly direct: readonly { readonly reason: string; readonly count: number }[];
  readonly sessionsInAll: number;
  readonly failedInAll: number;
}

/** Counts what happens; figures only while `measuring`, errors and the curve over time always. */
export class Tally {
  measuring = false;
  readonly #phases = Object.fromEntries(PHASES.map((phase) => [phase, new Histogram()])) as Record<Phase, Histogram>;
  readonly #interval = { sessions: 0, failed: 0, bytesUp: 0, bytesDown: 0, timeToRelay: new Histogram() };
  readonly #measured = { sessions: 0, failed: 0, mailsUp: 0, mailsDown: 0, bytesUp: 0, bytesDown: 0 };
  readonly #errors = new Map<string, { code: LoadErrorCode; stage: Stage; count: number }>();
  readonly #refusals = new Map<RefusalCode, number>();
  readonly #direct = new Map<string, number>();
  #sessionsInAll = 0;
  #failedInAll = 0;

  /** @param us microseconds */
  time(phase: Phase, us: number): void {
    if (this.measuring) this.#phases[phase].add(us);
    if (phase === 'timeToRelay') this.#interval.timeToRelay.add(us);
  }

  bytes(direction: 'up' | 'down', bytes: number): void {
    if (direction === 'up') this.#interval.bytesUp += bytes;
    else this.#interval.bytesDown += bytes;
    if (!this.measuring) return;
    if (direction === 'up') this.#measured.bytesUp += bytes;
    else this.#measured.bytesDown += bytes;
  }

  mail(direction: 'up' | 'down'): void {
    if (!this.measuring) return;
    if (direction === 'up') this.#measured.mailsUp += 1;
    else this.#measured.mailsDown += 1;
  }

  completed(us: number): void {
    this.#interval.sessions += 1;
    this.#sessionsInAll += 1;
    if (!this.measuring) return;
    this.#measured.sessions += 1;
    this.#phases.session.add(us);
  }

  failed({ code, stage, refusal }: Failure): void {
    this.#interval.failed += 1;
    this.#failedInAll += 1;
    if (this.measuring) this.#measured.failed += 1;
    const key = `${code} ${stage}`;
    const error = this.#errors.get(key) ?? { code, stage, count: 0 };
    error.count += 1;
    this.#errors.set(key, error);
    if (refusal !== undefined) this.#refusals.set(refusal, (this.#refusals.get(refusal) ?? 0) + 1);
  }

  /** A session of an agent in this process went without the mesh. */
  direct(reason: string): void {
    this.#direct.set(reason, (this.#direct.get(reason) ?? 0) + 1);
  }

  takeSample(second: number, active: number): Sample {
    const { sessions, failed, bytesUp, bytesDown, timeToRelay } = this.#interval;
    Object.assign(this.#interval, { sessions: 0, failed: 0, bytesUp: 0, bytesDown: 0 });
    return { second, sessions, failed, bytesUp, bytesDown, active, timeToRelay: timeToRelay.take() };
  }

  parts(): TallyParts {
    return {
      ...this.#measured,
      phases: Object.fromEntries(PHASES.map((phase) => [phase, this.#phases[phase].parts()])) as Record<Phase, HistogramParts>,
      errors: [...this.#errors.values()],
      refusals: [...this.#refusals].map(([code, count]) => ({ code, count })),
      direct: [...this.#direct].map(([reason, count]) => ({ reason, count })),
      sessionsInAll: this.#sessionsInAll,
      failedInAll: this.#failedInAll,
    };
  }
}
