import type { RefusalCode, RelayAddress } from '@sekisho/wire';
import type { Lease, LeaseOffer } from '../lease-state.ts';
import type { LinkState, Route } from '../route.ts';
import { Steering } from '../steering.ts';
import type { SteeringInit } from '../steering-terms.ts';

/** How a manager behaves in virtual time. */
export type Behaviour =
  | { readonly kind: 'lease'; readonly delayMs: number }
  | { readonly kind: 'refuse'; readonly code: RefusalCode; readonly delayMs: number }
  | { readonly kind: 'unreachable'; readonly delayMs: number }
  | { readonly kind: 'silent' };

export const good: Behaviour = { kind: 'lease', delayMs: 20 };
export const silent: Behaviour = { kind: 'silent' };

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const INIT: SteeringInit = {
  zone: { ttlMinMs: 30_000, ttlMaxMs: 1_200_000, retryFirstMs: 1000 },
  failMode: 'open',
  managerStaggerMs: 300,
  managerBudgetMs: 5000,
  managerRetry: { firstMs: 1000, maxMs: 60_000 },
  refusalRetry: { firstMs: 5000, maxMs: 120_000 },
  moveJitterMs: 2000,
  // Never, in a test that does not say so.
  rehomeMs: 1e12,
};

const RELAYS: readonly RelayAddress[] = [
  { name: 's1', host: '192.0.2.1', port: 7026 },
  { name: 's2', host: '192.0.2.2', port: 7026 },
];
const DNS_DELAY_MS = 5;
/** More steps than this in one run is a loop that does not wait. */
const MAX_STEPS = 200_000;

/** One agent's Steering with managers, DNS and a clock that exist in memory only. */
export class VirtualMesh {
  now = 0;
  readonly steering: Steering;
  /** By address; who is not here does not answer. */
  readonly managers = new Map<string, Behaviour>();
  /** What DNS says; undefined: nothing at all. */
  zone: readonly string[] | undefined = [];
  ttlMs = 60_000;
  lease = { ttlMs: 600_000, renewAfterMs: 300_000 };
  /** By site and name; ready if it is not here. */
  linkStates = new Map<string, LinkState>();
  /** The site of a manager. */
  siteOf: (address: string) => string = () => 'tokyo-1';
  /** Every connection that was begun: when and to whom. */
  readonly attempts: { readonly atMs: number; readonly address: string; readonly type: 'ask' | 'probe' }[] = [];
  readonly lookUps: number[] = [];
  /** After every step. */
  onStep: () => void = () => {};
  #events: { readonly atMs: number; readonly run: () => void }[] = [];
  readonly #open = new Map<string, symbol>();

  constructor(seed = 1, init: Partial<SteeringInit> = {}) {
    this.steering = new Steering({ random: seeded(seed) }, { ...INIT, ...init });
  }

  /** Addresses to which there is a connection, or an attempt at one. */
  get connections(): string[] {
    return [...this.#open.keys()];
  }

  decide(): Route {
    return this.steering.decide(this.now, this.#link);
  }

  decideFinally(): Route {
    return this.steering.decideFinally(this.now, this.#link);
  }

  readonly #link = ({ site }: Lease, { name }: RelayAddress): LinkState => this.linkStates.get(`${site}/${name}`) ?? 'ready';

  /** No relay of a site can be used, and a client has noticed it; or all is well again. */
  setRelays(site: string, state: LinkState): void {
    for (const { name } of RELAYS) this.linkStates.set(`${site}/${name}`, state);
  }

  /** As a session, or the pool of links, does. */
  renewSoon(isUrgent: boolean): void {
    this.steering.renewSoon(this.now, isUrgent);
    this.#obey();
  }

  siteSlow(medianMs: number): void {
    const site = this.steering.lease(this.now)?.site ?? '';
    this.steering.siteSlow(this.now, { site, medianMs, bestMs: 10, samples: 6 });
    this.#obey();
  }

  /** The current manager's connection breaks. */
  breakCurrent(): void {
    const { current } = this.steering;
    if (current === undefined) return;
    this.#open.delete(current);
    this.steering.lost(this.now, current, 'closed');
    this.#obey();
  }

  run(forMs: number): void {
    const endMs = this.now + forMs;
    this.steering.tick(this.now);
    this.#obey();
    for (let step = 0; ; step += 1) {
      if (step > MAX_STEPS) throw new Error(`steering does not rest at ${this.now} ms`);
      this.onStep();
      const [event] = this.#events.sort((a, b) => a.atMs - b.atMs);
      const wakeAtMs = Math.max(this.steering.wakeAtMs, this.now);
      const nextMs = Math.min(event?.atMs ?? Number.POSITIVE_INFINITY, wakeAtMs);
      if (nextMs > endMs) break;
      this.now = nextMs;
      if (event !== undefined && event.atMs <= wakeAtMs) {
        this.#events.shift();
        event.run();
      } else this.steering.tick(this.now);
      this.#obey();
    }
    this.now = endMs;
  }

  /** Runs until there is a lease, or throws; how long it took. */
  runUntilLease(withinMs: number): number {
    const startedAtMs = this.now;
    while (this.steering.lease(this.now) === undefined) {
      if (this.now - startedAtMs > withinMs) throw new Error(`no lease within ${withinMs} ms`);
      this.run(1);
    }
    return this.now - startedAtMs;
  }

  offer(address: string): LeaseOffer {
    return { site: this.siteOf(address), manager: 'm1', relays: RELAYS, ticket: Buffer.alloc(0), reason: 'test', ...this.lease };
  }

  after(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.now + delayMs, run });
  }

  #obey(): void {
    for (const command of this.steering.take()) {
      if (command.type === 'lookUp') {
        this.lookUps.push(this.now);
        this.after(DNS_DELAY_MS, () => this.#answerDns());
      } else if (command.type === 'drop') this.#open.delete(command.address);
      else {
        this.attempts.push({ atMs: this.now, address: command.address, type: command.type });
        this.#contact(command.address, command.type);
      }
    }
  }

  #answerDns(): void {
    const { zone, ttlMs } = this;
    this.steering.lookedUp(this.now, {
      ipv4: zone === undefined ? undefined : { addresses: zone, ttlMs },
      ipv6: zone === undefined ? undefined : { addresses: [], ttlMs: 0 },
    });
  }

  #contact(address: string, type: 'ask' | 'probe'): void {
    const behaviour = this.managers.get(address) ?? { kind: 'silent' };
    if (type === 'probe' && this.#open.has(address)) throw new Error(`a second connection to ${address}`);
    const token = Symbol(address);
    this.#open.set(address, token);
    if (behaviour.kind === 'silent') return;
    this.after(behaviour.delayMs, () => {
      if (this.#open.get(address) === token) this.#answer(address, type, behaviour);
    });
  }

  #answer(address: string, type: 'ask' | 'probe', behaviour: Exclude<Behaviour, { kind: 'silent' }>): void {
    if (behaviour.kind === 'unreachable' || type === 'probe') this.#open.delete(address);
    if (behaviour.kind === 'unreachable') this.steering.lost(this.now, address, 'unreachable');
    else if (type === 'probe') this.steering.answered(this.now, address);
    else if (behaviour.kind === 'lease') this.steering.leased(this.now, address, this.offer(address));
    else this.steering.refused(this.now, address, behaviour.code, 0);
  }
}

/** A mesh whose zone has these managers. */
export function meshOf(behaviours: Readonly<Record<string, Behaviour>>, seed = 1, init: ConstructorParameters<typeof VirtualMesh>[1] = {}): VirtualMesh {
  const virtual = new VirtualMesh(seed, init);
  virtual.zone = Object.keys(behaviours);
  for (const [address, behaviour] of Object.entries(behaviours)) virtual.managers.set(address, behaviour);
  return virtual;
}
