import type { SecureContext } from 'node:tls';
import type { SessionStore } from '@sekisho/channel';
import { type Logger, printable } from '@sekisho/telemetry';
import type { Message, RefusalCode, RelayAddress } from '@sekisho/wire';
import type { Clock } from './clock.ts';
import type { AgentMetrics } from './agent-metrics.ts';
import { ControlSession, type ControlSessionHandler, type Hello } from './control-session.ts';
import type { ManagerFailure } from './manager-set.ts';
import type { ManagerResolver } from './resolver.ts';
import type { SlowSite } from './site-quality.ts';
import type { Steering } from './steering.ts';
import type { Command } from './steering-terms.ts';

export interface ManagerClientComponents {
  readonly steering: Steering;
  readonly clock: Clock;
  readonly resolver: Pick<ManagerResolver, 'resolve'>;
  readonly log: Logger;
  readonly metrics: Pick<AgentMetrics, 'managerFailures'>;
  readonly context: SecureContext;
  readonly sessions?: SessionStore | undefined;
  /** What a hello says at this moment, and the site whose relays it names. */
  readonly hello: () => { readonly hello: Hello; readonly namesOf: string | undefined };
  /** After every event: decisions may be others now. */
  readonly onChange: () => void;
}

export interface ManagerClientInit {
  readonly managerName: string;
  readonly managerPort: number;
  readonly budgetMs: number;
  readonly deadAfterMs: number;
  /** Instead of those of a lease. */
  readonly relays?: readonly RelayAddress[] | undefined;
}

/** The last no of a manager, for people. */
export interface LastRefusal {
  readonly code: RefusalCode;
  readonly manager: string;
  readonly text: string;
  readonly atMs: number;
}

/** Node's timers take 31 bits; nothing here waits longer than this anyway. */
const LONGEST_SLEEP_MS = 60_000;

/** Does what Steering says: looks names up, keeps connections to managers, wakes it when something is due. */
export class ManagerClient {
  lastRefusal: LastRefusal | undefined = undefined;
  readonly #components: ManagerClientComponents;
  readonly #init: ManagerClientInit;
  readonly #sessions = new Map<string, ControlSession>();
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(components: ManagerClientComponents, init: ManagerClientInit) {
    this.#components = components;
    this.#init = init;
  }

  start(): void {
    this.#event((steering, now) => steering.tick(now));
  }

  /** A relay of the lease is of no use; urgent when none is left. */
  renewSoon(isUrgent: boolean): void {
    this.#event((steering, now) => steering.renewSoon(now, isUrgent));
  }

  /** The site in use answers much more slowly than it did. */
  siteSlow(slow: SlowSite): void {
    this.#event((steering, now) => steering.siteSlow(now, slow));
  }

  /** Tells the manager in use of a session that has ended. */
  bye(message: Message<'bye'>): void {
    const { current } = this.#components.steering;
    if (current !== undefined) this.#sessions.get(current)?.bye(message);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
  }

  #event(tell: (steering: Steering, nowMs: number) => void): void {
    if (this.#isClosed) return;
    const { steering, clock, onChange } = this.#components;
    tell(steering, clock.now());
    for (const command of steering.take()) this.#do(command);
    clearTimeout(this.#timer);
    const sleepMs = Math.min(Math.max(steering.wakeAtMs - clock.now(), 0), LONGEST_SLEEP_MS);
    // A millisecond more: a timer may fire a fraction early, and would find nothing due.
    this.#timer = setTimeout(() => this.#event((steering, now) => steering.tick(now)), Math.ceil(sleepMs) + 1);
    onChange();
  }

  #do(command: Command): void {
    switch (command.type) {
      case 'lookUp':
        void this.#lookUp();
        break;
      case 'ask':
        this.#ask(command.address);
        break;
      case 'probe':
        this.#session(command.address).probe();
        break;
      case 'drop':
        this.#close(command.address);
        if (command.cause !== undefined) this.#report(command.address, command.cause, 'no answer in time');
        break;
    }
  }

  #ask(address: string): void {
    const { hello, namesOf } = this.#components.hello();
    this.#session(address).hello(hello, namesOf);
  }

  async #lookUp(): Promise<void> {
    const answer = await this.#components.resolver.resolve(this.#init.managerName);
    if (this.#isClosed) return;
    const { log, steering } = this.#components;
    const before = steering.zone.addresses;
    this.#event((steering, now) => steering.lookedUp(now, answer));
    const { addresses, problem } = steering.zone;
    const name = this.#init.managerName;
    if (problem !== undefined)
      log.warn(
        { event: 'dns_failed', name, problem, addresses },
        addresses.length > 0
          ? 'DNS gives no managers; the last known addresses stay in use'
          : 'DNS gives no managers: check the name and the DNS servers',
      );
    else if (addresses.join() !== before.join())
      log.info({ event: 'zone', name, addresses, before }, 'the managers in DNS have changed');
  }

  #session(address: string): ControlSession {
    const existing = this.#sessions.get(address);
    if (existing !== undefined) return existing;
    const { managerName, managerPort, budgetMs, deadAfterMs } = this.#init;
    const { context, sessions } = this.#components;
    const session = new ControlSession(
      { context, sessions, handler: this.#handlerOf(address) },
      { address, port: managerPort, managerName, timeoutMs: budgetMs, deadAfterMs },
    );
    this.#sessions.set(address, session);
    return session;
  }

  #handlerOf(address: string): ControlSessionHandler {
    const { log } = this.#components;
    return {
      onLease: (offer, push) => {
        if (push) log.info({ event: 'lease_push', manager: address, relays: offer.relays.map(({ name }) => name), reason: printable(offer.reason) }, 'the manager moves us to another relay');
        const { relays = offer.relays } = this.#init;
        this.#event((steering, now) => steering.leased(now, address, { ...offer, relays }));
      },
      onRefused: (code, text, retryAfterMs) => {
        this.lastRefusal = { code, manager: address, text: printable(text), atMs: Date.now() };
        log.warn({ event: 'manager_refused', manager: address, code, text: printable(text), retryAfterMs }, 'the manager said no; docs/errors.md says what to do');
        this.#event((steering, now) => steering.refused(now, address, code, retryAfterMs));
      },
      onAnswered: () => {
        this.#close(address);
        this.#event((steering, now) => steering.answered(now, address));
        if (this.#components.steering.isAlive(address))
          log.info({ event: 'manager_alive', manager: address }, 'a manager that had failed answers again');
      },
      onLost: (cause, problem) => {
        this.#sessions.delete(address);
        this.#report(address, cause, problem);
        this.#event((steering, now) => steering.lost(now, address, cause));
      },
    };
  }

  #report(address: string, cause: ManagerFailure, problem: string): void {
    const { log, metrics } = this.#components;
    metrics.managerFailures.inc({ cause });
    const line = { event: 'manager_failed', manager: address, cause, problem: printable(problem) };
    if (cause === 'tls' || cause === 'identity')
      log.error({ ...line, event: 'manager_identity' }, 'whoever answers at this address is not a manager of ours: check DNS and the certificates');
    else log.warn(line, 'a manager does not answer; it is tried again in the background');
  }

  #close(address: string): void {
    this.#sessions.get(address)?.close();
    this.#sessions.delete(address);
  }
}
