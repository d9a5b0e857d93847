import type { PooledScanner } from './pooled-scanner.ts';
import type { ScanOutcome, ScanResult, ScanSource } from './scanner.ts';

/** What a job asks of the pool. */
export interface ScanJobOwner {
  /** The job wants a scanner that it has not tried. It comes by attempt(), or giveUp() says that there will be none. */
  want(job: ScanJob): void;
  /** A place has been freed. */
  onPlaceFreed(): void;
  /** The job wants nothing more. */
  onSettled(job: ScanJob): void;
}

/**
 * One message on its way through the pool. It is on one scanner, and goes to another when that fails (each is asked
 * once); when a part of the time has passed without a verdict, or the scanner has gone down meanwhile, a second one is asked
 * as well, and the first verdict is taken. So a scanner that hangs costs a message a part of its time and no verdict.
 */
export class ScanJob {
  readonly #owner: ScanJobOwner;
  readonly #source: ScanSource;
  readonly #signal: AbortSignal | undefined;
  readonly #timeoutMs: number;
  readonly #hedgeMs: number;
  readonly #settled = Promise.withResolvers<ScanResult>();
  readonly #tried = new Set<PooledScanner>();
  readonly #running = new Map<PooledScanner, AbortController>();
  readonly #failures: string[] = [];
  readonly #onAbort = (): void => this.#unscannable('timeout', 'nobody waits for the verdict any more');
  #tooBig: ScanResult | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #hedge: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(
    components: { readonly owner: ScanJobOwner; readonly source: ScanSource },
    init: { readonly timeoutMs: number; readonly hedgeMs: number; readonly signal: AbortSignal | undefined },
  ) {
    this.#owner = components.owner;
    this.#source = components.source;
    this.#signal = init.signal;
    this.#timeoutMs = init.timeoutMs;
    this.#hedgeMs = init.hedgeMs;
  }

  /** A scanner may still give a verdict. */
  get isRunning(): boolean {
    return this.#running.size > 0;
  }

  /** One that is up works on it: another is wanted less urgently. */
  get isServed(): boolean {
    return [...this.#running.keys()].some(({ health }) => health.isUp);
  }

  hasTried(scanner: PooledScanner): boolean {
    return this.#tried.has(scanner);
  }

  /** Never rejects. */
  run(): Promise<ScanResult> {
    this.#deadline = setTimeout(() => this.#expire(), this.#timeoutMs);
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (this.#signal?.aborted === true) this.#onAbort();
    else this.#owner.want(this);
    return this.#settled.promise;
  }

  /** Its turn has come. Never rejects. */
  async attempt(scanner: PooledScanner): Promise<void> {
    const abort = new AbortController();
    this.#tried.add(scanner);
    this.#running.set(scanner, abort);
    clearTimeout(this.#hedge);
    this.#hedge = setTimeout(() => this.#onSlow(), this.#hedgeMs);
    const outcome = await scanner.scan(this, this.#source, abort.signal);
    this.#running.delete(scanner);
    if (!this.#isOver) this.#take(scanner, outcome);
    this.#owner.onPlaceFreed();
  }

  /** A scanner that works on it is down. Its verdict may still come, but is not waited for. */
  onScannerDown(): void {
    if (!this.#isOver) this.#owner.want(this);
  }

  /** No scanner is left that it could wait for, and none works on it. */
  giveUp(): void {
    if (this.#tooBig !== undefined) return this.#settle(this.#tooBig);
    this.#unscannable('scanner_down', this.#failures.join('; ') || 'no scanner is up');
  }

  /** The pool closes. */
  cancel(): void {
    this.#unscannable('scanner_down', 'the relay stops');
  }

  #take(scanner: PooledScanner, outcome: ScanOutcome): void {
    if (outcome.kind === 'unreadable') return this.#unscannable('no_room', `the content could not be read: ${outcome.why}`);
    if (outcome.kind === 'failed') {
      this.#failures.push(`${scanner.address}: ${outcome.why}`);
      return this.#owner.want(this);
    }
    if (outcome.kind === 'unscannable' && outcome.cause === 'too_big') {
      // A limit of this scanner's clamd.conf; the other may have a higher one.
      this.#tooBig = outcome;
      return this.#owner.want(this);
    }
    this.#settle(outcome);
  }

  #onSlow(): void {
    for (const scanner of this.#running.keys()) scanner.health.onScanSlow();
    this.#owner.want(this);
  }

  #expire(): void {
    const silent = [...this.#running.keys()].map(({ address }) => `${address}: no verdict yet`);
    const what = [...this.#failures, ...silent].join('; ') || 'no scanner had a free place';
    this.#unscannable('timeout', `${what}, after ${this.#timeoutMs} ms in all`);
  }

  #unscannable(cause: 'timeout' | 'scanner_down' | 'no_room', detail: string): void {
    this.#settle({ kind: 'unscannable', cause, detail });
  }

  #settle(result: ScanResult): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#deadline);
    clearTimeout(this.#hedge);
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#owner.onSettled(this);
    for (const abort of this.#running.values()) abort.abort();
    this.#settled.resolve(result);
  }
}
