import { type Mail, mailBytes, type RunId } from './content/mail.ts';
import type { Ledger } from './figures/ledger.ts';
import type { Tally } from './figures/tally.ts';
import type { Failure } from './load-error.ts';
import { drawSize } from './mix.ts';
import type { Pacer } from './pacer.ts';
import { exponential, type Random } from './random.ts';
import { Session, type SessionHandler, type SessionKind, type Target } from './session.ts';
import type { Traffic } from './traffic.ts';

export interface GeneratorComponents {
  readonly ledger: Ledger;
  readonly tally: Tally;
  readonly pacer: Pacer | undefined;
  readonly random: Random;
}

export interface GeneratorInit {
  readonly run: RunId;
  readonly worker: number;
  readonly traffic: Traffic;
  /** Where the clients of each kind connect to; they are dealt out over these. */
  readonly targets: Readonly<Record<SessionKind, readonly Target[]>>;
  readonly tlsCaPem: string | undefined;
}

/** Clients do not all come in the same moment: no listener has room for thousands of them. */
const START_BATCH = 50;
const START_TICK_MS = 10;
/** Whoever failed waits so long, whatever its think time: a destination that is gone must not be stormed. */
const FAILURE_PAUSE_MS = 200;
const SWEEP_MS = 1000;
const ARRIVAL_TICK_MS = 1;

/** The simulated clients of one process. */
export class Generator implements SessionHandler {
  readonly #components: GeneratorComponents;
  readonly #init: GeneratorInit;
  readonly #sessions = new Set<Session>();
  /** Bytes of each client in sessions that are over. */
  readonly #moved: Float64Array;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #idle: number[] = [];
  #sweeps = 0;
  #begun = 0;
  #isStopping = false;
  #onQuiet: (() => void) | undefined;

  constructor(components: GeneratorComponents, init: GeneratorInit) {
    this.#components = components;
    this.#init = init;
    this.#moved = new Float64Array(init.traffic.clients);
  }

  get active(): number {
    return this.#sessions.size;
  }

  /** Bytes of each client so far. */
  moved(): Float64Array {
    const all = Float64Array.from(this.#moved);
    for (const session of this.#sessions) all[session.client] = (all[session.client] ?? 0) + session.bytesMoved;
    return all;
  }

  start(): void {
    const { loop, clients } = this.#init.traffic;
    this.#timers.add(setInterval(() => this.#sweep(), SWEEP_MS));
    if (loop.kind === 'closed') return this.#startClients(0);
    for (let client = clients - 1; client >= 0; client -= 1) this.#idle.push(client);
    return this.#startArrivals(loop.perSecond);
  }

  /** Begins no more sessions; resolves when the last is over, or when those left were broken off after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onQuiet = resolve;
    const timer = setTimeout(() => {
      for (const session of this.#sessions) session.abort('unfinished');
    }, graceMs);
    this.#announceIfQuiet();
    await promise;
    clearTimeout(timer);
    for (const one of this.#timers) clearInterval(one);
  }

  onConnected(us: number): void {
    this.#components.tally.time('connect', us);
  }

  onGreeting(us: number, sinceConnectedUs: number): void {
    const { tally } = this.#components;
    tally.time('timeToRelay', us);
    tally.time('greeting', sinceConnectedUs);
  }

  nextMail(session: Session): Mail | undefined {
    const { traffic, worker } = this.#init;
    const { random, ledger } = this.#components;
    if (session.mails > 0 && (!traffic.bulk || this.#isStopping)) return undefined;
    session.mails += 1;
    const isFetch = session.kind === 'fetch';
    // A fetching client has named one size at its beginning.
    const bytes = isFetch && session.mailBytes > 0 ? session.mailBytes : mailBytes(drawSize(traffic.mix, random));
    session.mailBytes = bytes;
    if (!isFetch) return { worker, sequence: ledger.send(), bytes };
    ledger.asked += 1;
    return { worker, sequence: ledger.asked - 1, bytes };
  }

  onMail(session: Session, mail: Mail): void {
    const { ledger, tally } = this.#components;
    if (session.kind === 'send') ledger.accepted(mail.sequence);
    else ledger.fetched += 1;
    tally.mail(session.kind === 'send' ? 'up' : 'down');
  }

  onBytes(session: Session, bytes: number): void {
    if (session.kind === 'fetch') this.#components.tally.bytes('down', bytes);
  }

  onEnd(session: Session, failure: Failure | undefined): void {
    const { tally, ledger } = this.#components;
    this.#sessions.delete(session);
    this.#moved[session.client] = (this.#moved[session.client] ?? 0) + session.bytesMoved;
    if (failure === undefined) tally.completed((performance.now() - session.startedAtMs) * 1000);
    else {
      tally.failed(failure);
      if (failure.code === 'altered') ledger.fetchedAltered += 1;
    }
    this.#announceIfQuiet();
    if (!this.#isStopping) this.#goOn(session.client, failure !== undefined);
  }

  #goOn(client: number, hasFailed: boolean): void {
    const { loop } = this.#init.traffic;
    if (loop.kind === 'open') {
      this.#idle.push(client);
      return;
    }
    const thinkMs = loop.thinkMs > 0 ? exponential(loop.thinkMs, this.#components.random) : 0;
    const pauseMs = hasFailed ? Math.max(thinkMs, FAILURE_PAUSE_MS) : thinkMs;
    if (pauseMs === 0) setImmediate(() => this.#begin(client));
    else this.#after(pauseMs, () => this.#begin(client));
  }

  #startClients(from: number): void {
    const { clients, loop } = this.#init.traffic;
    if (this.#isStopping) return;
    const to = Math.min(from + START_BATCH, clients);
    for (let client = from; client < to; client += 1) {
      // With pauses between sessions, a client may as well be in the first one.
      if (loop.kind === 'closed' && loop.thinkMs > 0) this.#after(this.#components.random() * loop.thinkMs, () => this.#begin(client));
      else this.#begin(client);
    }
    if (to < clients) this.#after(START_TICK_MS, () => this.#startClients(to));
  }

  #startArrivals(perSecond: number): void {
    const { random, tally } = this.#components;
    let nextMs = performance.now() + exponential(1000 / perSecond, random);
    const timer = setInterval(() => {
      if (this.#isStopping) return;
      for (const nowMs = performance.now(); nextMs <= nowMs; nextMs += exponential(1000 / perSecond, random)) {
        const client = this.#idle.pop();
        if (client === undefined) tally.failed({ code: 'not_started', stage: 'connect' });
        else this.#begin(client);
      }
    }, ARRIVAL_TICK_MS);
    this.#timers.add(timer);
  }

  #begin(client: number): void {
    if (this.#isStopping) return;
    const { run, targets, tlsCaPem } = this.#init;
    const kind = this.#kindOf(client);
    const target = targets[kind][this.#begun % targets[kind].length];
    if (target === undefined) return;
    this.#begun += 1;
    const session = new Session({ handler: this, pacer: this.#components.pacer }, { run, kind, client, target, tlsCaPem });
    session.lastSweep = this.#sweeps;
    this.#sessions.add(session);
  }

  /** In bulk a client is one or the other for good, and both kinds are spread evenly. */
  #kindOf(client: number): SessionKind {
    const { bulk, mix } = this.#init.traffic;
    if (bulk) return Math.floor((client + 1) * mix.fetchShare) > Math.floor(client * mix.fetchShare) ? 'fetch' : 'send';
    return this.#components.random() < mix.fetchShare ? 'fetch' : 'send';
  }

  #sweep(): void {
    this.#sweeps += 1;
    const oldest = this.#sweeps - Math.max(Math.ceil(this.#init.traffic.timeoutMs / SWEEP_MS), 1);
    for (const session of this.#sessions) {
      if (session.hasMoved()) session.lastSweep = this.#sweeps;
      else if (session.lastSweep < oldest) session.abort('silent');
    }
  }

  #after(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  #announceIfQuiet(): void {
    if (this.#isStopping && this.#sessions.size === 0) this.#onQuiet?.();
  }
}
