import { RelayHealth } from './health.ts';
import type { SchedulerSettings } from './settings.ts';

/**
 * One relay of the table: its health, and the figures by which it is chosen. The figures are brought up to date when a
 * report or a tick comes in, so that a pick only compares numbers.
 */
export class Row {
  readonly name: string;
  readonly configuredWeight: number;
  readonly health: RelayHealth;
  overrideWeight: number | null = null;

  /** Weight after override and slow start. */
  effectiveWeight = 0;
  /** Load by age and per weight, 0 to 1. */
  load = 0;
  /** Load assumed for hand-outs since the last report, against what its weight would have given it. */
  since = 0;
  /** Whose turn it is by weight, in units of load; decides between relays of the same load. */
  turn = 0;
  /** What one hand-out adds to `since`, and to `turn`. */
  sinceStep = 0;
  turnStep = 0;
  /** Smooth weighted round robin's running value. */
  current = 0;
  /** The chance to be chosen as a fallback, in relation to the others. */
  fallbackWeight = 0;
  candidate = false;
  /** The number of the hand-out that went here last, and after how many others the next one must. */
  lastHandOut = 0;
  starvesAfter = Number.POSITIVE_INFINITY;
  /** The number of the pick that excludes this row. */
  excludedIn = 0;

  handedOut = 0;
  handedOutSinceReport = 0;
  kept = 0;

  constructor(entry: { name: string; weight: number }, settings: SchedulerSettings, nowMs: number) {
    this.name = entry.name;
    this.configuredWeight = entry.weight;
    this.health = new RelayHealth(settings, nowMs);
  }

  /** Weight after override and before slow start. */
  get weight(): number {
    return this.overrideWeight ?? this.configuredWeight;
  }

  /** What `least-load` compares; lower is better. */
  get key(): number {
    return this.load + this.since + this.turn;
  }

  /** Enters the rotation with neither credit nor debt. */
  enter(handOuts: number): void {
    this.since = 0;
    this.turn = 0;
    this.current = 0;
    this.lastHandOut = handOuts;
  }
}
