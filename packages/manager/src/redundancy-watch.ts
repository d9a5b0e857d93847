import type { Logger } from '@sekisho/telemetry';
import type { EventLog } from './event-log.ts';

/** What a site has more than one of, and the store, of which everybody has the same one. */
export const REDUNDANT_THINGS = ['relays', 'managers', 'auths', 'scanners', 'store'] as const;
export type RedundantThing = (typeof REDUNDANT_THINGS)[number];

/** How many of a kind there should be, how many there are, and which are missing. */
export interface RedundancyNow {
  readonly what: RedundantThing;
  readonly want: number;
  readonly have: number;
  /** Names of site.yaml: of relays for `relays` and `scanners` (who misses one), `store` for the store. */
  readonly lost: readonly string[];
}

/** As `sekisho status` shows it. */
export interface RedundancyStatus extends RedundancyNow {
  /** Since when something of this kind is missing without a break, milliseconds since 1970; null when nothing is. */
  readonly since: number | null;
}

export interface RedundancyWatchComponents {
  readonly log: Logger;
  readonly events: EventLog;
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  /** What there is at this moment, each kind once. */
  read(): readonly RedundancyNow[];
}

/** What an operator does next. */
const NEXT: Readonly<Record<RedundantThing, string>> = {
  relays: 'look at the process, the machine and port relayControl of that server',
  managers: 'look at the process, the machine and port manager of that server',
  auths: 'look at the process, the machine and port auth of that server',
  scanners: 'look at the clamd that `sekisho status` names for that relay',
  store: 'look at Redis, or at the disk of the SQLite file; orders are refused until it is back',
};

/**
 * The one place where a site sees that it has less than it was given: the half of a pair that dies silently is the one
 * that is missed when the other half dies. It tells of each change once; nothing is decided by it.
 */
export class RedundancyWatch {
  readonly #components: RedundancyWatchComponents;
  readonly #since = new Map<RedundantThing, number>();
  /** The loss that was last told, in words. */
  readonly #told = new Map<RedundantThing, string>();

  constructor(components: RedundancyWatchComponents) {
    this.#components = components;
  }

  /** How it is now; tells of what has changed. To be called each second, and whenever somebody wants to know. */
  look(): RedundancyStatus[] {
    return this.#components.read().map((now) => this.#lookAt(now));
  }

  #lookAt(now: RedundancyNow): RedundancyStatus {
    const { what, lost } = now;
    if (lost.length === 0) {
      this.#since.delete(what);
      if (this.#told.delete(what)) this.#tell(now);
      return { ...now, since: null };
    }
    const since = this.#since.get(what) ?? this.#components.clock.now();
    this.#since.set(what, since);
    const text = textOf(now);
    if (this.#told.get(what) !== text) {
      this.#told.set(what, text);
      this.#tell(now);
    }
    return { ...now, since };
  }

  #tell(now: RedundancyNow): void {
    const { log, events } = this.#components;
    const { what, want, have, lost } = now;
    const event = lost.length === 0 ? 'redundancy_back' : 'redundancy_lost';
    const fields = { event, of: what, have, want, lost };
    events.add(event, textOf(now));
    if (lost.length === 0) log.info(fields, `nothing is missing any more: ${textOf(now)}`);
    else log[have === 0 ? 'error' : 'warn'](fields, `${textOf(now)}: ${NEXT[what]}`);
  }
}

function textOf({ what, want, have, lost }: RedundancyNow): string {
  return `${what} ${have} of ${want}${lost.length === 0 ? '' : `, without ${lost.join(', ')}`}`;
}
