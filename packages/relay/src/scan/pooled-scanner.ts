import type { Logger } from '@sekisho/telemetry';
import { Clamd } from './clamd.ts';
import type { ScanJob } from './scan-job.ts';
import type { ScanOutcome, ScanSource } from './scanner.ts';
import { parseScannerAddress } from './scanner-address.ts';
import { ScannerHealth } from './scanner-health.ts';
import type { ScannerTimings } from './scanner-timings.ts';

/** One scanner of the pool, its health, and what it works on. */
export class PooledScanner {
  /** As configured. */
  readonly address: string;
  readonly health: ScannerHealth;
  readonly #clamd: Clamd;
  readonly #log: Logger;
  readonly #maxInFlight: number;
  readonly #jobs = new Set<ScanJob>();

  /** @param components onChange: it went up or down; now: monotonic milliseconds. @throws Error for an address that is none */
  constructor(
    components: { readonly log: Logger; readonly now: () => number; readonly onChange: (scanner: PooledScanner) => void },
    init: { readonly address: string; readonly maxInFlight: number; readonly timings: ScannerTimings },
  ) {
    const { log, now } = components;
    const { address, timings } = init;
    this.address = address;
    this.#log = log;
    this.#maxInFlight = init.maxInFlight;
    this.#clamd = new Clamd({ address: parseScannerAddress(address), timings });
    this.health = new ScannerHealth({ log, now, clamd: this.#clamd, onChange: () => components.onChange(this) }, { address, timings });
  }

  /** Up, and with a place. */
  get isFree(): boolean {
    return this.health.isUp && this.#jobs.size < this.#maxInFlight;
  }

  get inFlight(): number {
    return this.#jobs.size;
  }

  get jobs(): Iterable<ScanJob> {
    return this.#jobs;
  }

  /** Never rejects. The place is taken until it resolves. */
  async scan(job: ScanJob, source: ScanSource, signal: AbortSignal): Promise<ScanOutcome> {
    this.#jobs.add(job);
    const outcome = await this.#clamd.scan(source, signal);
    this.#jobs.delete(job);
    if (outcome.kind === 'clean' && this.health.isBlind) return { kind: 'failed', why: this.health.why };
    if (outcome.kind === 'failed' && !signal.aborted) {
      this.#log.debug({ event: 'scan_failed', scanner: this.address, why: outcome.why, bytes: source.bytes }, 'another scanner is asked, if there is one');
      this.health.onScanFailed();
    }
    return outcome;
  }
}
