/** Freshclam asks a dozen times a day as Debian ships it: after this long the slower one has missed several updates. */
export const DIFFER_ALARM_MS = 6 * 3_600_000;

/** Whether the scanners know the same viruses; for how long they have not. */
export class SignatureAgreement {
  #differsSinceMs: number | undefined;
  #isAlarm = false;

  /**
   * @param versions of the scanners that are up; 0 for one that does not say
   * @param nowMs monotonic
   * @returns 'alarm' and 'over' once each, when they have differed for long and when they agree again
   */
  update(versions: readonly number[], nowMs: number): 'alarm' | 'over' | undefined {
    const known = new Set(versions.filter((version) => version > 0));
    if (known.size <= 1) {
      this.#differsSinceMs = undefined;
      if (!this.#isAlarm) return undefined;
      this.#isAlarm = false;
      return 'over';
    }
    this.#differsSinceMs ??= nowMs;
    if (this.#isAlarm || nowMs - this.#differsSinceMs < DIFFER_ALARM_MS) return undefined;
    this.#isAlarm = true;
    return 'alarm';
  }

  /** Milliseconds for which they have differed; 0 while they agree. */
  differsForMs(nowMs: number): number {
    return this.#differsSinceMs === undefined ? 0 : nowMs - this.#differsSinceMs;
  }
}
