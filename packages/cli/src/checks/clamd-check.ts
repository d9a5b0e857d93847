import type { Clamd, ClamdVersion } from '@sekisho/relay';
import { DAY_MS } from '../files/days-left.ts';
import type { PluginReport, Thresholds } from './plugin-report.ts';
import { parseRange } from './range.ts';

/** Days: freshclam brings new signatures each day. */
const AGE_WARNING = parseRange('2');
const AGE_CRITICAL = parseRange('7');

interface Scanner {
  readonly address: string;
  /** Why it cannot be used; undefined when it answers. */
  readonly problem: string | undefined;
  /** Undefined: it does not say. */
  readonly version: ClamdVersion | undefined;
}

/** `sekisho check clamd`: the scanners of site.yaml, asked from here; one of a pair that is gone is a warning. */
export async function checkClamd(
  report: PluginReport,
  scanners: readonly { readonly address: string; readonly clamd: Clamd }[],
  { timeoutMs, warning = AGE_WARNING, critical = AGE_CRITICAL }: { readonly timeoutMs: number } & Thresholds,
): Promise<void> {
  if (scanners.length === 0) {
    report.problem('UNKNOWN', 'site.yaml has no relay.inspect.clamd: nothing is inspected');
    return;
  }
  const asked = await Promise.all(scanners.map((scanner) => askScanner(scanner, timeoutMs)));
  const down = asked.filter(({ problem }) => problem !== undefined);
  const up = asked.length - down.length;
  const text = `scanners ${up}/${asked.length}`;
  if (down.length === 0) report.fact(text);
  else report.problem(up === 0 ? 'CRITICAL' : 'WARNING', `${text} (${down.map(({ address, problem }) => `${address}: ${problem ?? ''}`).join('; ')})`);
  report.measure({ label: 'scanners', value: up, min: 0, max: asked.length });
  judgeSignatures(report, asked, { warning, critical });
}

async function askScanner({ address, clamd }: { readonly address: string; readonly clamd: Clamd }, timeoutMs: number): Promise<Scanner> {
  const signal = AbortSignal.timeout(timeoutMs);
  const [problem, version] = await Promise.all([clamd.ping(signal), clamd.version(signal)]);
  return { address, problem, version };
}

function judgeSignatures(report: PluginReport, asked: readonly Scanner[], thresholds: Thresholds): void {
  const known = asked.flatMap(({ address, version }) => (version === undefined || version.signaturesAt === 0 ? [] : [{ address, ...version }]));
  if (new Set(known.map(({ signatures }) => signatures)).size > 1)
    report.problem('WARNING', `their signatures differ: ${known.map(({ address, signatures }) => `${address} ${signatures}`).join('; ')}`);
  const oldest = known.sort((a, b) => a.signaturesAt - b.signaturesAt)[0];
  if (oldest === undefined) return report.fact('no scanner says how old its signatures are');
  const days = Math.max(0, (Date.now() - oldest.signaturesAt) / DAY_MS);
  report.fact(`signatures ${oldest.signatures}`);
  report.measure({ label: 'signature_age_days', value: days, min: 0 }, thresholds, `the signatures of ${oldest.address} are ${days.toFixed(1)} days old: look at freshclam`);
}
