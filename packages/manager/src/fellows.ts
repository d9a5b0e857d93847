import type { secureContext } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import type { DriftWatch, ServerFacts } from './drift-watch.ts';
import type { EventLog } from './event-log.ts';
import { SiteLink } from './site-link.ts';

/** Another manager of the same site, as site.yaml has it. */
export interface FellowAddress {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A manager of the site as this one sees it. */
export interface FellowStatus extends FellowAddress, ServerFacts {
  readonly up: boolean;
  /** Since when it does not answer, milliseconds since 1970; null while it does, and in the first seconds. */
  readonly lostAt: number | null;
  /** Why not, in words. */
  readonly reason: string | null;
}

export interface FellowsComponents {
  readonly log: Logger;
  readonly events: EventLog;
  readonly drift: DriftWatch;
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  /** At least 0 and below 1. */
  readonly random: () => number;
}

export interface FellowsInit {
  readonly site: string;
  readonly fellows: readonly FellowAddress[];
  readonly context: ReturnType<typeof secureContext>;
}

/** One that is started after this one is not lost yet. */
const START_GRACE_MS = 3000;
/** How often a fellow is asked whether it is there: a loss is to be seen within seconds, and nothing hangs on it. */
const FELLOW_PING_MS = 1000;
const FELLOW_PENDING = 2;

interface Watched {
  readonly address: FellowAddress;
  readonly link: SiteLink;
  reason: string | null;
  lostAt: number | null;
}

/**
 * The other managers of the site, watched so that an operator sees when one is lost. Observation only: no lease, no table
 * and no order depends on what is seen here, since there is no master and a manager needs no other one.
 */
export class Fellows {
  readonly #components: FellowsComponents;
  readonly #fellows: readonly Watched[];
  #startedAt = 0;

  constructor(components: FellowsComponents, init: FellowsInit) {
    this.#components = components;
    this.#fellows = init.fellows.map((address) => this.#watch(address, init));
  }

  /** Does not wait for any of them. */
  start(): void {
    this.#startedAt = this.#components.clock.now();
    for (const { link } of this.#fellows) void link.start();
  }

  close(): void {
    for (const { link } of this.#fellows) link.close();
  }

  /** To be called each second: one that was not there from the start is missed a few seconds later. */
  tick(): void {
    if (this.#isEarly()) return;
    for (const fellow of this.#fellows) if (!fellow.link.up && fellow.lostAt === null) this.#lost(fellow);
  }

  /** In the order of site.yaml. */
  list(): FellowStatus[] {
    return this.#fellows.map(({ address, link, reason, lostAt }) => ({
      ...address,
      ...this.#components.drift.of('manager', address.name),
      up: link.up,
      lostAt,
      reason,
    }));
  }

  #watch(address: FellowAddress, { site, context }: FellowsInit): Watched {
    const link = new SiteLink(
      {
        random: this.#components.random,
        onUp: () => this.#reached(watched),
        onWelcome: (introduction) => this.#components.drift.note('manager', address.name, introduction),
        onPong: () => {},
        onFailure: (reason) => this.#failed(watched, reason),
      },
      {
        ...address,
        context,
        expect: { role: 'manager', site },
        pingIntervalMs: FELLOW_PING_MS,
        pingTimeoutMs: FELLOW_PING_MS,
        maxPending: FELLOW_PENDING,
      },
    );
    const watched: Watched = { address, link, reason: null, lostAt: null };
    return watched;
  }

  #reached(fellow: Watched): void {
    const { log, events } = this.#components;
    const { name } = fellow.address;
    fellow.reason = null;
    fellow.lostAt = null;
    log.info({ event: 'manager_reached', manager: name }, `manager ${name} is connected`);
    events.add('manager_reached', name);
  }

  /** A ping without answer is none yet: the connection is given up after three of them. */
  #failed(fellow: Watched, reason: string): void {
    fellow.reason = printable(reason);
    if (!fellow.link.up && fellow.lostAt === null && !this.#isEarly()) this.#lost(fellow);
  }

  #lost(fellow: Watched): void {
    const { log, events, clock } = this.#components;
    const { name } = fellow.address;
    fellow.lostAt = clock.now();
    const reason = fellow.reason ?? 'no answer yet';
    log.warn(
      { event: 'manager_lost', manager: name, reason },
      `manager ${name} of this site does not answer: look at its process and machine; agents use the other managers`,
    );
    events.add('manager_lost', `${name}: ${reason}`);
  }

  #isEarly(): boolean {
    return this.#components.clock.now() - this.#startedAt < START_GRACE_MS;
  }
}
