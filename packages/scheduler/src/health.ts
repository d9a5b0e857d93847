import { loadOf, type Load, type LoadReport } from './load.ts';
import type { SchedulerSettings } from './settings.ts';

export type RelayState = 'up' | 'overloaded' | 'full' | 'draining' | 'down' | 'stale';

/** What an operator has set for a relay at run time; an empty object is no override. */
export interface RelayOverride {
  readonly drain?: boolean;
  /** Takes the place of the table's weight; 0 drains. */
  readonly weight?: number;
}

/**
 * The state of one relay, judged from facts that are kept apart: whether it answers (rise and fall), whether it or the
 * operator drains it, whether it is full or overloaded (each with hysteresis), and how old its word is.
 */
export class RelayHealth {
  readonly #settings: SchedulerSettings;
  state: RelayState = 'down';
  reason = 'not reported yet';
  sinceMs: number;
  report: LoadReport | null = null;
  load: Load | null = null;
  reportAtMs = 0;
  /** When slow start began, or null when there is none. */
  rampStartMs: number | null = null;

  #alive = false;
  /** False until the first word about the relay: a manager that has just started need not doubt what it hears. */
  #known = false;
  #goodReports = 0;
  #failures = 0;
  #failure = 'not reported yet';
  #override: RelayOverride = {};
  #full = false;
  #overloaded = false;
  #reportsOver = 0;
  #reportsUnder = 0;
  #slowStartDue = false;

  constructor(settings: SchedulerSettings, nowMs: number) {
    this.#settings = settings;
    this.sinceMs = nowMs;
  }

  takeReport(report: LoadReport, nowMs: number): void {
    this.report = report;
    this.reportAtMs = nowMs;
    this.load = loadOf(report, this.#settings);
    this.#takeCapacity(report);
    this.#takePressure(this.load.pressure);
    if (report.unable !== null) {
      this.#die(`unable: ${report.unable}`);
      return;
    }
    this.#failures = 0;
    this.#goodReports += 1;
    if (!this.#known || this.#goodReports >= this.#settings.rise) this.#alive = true;
    this.#known = true;
  }

  takeFailure(reason: string): void {
    this.#goodReports = 0;
    this.#failures += 1;
    if (this.#failures >= this.#settings.fall) this.#die(reason);
  }

  takeOverride(override: RelayOverride): void {
    this.#override = override;
  }

  /** Brings `state`, `reason` and `sinceMs` up to date; true when the state has changed. */
  judge(nowMs: number): boolean {
    const ageMs = nowMs - this.reportAtMs;
    if (this.#alive && ageMs > this.#settings.downAfterMs) this.#die(`no report for ${this.#settings.downAfterMs} ms`);
    const state = this.#stateAt(ageMs);
    this.reason = this.#reasonFor(state);
    if (state === this.state) return false;
    if (state === 'down' || state === 'draining' || state === 'overloaded') {
      this.#slowStartDue = true;
      this.rampStartMs = null;
    } else if (state === 'up' && this.#slowStartDue) {
      this.#slowStartDue = false;
      this.rampStartMs = nowMs;
    }
    this.state = state;
    this.sinceMs = nowMs;
    return true;
  }

  /** The fraction of its weight that slow start allows now. */
  rampAt(nowMs: number): number {
    if (this.rampStartMs === null || this.#settings.slowStartMs === 0) return 1;
    const part = (nowMs - this.rampStartMs) / this.#settings.slowStartMs;
    return Math.min(1, Math.max(this.#settings.slowStartFloor, part));
  }

  #die(reason: string): void {
    this.#alive = false;
    this.#goodReports = 0;
    this.#failure = reason;
    this.#known = true;
    this.#slowStartDue = true;
  }

  #takeCapacity(report: LoadReport): void {
    const { sessions, maxSessions } = report;
    if (maxSessions > 0 && sessions >= maxSessions) this.#full = true;
    else if (!(maxSessions > 0) || sessions <= maxSessions * this.#settings.fullRecoverFraction) this.#full = false;
  }

  #takePressure(pressure: number): void {
    this.#reportsOver = pressure >= 1 ? this.#reportsOver + 1 : 0;
    this.#reportsUnder = pressure <= this.#settings.recoverFraction ? this.#reportsUnder + 1 : 0;
    if (this.#reportsOver >= this.#settings.overloadAfterReports) this.#overloaded = true;
    else if (this.#reportsUnder >= this.#settings.rise) this.#overloaded = false;
  }

  /** `full` and `draining` come before `stale`: they were the relay's or the operator's own word, never to be distrusted. */
  #stateAt(ageMs: number): RelayState {
    if (!this.#alive) return 'down';
    if (this.#drained()) return 'draining';
    if (this.#full) return 'full';
    if (ageMs > this.#settings.staleAfterMs) return 'stale';
    return this.#overloaded ? 'overloaded' : 'up';
  }

  #drained(): boolean {
    return this.#override.drain === true || this.#override.weight === 0 || this.report?.draining === true;
  }

  #reasonFor(state: RelayState): string {
    if (state === 'down') return this.#failure;
    if (state === 'draining') {
      if (this.#override.drain === true) return 'drained by the operator';
      return this.#override.weight === 0 ? 'weight 0 set by the operator' : 'the relay says it drains';
    }
    if (state === 'full') return `${this.report?.sessions} of ${this.report?.maxSessions} sessions`;
    if (state === 'stale') return `no report for ${this.#settings.staleAfterMs} ms`;
    if (state === 'up') return 'reports are good';
    return `${this.load?.pressureBy} at ${Math.round((this.load?.pressure ?? 0) * 100)} % of its limit`;
  }
}
