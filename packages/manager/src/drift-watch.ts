import { type About, CLOCK_DIFFERS_MS } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import type { EventLog } from './event-log.ts';
import type { Introduction } from './site-link.ts';

/** What another server of the site has said of itself, as status shows it; null: it has not said so. */
export interface ServerFacts {
  readonly software: string | null;
  readonly config: string | null;
  /** Its clock minus ours. */
  readonly clockOffsetMs: number | null;
}

export interface DriftWatchComponents {
  readonly log: Logger;
  readonly events: EventLog;
}

const NOTHING: ServerFacts = { software: null, config: null, clockOffsetMs: null };

interface Known {
  readonly facts: ServerFacts;
  readonly drifts: boolean;
  readonly clockDiffers: boolean;
}

/** Compares the other servers of the site with this manager, and tells of each difference once. */
export class DriftWatch {
  readonly #components: DriftWatchComponents;
  readonly #about: About | undefined;
  readonly #known = new Map<string, Known>();

  constructor(components: DriftWatchComponents, init: { readonly about?: About | undefined }) {
    this.#components = components;
    this.#about = init.about;
  }

  of(role: 'auth' | 'relay' | 'manager', name: string): ServerFacts {
    return this.#known.get(`${role} ${name}`)?.facts ?? NOTHING;
  }

  /** What a server of site.yaml has said in a welcome. */
  note(role: 'auth' | 'relay' | 'manager', name: string, { software, config, clockOffsetMs }: Introduction): void {
    const key = `${role} ${name}`;
    const before = this.#known.get(key);
    const drifts = config !== undefined && this.#about !== undefined && config !== this.#about.config;
    const clockDiffers = clockOffsetMs !== undefined && Math.abs(clockOffsetMs) > CLOCK_DIFFERS_MS;
    const facts = { software: printable(software), config: config === undefined ? null : printable(config), clockOffsetMs: clockOffsetMs ?? null };
    this.#known.set(key, { facts, drifts, clockDiffers });
    if (drifts !== (before?.drifts ?? false)) this.#tellOfDrift(key, drifts, facts);
    if (clockDiffers !== (before?.clockDiffers ?? false)) this.#tellOfClock(key, clockDiffers, facts);
  }

  #tellOfDrift(server: string, drifts: boolean, { config }: ServerFacts): void {
    const { log, events } = this.#components;
    if (drifts)
      log.warn(
        { event: 'config_drift', server, config, own: this.#about?.config ?? null },
        `${server} runs with another configuration: give all servers of the site the same site.yaml, and restart those that have not read it`,
      );
    else log.info({ event: 'config_agrees', server }, `${server} runs with the same configuration`);
    events.add(drifts ? 'config_drift' : 'config_agrees', server);
  }

  #tellOfClock(server: string, differs: boolean, { clockOffsetMs }: ServerFacts): void {
    const { log, events } = this.#components;
    const offset = `${server}: ${Math.round((clockOffsetMs ?? 0) / 1000)} s`;
    if (differs)
      log.warn(
        { event: 'clock_differs', server, clockOffsetMs },
        `the clock of ${server} is not ours: look at NTP on both servers, tickets fail when clocks are a minute apart`,
      );
    else log.info({ event: 'clock_agrees', server, clockOffsetMs }, `the clock of ${server} is ours again`);
    events.add(differs ? 'clock_differs' : 'clock_agrees', offset);
  }
}
