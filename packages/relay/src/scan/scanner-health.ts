import type { Logger } from '@sekisho/telemetry';
import type { Clamd } from './clamd.ts';
import type { ClamdVersion } from './clamd-reply.ts';
import type { ScannerTimings } from './scanner-timings.ts';

/** Failures in a row, a failed scan counting as one, until a scanner is down. One check that it passes brings it back. */
const FALL = 2;

interface Fault {
  readonly why: string;
  /** There is nothing to be asked twice. */
  readonly isCertain?: boolean;
  readonly isBlind?: boolean;
}

const BLIND: Fault = { why: 'does not recognise the EICAR test', isCertain: true, isBlind: true };
const NO_VERSION: ClamdVersion = { engine: '', signatures: 0, signaturesAt: 0 };

/**
 * Whether one scanner can be used. It is, until the first checks have spoken: a relay that starts does not refuse mail.
 * PING is answered by clamd's main thread, whatever has become of those that scan: hence the canary.
 */
export class ScannerHealth {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #clamd: Clamd;
  readonly #onChange: () => void;
  readonly #address: string;
  readonly #timings: ScannerTimings;
  readonly #stop = new AbortController();
  #isUp = true;
  #isBlind = false;
  #why = 'not checked yet';
  #version = NO_VERSION;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;
  #isChecking = false;
  #isAskedAgain = false;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #canaryMs = Number.NEGATIVE_INFINITY;

  /** @param components onChange: it went up or down; now: monotonic milliseconds */
  constructor(
    components: { readonly log: Logger; readonly now: () => number; readonly clamd: Clamd; readonly onChange: () => void },
    init: { readonly address: string; readonly timings: ScannerTimings },
  ) {
    this.#log = components.log;
    this.#now = components.now;
    this.#clamd = components.clamd;
    this.#onChange = components.onChange;
    this.#address = init.address;
    this.#timings = init.timings;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** It called the EICAR test clean: so might it anything. */
  get isBlind(): boolean {
    return this.#isBlind;
  }

  /** It has failed and not been checked since: others first. */
  get isSuspect(): boolean {
    return this.#failures > 0;
  }

  /** Why it is down; empty when nothing is wrong. */
  get why(): string {
    return this.#why;
  }

  get version(): ClamdVersion {
    return this.#version;
  }

  /** Checks at once, and from then on until stop(). */
  start(): void {
    this.#schedule(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
  }

  /** A scan failed on it. However many do at once, it is not down before a check has failed too. */
  onScanFailed(): void {
    this.#failures += 1;
    this.#checkSoon();
  }

  /** A scan takes long: are all scans stuck, or is it the message? */
  onScanSlow(): void {
    this.#canaryMs = Number.NEGATIVE_INFINITY;
    this.#checkSoon();
  }

  /** Now, or a moment after the last check. */
  #checkSoon(): void {
    if (this.#isChecking) this.#isAskedAgain = true;
    else this.#schedule(Math.max(0, this.#checkedMs + this.#timings.recheckMs - this.#now()));
  }

  #schedule(delayMs: number): void {
    clearTimeout(this.#timer);
    if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => void this.#check(), delayMs);
  }

  async #check(): Promise<void> {
    this.#isChecking = true;
    this.#isAskedAgain = false;
    const fault = await this.#findFault();
    this.#isChecking = false;
    if (this.#stop.signal.aborted) return;
    this.#checkedMs = this.#now();
    if (fault === undefined) this.#pass();
    else this.#fail(fault);
    const isUrgent = this.#isAskedAgain || (this.#isUp && this.isSuspect);
    this.#schedule(isUrgent ? this.#timings.recheckMs : this.#timings.checkMs);
  }

  async #findFault(): Promise<Fault | undefined> {
    const { signal } = this.#stop;
    const why = await this.#clamd.ping(signal);
    if (why !== undefined) return { why };
    const isDue = this.#now() - this.#canaryMs >= this.#timings.canaryEveryMs;
    if (!isDue && !this.isSuspect) return undefined;
    const outcome = await this.#clamd.canary(signal);
    if (outcome.kind === 'clean') return BLIND;
    if (outcome.kind === 'unscannable') return { why: `it could not scan the EICAR test: ${outcome.detail}` };
    if (outcome.kind !== 'infected') return { why: `it could not scan the EICAR test: ${outcome.why}` };
    this.#canaryMs = this.#now();
    this.#version = (await this.#clamd.version(signal)) ?? NO_VERSION;
    return undefined;
  }

  #pass(): void {
    this.#failures = 0;
    this.#isBlind = false;
    this.#why = '';
    if (this.#isUp) return;
    this.#isUp = true;
    const { engine, signatures } = this.#version;
    this.#log.info({ event: 'scanner_up', scanner: this.#address, engine, signatures }, 'the scanner gets messages again; nothing is to be done');
    this.#onChange();
  }

  #fail(fault: Fault): void {
    this.#failures += 1;
    // Until a canary has been found, and not until it hangs.
    this.#isBlind ||= fault.isBlind === true;
    if (!this.#isUp) {
      this.#why = fault.why;
      return;
    }
    if (this.#failures < FALL && fault.isCertain !== true) return;
    this.#isUp = false;
    this.#why = fault.why;
    this.#log.warn({ event: 'scanner_down', scanner: this.#address, why: fault.why }, this.#advice());
    this.#onChange();
  }

  #advice(): string {
    return this.#isBlind
      ? 'the scanner gets no messages until it finds viruses again: see its signatures (freshclam) and clamd.conf'
      : 'the scanner gets no messages until it answers again: see that clamd runs there, and its log';
  }
}
