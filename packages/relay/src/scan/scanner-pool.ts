import type { Logger } from '@sekisho/telemetry';
import { PooledScanner } from './pooled-scanner.ts';
import { ScanJob, type ScanJobOwner } from './scan-job.ts';
import type { ScanResult, ScanSource } from './scanner.ts';
import { DEFAULT_SCANNER_TIMINGS, type ScannerTimings } from './scanner-timings.ts';

export interface ScannerStatus {
  /** As configured. */
  readonly address: string;
  readonly up: boolean;
  /** Why it is down; empty when nothing is wrong. */
  readonly why: string;
  /** Scans that it works on for this pool. */
  readonly inFlight: number;
  /** `ClamAV 1.4.3`; empty when unknown. */
  readonly engine: string;
  /** Version of its signature database; 0 when unknown. */
  readonly signatures: number;
  /** When that was made, milliseconds since 1970; 0 when unknown. */
  readonly signaturesAt: number;
}

/**
 * Shares scans between scanners that stand in for each other. A scan goes to the one that is up and has the fewest;
 * without a free place it waits its turn, in the order of arrival. How many wait is bounded by the callers, one a session.
 */
export class ScannerPool implements ScanJobOwner {
  readonly #timings: ScannerTimings;
  readonly #scanners: readonly PooledScanner[];
  readonly #jobs = new Set<ScanJob>();
  /** On no scanner yet, or on one that is down. */
  readonly #urgent = new Set<ScanJob>();
  /** On a slow scanner. They get what the others leave: else an overload would double itself. */
  readonly #hedging = new Set<ScanJob>();
  #turn = 0;

  /** @param components now: monotonic milliseconds. @throws Error for an address that is none */
  constructor(
    components: { readonly log: Logger; readonly now: () => number },
    init: { readonly scanners: readonly string[]; readonly maxInFlight: number; readonly timings?: Partial<ScannerTimings> },
  ) {
    const { maxInFlight } = init;
    this.#timings = { ...DEFAULT_SCANNER_TIMINGS, ...init.timings };
    const shared = { ...components, onChange: (scanner: PooledScanner) => this.#onChange(scanner) };
    this.#scanners = init.scanners.map((address) => new PooledScanner(shared, { address, maxInFlight, timings: this.#timings }));
  }

  /** Begins to check the scanners. */
  start(): void {
    for (const { health } of this.#scanners) health.start();
  }

  /**
   * Judges a complete message, within `timeoutMs` from now, waiting for a place and a second scanner included. Never
   * rejects. With the signal it ends at once.
   */
  scan(source: ScanSource, init: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<ScanResult> {
    const { timeoutMs, signal } = init;
    const job = new ScanJob({ owner: this, source }, { timeoutMs, hedgeMs: timeoutMs * this.#timings.hedgeShare, signal });
    this.#jobs.add(job);
    return job.run();
  }

  status(): readonly ScannerStatus[] {
    return this.#scanners.map(({ address, inFlight, health }) => ({ address, up: health.isUp, why: health.why, inFlight, ...health.version }));
  }

  /** Ends all scans and checks. */
  close(): void {
    for (const { health } of this.#scanners) health.stop();
    for (const job of this.#jobs) job.cancel();
  }

  want(job: ScanJob): void {
    if (job.isServed) this.#hedging.add(job);
    else if (job.isRunning || this.#canHope(job)) this.#urgent.add(job);
    else return job.giveUp();
    this.#serve();
  }

  onPlaceFreed(): void {
    this.#serve();
  }

  onSettled(job: ScanJob): void {
    this.#jobs.delete(job);
    this.#unqueue(job);
  }

  #unqueue(job: ScanJob): void {
    this.#urgent.delete(job);
    this.#hedging.delete(job);
  }

  #onChange(scanner: PooledScanner): void {
    if (scanner.health.isUp) return this.#serve();
    for (const job of this.#urgent) if (!job.isRunning && !this.#canHope(job)) job.giveUp();
    for (const job of scanner.jobs) job.onScannerDown();
  }

  #serve(): void {
    for (const queue of [this.#urgent, this.#hedging])
      for (const job of queue) {
        if (!this.#scanners.some(({ isFree }) => isFree)) return;
        const scanner = this.#choose(job);
        if (scanner === undefined) continue;
        this.#unqueue(job);
        void job.attempt(scanner);
      }
  }

  #canHope(job: ScanJob): boolean {
    return this.#scanners.some((scanner) => scanner.health.isUp && !job.hasTried(scanner));
  }

  /** The one with the fewest scans; before it, one that has not just failed. Equals take turns. */
  #choose(job: ScanJob): PooledScanner | undefined {
    const count = this.#scanners.length;
    const inTurn = this.#scanners.map((_, index) => this.#scanners[(index + this.#turn) % count]);
    this.#turn = (this.#turn + 1) % count;
    let best: PooledScanner | undefined;
    for (const scanner of inTurn) {
      if (scanner === undefined || !scanner.isFree || job.hasTried(scanner)) continue;
      if (best === undefined || isBetter(scanner, best)) best = scanner;
    }
    return best;
  }
}

function isBetter(one: PooledScanner, other: PooledScanner): boolean {
  if (one.health.isSuspect !== other.health.isSuspect) return other.health.isSuspect;
  return one.inFlight < other.inFlight;
}
