/** What becomes of a message that could not be judged. */
type UnscannableAction = 'pass' | 'defer' | 'reject';

/** What relay.inspect says, as plain data: it reaches the workers as a message. */
export interface InspectSettings {
  /** `unix:/path` or `tcp:host:port`; two or more stand in for each other. */
  readonly clamd: readonly string[];
  readonly smtp: boolean;
  readonly pop3: boolean;
  /** `pass`: reported and delivered, for those who want to see first what would happen. */
  readonly onInfected: { readonly smtp: 'reject' | 'pass'; readonly pop3: 'replace' | 'pass' };
  readonly onUnscannable: {
    readonly tooBig: UnscannableAction;
    readonly scannerDown: UnscannableAction;
    readonly timeout: UnscannableAction;
    readonly encrypted: UnscannableAction;
  };
  /** `pass`: what follows is not inspected, and counted. `hide`: not offered. `refuse`: refused with words. */
  readonly starttls: 'pass' | 'hide' | 'refuse';
  /** A longer message is not scanned. */
  readonly maxScanBytes: number;
  /** From the end of a message to its verdict, waiting for a scanner included. */
  readonly scanTimeoutMs: number;
  /** Scans that one scanner is given at once by this relay; a worker gets its share. */
  readonly maxScansPerScanner: number;
  /** Where messages wait that do not fit in memory. */
  readonly spoolDirectory: string;
  /** What all of them may hold together; a worker gets its share. */
  readonly maxSpoolBytes: number;
}
