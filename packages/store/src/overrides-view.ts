import { overridesInForce, type Override, type OverrideRegister, type OverridesSnapshot } from './override.ts';
import type { Store } from './store.ts';

/** Where the view says what an operator should know. A pino logger is one. */
export interface ViewLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface OverridesViewComponents {
  readonly store: Store;
  /** Milliseconds since 1970. */
  readonly clock: { now(): number };
  readonly log: ViewLog;
  /** Told the overrides in force whenever they have changed. Must not throw. */
  readonly onChange?: ((overrides: ReadonlyMap<string, Override>) => void) | undefined;
}

/** How far the view can be trusted. */
export interface OverridesViewStatus {
  /** When the store was last heard, in milliseconds since 1970; null if never. */
  readonly confirmedAt: number | null;
  /** Why the store was not heard at the last attempt; null if it was. */
  readonly failure: Error | null;
}

const DEFAULT_POLL_INTERVAL_MS = 1000;

/**
 * The overrides as one manager sees them: the store's while it answers, the last known ones while it does not, and
 * those written back when it has lost its data (docs/decisions: overrides after a loss of the store).
 */
export class OverridesView {
  readonly #components: OverridesViewComponents;
  readonly #pollIntervalMs: number;
  #known: OverridesSnapshot | undefined;
  #inForce: ReadonlyMap<string, Override> = new Map();
  #status: OverridesViewStatus = { confirmedAt: null, failure: null };
  #lastPoll: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #running = false;

  constructor(components: OverridesViewComponents, init: { readonly pollIntervalMs?: number | undefined } = {}) {
    this.#components = components;
    this.#pollIntervalMs = init.pollIntervalMs ?? DEFAULT_POLL_INTERVAL_MS;
  }

  /** The overrides in force, by relay. Empty until the store was heard once. */
  current(): ReadonlyMap<string, Override> {
    return this.#inForce;
  }

  status(): OverridesViewStatus {
    return this.#status;
  }

  /** Polls now and then at each interval until {@link close}. Resolves after the first poll, whatever its outcome. */
  async start(): Promise<void> {
    this.#running = true;
    await this.#pollAndSchedule();
  }

  /** Compares with the store once. Never rejects: see {@link status}. Polls are made one after the other. */
  poll(): Promise<void> {
    this.#lastPoll = this.#lastPoll.then(() => this.#pollOnce());
    return this.#lastPoll;
  }

  /**
   * Carries out an operator's order. It is in force here when this resolves. Throws StoreError: while the store is
   * down an order is refused, because the site's other managers would not hear of it.
   */
  async set(relay: string, order: Omit<Override, 'at'>): Promise<void> {
    await this.#components.store.setOverride(relay, { ...order, at: this.#timeOfChange(relay) });
    await this.poll();
  }

  /** Takes an order back; otherwise as {@link set}. */
  async clear(relay: string, by: string): Promise<void> {
    await this.#components.store.clearOverride(relay, { by, at: this.#timeOfChange(relay) });
    await this.poll();
  }

  /** Ends polling and waits for a poll under way. The store stays open. */
  async close(): Promise<void> {
    this.#running = false;
    clearTimeout(this.#timer);
    await this.#lastPoll;
  }

  async #pollAndSchedule(): Promise<void> {
    await this.poll();
    if (!this.#running) return;
    this.#timer = setTimeout(() => void this.#pollAndSchedule(), this.#pollIntervalMs);
  }

  async #pollOnce(): Promise<void> {
    try {
      await this.#refresh();
      this.#confirm();
    } catch (error) {
      // Whatever it is, it must not end the manager: it goes on with what it knows.
      this.#noteFailure(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #refresh(): Promise<void> {
    const { store, log } = this.#components;
    if ((await store.revision()) === this.#known?.revision) return;
    const snapshot = await store.overridesSnapshot();
    const known = this.#known;
    if (known === undefined || known.registers.size === 0 || !hasLost(snapshot, known)) {
      this.#adopt(snapshot);
      return;
    }
    this.#adopt(await store.restoreOverrides(known.registers));
    log.warn({ overrides: known.registers.size }, 'the store has lost its data: the last known overrides are written back');
  }

  #adopt(snapshot: OverridesSnapshot): void {
    const before = this.#inForce;
    this.#known = snapshot;
    this.#inForce = overridesInForce(snapshot.registers);
    if (!sameOverrides(before, this.#inForce)) this.#components.onChange?.(this.#inForce);
  }

  #confirm(): void {
    if (this.#status.failure !== null) this.#components.log.info({}, 'the store answers again');
    this.#status = { confirmedAt: this.#components.clock.now(), failure: null };
  }

  #noteFailure(failure: Error): void {
    if (this.#status.failure === null)
      this.#components.log.warn(
        { reason: failure.message, overrides: this.#inForce.size },
        'the store does not answer: the last known overrides stay in force',
      );
    this.#status = { ...this.#status, failure };
  }

  /** After everything this manager has seen of the relay, even if another manager's clock is ahead. */
  #timeOfChange(relay: string): number {
    const previous: OverrideRegister | undefined = this.#known?.registers.get(relay);
    return Math.max(this.#components.clock.now(), (previous?.at ?? -1) + 1);
  }
}

/** A store never goes back by itself: another epoch means wiped, fewer changes mean an older copy came back. */
function hasLost(snapshot: OverridesSnapshot, known: OverridesSnapshot): boolean {
  return snapshot.epoch !== known.epoch || snapshot.changes < known.changes;
}

function sameOverrides(a: ReadonlyMap<string, Override>, b: ReadonlyMap<string, Override>): boolean {
  if (a.size !== b.size) return false;
  for (const [relay, { drain, weight, by, at }] of a) {
    const other = b.get(relay);
    if (other === undefined || other.drain !== drain || other.weight !== weight) return false;
    if (other.by !== by || other.at !== at) return false;
  }
  return true;
}
