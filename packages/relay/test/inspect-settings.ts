import { tmpdir } from 'node:os';
import type { InspectSettings } from '../src/inspect/settings.ts';

/** Nobody answers there. */
export const NO_SCANNER = 'unix:/nonexistent/clamd.sock';
/** What could not be judged passes: for tests of everything but the verdict. */
export const ALL_PASS = { tooBig: 'pass', scannerDown: 'pass', timeout: 'pass', encrypted: 'pass' } as const;

/** The defaults of relay.inspect, without a scanner. */
export function inspectSettings(change: Partial<InspectSettings> = {}): InspectSettings {
  return {
    clamd: [NO_SCANNER],
    smtp: true,
    pop3: true,
    onInfected: { smtp: 'reject', pop3: 'replace' },
    onUnscannable: { tooBig: 'pass', scannerDown: 'defer', timeout: 'defer', encrypted: 'pass' },
    starttls: 'pass',
    maxScanBytes: 25_000_000,
    scanTimeoutMs: 10_000,
    maxScansPerScanner: 8,
    spoolDirectory: tmpdir(),
    maxSpoolBytes: 100_000_000,
    ...change,
  };
}
