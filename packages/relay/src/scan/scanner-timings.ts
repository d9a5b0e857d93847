/** How long scanners are waited for, in milliseconds, and how they are checked. What a whole scan may take is its caller's. */
export interface ScannerTimings {
  /** Until a connection is there. */
  readonly connectMs: number;
  /** For the scanner to take one chunk of 64 KiB. */
  readonly stallMs: number;
  /** Of the time for a scan: when this part of it has passed without a verdict, a second scanner is asked too. */
  readonly hedgeShare: number;
  /** Between two checks of a scanner. */
  readonly checkMs: number;
  /** Between a check and the next one that a failure asks for. */
  readonly recheckMs: number;
  /** For the answer to PING or VERSION, with the connection. */
  readonly pingMs: number;
  /** Between two canary scans of a scanner that is up. */
  readonly canaryEveryMs: number;
  /** For the answer to a canary scan, with the connection. */
  readonly canaryMs: number;
}

export const DEFAULT_SCANNER_TIMINGS: ScannerTimings = {
  connectMs: 1000,
  // clamd takes 25 MB in 0.1 s; a scanner as slow as this would need 20 minutes for it.
  stallMs: 3000,
  // The second then has twice as long as the first had.
  hedgeShare: 1 / 3,
  checkMs: 2000,
  recheckMs: 250,
  pingMs: 1000,
  canaryEveryMs: 60_000,
  // It waits behind the real scans: a loaded scanner must not look like a dead one.
  canaryMs: 10_000,
};
