import { CERTIFICATE_WARNING_DAYS, daysLeft } from '../files/days-left.ts';
import type { PluginReport } from './plugin-report.ts';
import { parseRange } from './range.ts';

const WARNING = parseRange(`${CERTIFICATE_WARNING_DAYS}:`);
/** A week before it ends somebody is woken. */
const CRITICAL = parseRange('7:');

/** How long a certificate still holds. */
export function measureCertificate(report: PluginReport, whose: string, expiresAtMs: number): void {
  const days = daysLeft(expiresAtMs, Date.now());
  report.measure({ label: 'certificate_days', value: days }, { warning: WARNING, critical: CRITICAL }, `the certificate of ${whose} ends in ${days} days`);
}
