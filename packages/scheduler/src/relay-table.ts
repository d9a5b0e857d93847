import { drawFallbacks, leastLoaded, nextByWeight } from './choose.ts';
import type { RelayOverride, RelayState } from './health.ts';
import { agedScore, type LoadReport } from './load.ts';
import { Row } from './row.ts';
import { schedulerSettings, type Policy, type SchedulerSettings } from './settings.ts';
import { snapshotOf, type TableSnapshot } from './snapshot.ts';
import { MAX_WEIGHT, parseTable, type TableEntry } from './table-entry.ts';

export interface Transition {
  readonly relay: string;
  readonly from: RelayState;
  readonly to: RelayState;
  readonly reason: string;
  /** By the table's clock, in milliseconds. */
  readonly at: number;
}

export interface RelayTableComponents {
  /** Milliseconds that never go back. */
  clock(): number;
  /** At least 0 and below 1. */
  random(): number;
  onTransition(event: Transition): void;
}

export interface RelayTableInit {
  readonly relays: string | readonly (string | TableEntry)[];
  readonly settings?: Partial<SchedulerSettings>;
}

export interface PickRequest {
  /** How many relays to name; the first is to be used, the others are fallbacks. */
  readonly count: number;
  /** The relay the agent uses now. */
  readonly prefer?: string;
  /** Relays the agent could not reach. */
  readonly exclude?: readonly string[];
}

/** `panic`: the first relay is one whose mark is distrusted, because nobody is up. */
export type PickReason = Policy | 'kept' | 'panic';

export interface RowRefusal {
  readonly relay: string;
  readonly state: RelayState;
  readonly reason: string;
  readonly excluded: boolean;
}

export type Pick =
  | { readonly relays: readonly string[]; readonly reason: PickReason }
  | { readonly relays: readonly []; readonly reason: 'none'; readonly detail: readonly RowRefusal[] };

/** How far a fallback's chance may sink with its load: even a busy relay is better than none. */
const MIN_FALLBACK_HEADROOM = 0.1;

/** A manager's table of its own relays: takes reports and failures in, says which relay an agent is to use. */
export class RelayTable {
  readonly #components: RelayTableComponents;
  readonly #random: () => number;
  readonly #settings: SchedulerSettings;
  readonly #rows: readonly Row[];
  readonly #byName: ReadonlyMap<string, Row>;
  /** Those the first relay of a pick comes from: the ones that are up, or in panic with nobody up the distrusted ones. */
  readonly #candidates: Row[] = [];
  /** Those that may follow a candidate as fallback: the distrusted ones in panic while somebody is up. */
  readonly #reserves: Row[] = [];
  /** Overloaded or stale, whether that is believed or not. */
  readonly #marked: Row[] = [];
  readonly #scratch: Row[] = [];
  #panic = false;
  #weightSum = 0;
  /** What `since` and `turn` of all rows have grown to on average: the zero from which they count. */
  #sinceZero = 0;
  #turnZero = 0;
  #picks = 0;
  #handOuts = 0;

  /** @throws RangeError for a table or settings that cannot be. */
  constructor(components: RelayTableComponents, init: RelayTableInit) {
    this.#components = components;
    this.#random = () => components.random();
    this.#settings = schedulerSettings(init.settings);
    const nowMs = components.clock();
    this.#rows = parseTable(init.relays).map((entry) => new Row(entry, this.#settings, nowMs));
    this.#byName = new Map(this.#rows.map((row) => [row.name, row]));
    this.#refresh(nowMs);
  }

  /** A relay has answered a probe. False when the table has no such relay. */
  report(name: string, report: LoadReport): boolean {
    const row = this.#byName.get(name);
    if (row === undefined) return false;
    const nowMs = this.#components.clock();
    row.health.takeReport(report, nowMs);
    this.#moveZero();
    row.since = 0;
    row.handedOutSinceReport = 0;
    // The turn survives a report, or a quiet table would begin every second with the same relay; but it stays small,
    // or a relay that load has kept out would be paid back for it.
    row.turn = Math.min(row.turnStep, Math.max(-2 * this.#settings.tieLoad, row.turn));
    this.#judge(row, nowMs);
    this.#refresh(nowMs);
    return true;
  }

  /** A probe was not answered, or not in time. False when the table has no such relay. */
  probeFailed(name: string, reason: string): boolean {
    const row = this.#byName.get(name);
    if (row === undefined) return false;
    row.health.takeFailure(reason);
    this.#judgeAndRefresh(row);
    return true;
  }

  /**
   * Replaces what the operator has set for a relay (`{}` takes it back). False when the table has no such relay.
   *
   * @throws RangeError for a weight that is not in [0, MAX_WEIGHT].
   */
  setOverride(name: string, override: RelayOverride): boolean {
    const { weight } = override;
    if (weight !== undefined && !(weight >= 0 && weight <= MAX_WEIGHT)) {
      throw new RangeError(`weight of ${name} is ${weight}: 0 to ${MAX_WEIGHT} is allowed`);
    }
    const row = this.#byName.get(name);
    if (row === undefined) return false;
    row.overrideWeight = weight ?? null;
    row.health.takeOverride(override);
    this.#judgeAndRefresh(row);
    return true;
  }

  /** Lets reports age and slow starts go on; to be called about once a second. */
  tick(): void {
    const nowMs = this.#components.clock();
    for (const row of this.#rows) this.#judge(row, nowMs);
    this.#refresh(nowMs);
  }

  /** The relays an agent is to use, in order, and why. */
  pick(request: PickRequest): Pick {
    this.#picks += 1;
    const pick = this.#picks;
    if (request.exclude !== undefined) this.#exclude(request.exclude, pick);
    const kept = request.prefer === undefined ? null : this.#kept(request.prefer, pick);
    const first = kept ?? this.#choose(pick);
    if (first === null) return this.#lastResort(request.count);
    if (kept === null) this.#handOut(first);
    else kept.kept += 1;

    const relays = [first.name];
    if (request.count > 1) {
      first.excludedIn = pick;
      this.#appendFallbacks(relays, this.#candidates, request.count);
      this.#appendFallbacks(relays, this.#reserves, request.count);
    }
    if (first.health.state !== 'up') return { relays, reason: 'panic' };
    return { relays, reason: kept === null ? this.#settings.policy : 'kept' };
  }

  /** The table as an operator wants to see it. */
  snapshot(): TableSnapshot {
    this.#moveZero();
    return snapshotOf(this.#rows, {
      policy: this.#settings.policy,
      panic: this.#panic,
      weightSum: this.#weightSum,
      nowMs: this.#components.clock(),
    });
  }

  /** Every candidate is one that this agent cannot reach: a marked relay is better for it than none. */
  #lastResort(count: number): Pick {
    const relays: string[] = [];
    if (this.#candidates.length > 0) this.#appendFallbacks(relays, this.#marked, count);
    return relays.length > 0 ? { relays, reason: 'panic' } : { relays: [], reason: 'none', detail: this.#refusals(this.#picks) };
  }

  #exclude(names: readonly string[], pick: number): void {
    for (const name of names) {
      const row = this.#byName.get(name);
      if (row !== undefined) row.excludedIn = pick;
    }
  }

  #choose(pick: number): Row | null {
    return this.#settings.policy === 'weighted'
      ? nextByWeight(this.#candidates, pick)
      : leastLoaded(this.#candidates, pick, this.#handOuts);
  }

  /**
   * The agent's own relay, if it may go on with it. The margin is wider by one turn, because a relay that has just been
   * chosen is behind by that. Hand-outs count, so that a better relay draws agents off until it has its part, not all.
   */
  #kept(name: string, pick: number): Row | null {
    const row = this.#byName.get(name);
    if (row === undefined || !row.candidate || row.excludedIn === pick) return null;
    if (this.#settings.policy === 'weighted') return row;
    let best = row.key;
    for (const other of this.#candidates) {
      if (other.key < best && other.excludedIn !== pick) best = other.key;
    }
    return row.key - best <= this.#settings.keepMargin + row.sinceStep + row.turnStep ? row : null;
  }

  #handOut(row: Row): void {
    this.#handOuts += 1;
    this.#sinceZero += this.#settings.handOutLoad;
    this.#turnZero += this.#settings.tieLoad / this.#candidates.length;
    row.since += row.sinceStep;
    row.turn += row.turnStep;
    row.lastHandOut = this.#handOuts;
    row.handedOut += 1;
    row.handedOutSinceReport += 1;
  }

  #appendFallbacks(relays: string[], rows: readonly Row[], count: number): void {
    if (relays.length >= count || rows.length === 0) return;
    drawFallbacks(relays, count - relays.length, {
      rows,
      pick: this.#picks,
      scratch: this.#scratch,
      random: this.#random,
    });
  }

  #refusals(pick: number): RowRefusal[] {
    return this.#rows.map((row) => ({
      relay: row.name,
      state: row.health.state,
      reason: row.health.reason,
      excluded: row.excludedIn === pick,
    }));
  }

  #judgeAndRefresh(row: Row): void {
    const nowMs = this.#components.clock();
    this.#judge(row, nowMs);
    this.#refresh(nowMs);
  }

  #judge(row: Row, nowMs: number): void {
    const from = row.health.state;
    if (!row.health.judge(nowMs)) return;
    const { state: to, reason } = row.health;
    this.#components.onTransition({ relay: row.name, from, to, reason, at: nowMs });
  }

  /** Counts `since` and `turn` from the present, so that they never grow past what a float holds exactly. */
  #moveZero(): void {
    for (const row of this.#rows) {
      row.since -= this.#sinceZero;
      row.turn -= this.#turnZero;
    }
    this.#sinceZero = 0;
    this.#turnZero = 0;
  }

  #refresh(nowMs: number): void {
    this.#moveZero();
    this.#sortRows();
    let weights = 0;
    this.#weightSum = 0;
    for (const row of this.#candidates) {
      row.effectiveWeight = row.weight * row.health.rampAt(nowMs);
      weights += row.weight;
      this.#weightSum += row.effectiveWeight;
    }
    const meanWeight = weights / this.#candidates.length;
    for (const row of this.#candidates) this.#rate(row, meanWeight, nowMs);
    for (const row of this.#marked) if (!row.candidate) row.fallbackWeight = row.weight;
  }

  /** Who may be chosen now. */
  #sortRows(): void {
    this.#candidates.length = 0;
    this.#reserves.length = 0;
    this.#marked.length = 0;
    let wanted = 0;
    for (const row of this.#rows) {
      const { state } = row.health;
      if (state !== 'draining') wanted += 1;
      if (state === 'up') this.#candidates.push(row);
      else if (state === 'overloaded' || state === 'stale') this.#marked.push(row);
    }
    this.#panic = this.#candidates.length < wanted * this.#settings.panicFraction;
    if (this.#panic && this.#candidates.length > 0) this.#reserves.push(...this.#marked);
    if (this.#panic && this.#candidates.length === 0) this.#candidates.push(...this.#marked);
    for (const row of this.#rows) {
      const candidate = this.#candidates.includes(row);
      if (candidate && !row.candidate) row.enter(this.#handOuts);
      if (!candidate) row.effectiveWeight = 0;
      row.candidate = candidate;
    }
  }

  #rate(row: Row, meanWeight: number, nowMs: number): void {
    const { handOutLoad, tieLoad, minShareFraction } = this.#settings;
    const { load, reportAtMs } = row.health;
    const score = agedScore(load?.score ?? 1, nowMs - reportAtMs, this.#settings);
    // Per weight *before* slow start: a relay that comes back has little load and little weight, and dividing the one
    // by the other would keep it waiting for what its idle machine does anyway.
    row.load = Math.min(1, (score * meanWeight) / row.weight);
    const wait = this.#weightSum / row.effectiveWeight;
    row.sinceStep = handOutLoad * wait;
    row.turnStep = (tieLoad * wait) / this.#candidates.length;
    row.starvesAfter = minShareFraction > 0 ? wait / minShareFraction : Number.POSITIVE_INFINITY;
    row.fallbackWeight = row.effectiveWeight * Math.max(MIN_FALLBACK_HEADROOM, 1 - score);
  }
}
