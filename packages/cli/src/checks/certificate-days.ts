import type { PluginReport } from './plugin-report.ts';
import { parseRange } from './range.ts';

const DAY_MS = 86_400_000;
/** A site has a month to bring new certificates, and a week before they end somebody is woken. */
const WARNING = parseRange('30:');
const CRITICAL = parseRange('7:');

/** How long a certificate still holds. */
export function measureCertificate(report: PluginReport, whose: string, expiresAtMs: number): void {
  const days = Math.floor((expiresAtMs - Date.now()) / DAY_MS);
  report.measure({ label: 'certificate_days', value: days }, { warning: WARNING, critical: CRITICAL }, `the certificate of ${whose} ends in ${days} days`);
}
