import type { ManagerStatus } from '@sekisho/manager';
import type { Site } from '../files/site.ts';
import { measureCertificate } from './certificate-days.ts';
import { localStatus } from './manager-check.ts';
import type { PluginReport, Thresholds } from './plugin-report.ts';
import { parseRange } from './range.ts';
import type { SiteAccess } from './site-access.ts';
import { odd, type Surveyed, type SurveyedRole, surveySite } from './site-survey.ts';

/** Seconds between clocks: tickets fail at 60. */
const CLOCK_WARNING = parseRange('5');
const CLOCK_CRITICAL = parseRange('30');
/** Of the whole check, this is for the servers: so that one that is silent is named before time is up. */
const ASK_PART = 0.8;
const MILLI = 1000;

/** `sekisho check site`: everything that site.yaml lists, seen from this server; less than it lists is no redundancy. */
export async function checkSite(
  report: PluginReport,
  { site, access }: { readonly site: Site; readonly access: SiteAccess },
  { timeoutMs, ...thresholds }: { readonly timeoutMs: number } & Thresholds,
): Promise<void> {
  const [surveyed, statuses] = await Promise.all([
    surveySite(site, access, Math.min(timeoutMs * ASK_PART, MAX_ASK_MS)),
    Promise.all(site.withRole('manager').map((server) => localStatus(site, server))),
  ]);
  report.fact(`site ${site.config.site}`);
  for (const role of ['relay', 'manager', 'auth'] as const) judgeRole(report, role, surveyed.filter((one) => one.role === role));
  judgeScanners(report, surveyed, site.config.relay.inspect?.clamd.length ?? 0);
  judgeStore(report, statuses.filter((status) => status !== undefined));
  judgeAgreement(report, surveyed, thresholds);
  const expiries = surveyed.flatMap(({ certificateExpiresAtMs }) => (certificateExpiresAtMs === null ? [] : [certificateExpiresAtMs]));
  if (expiries.length > 0) measureCertificate(report, 'a server', Math.min(...expiries));
}

/** Who has not answered by then is lost for this check: an agent would long have gone to another. */
const MAX_ASK_MS = 4000;

function judgeRole(report: PluginReport, role: SurveyedRole, asked: readonly Surveyed[]): void {
  const lost = asked.filter(({ up }) => !up);
  const have = asked.length - lost.length;
  const text = `${role}s ${have}/${asked.length}`;
  const why = lost.map(({ server, problem }) => `${server}: ${problem ?? 'no answer'}`).join('; ');
  if (have === 0) report.problem('CRITICAL', `${text} (${why})`);
  else if (lost.length > 0) report.problem('WARNING', `${text} (${why})`);
  else report.fact(text);
  report.measure({ label: `${role}s`, value: have, min: 0, max: asked.length });
  if (role !== 'relay') return;
  const working = asked.filter(({ up, report: said }) => up && said?.draining !== 1 && said?.unable === undefined);
  const drained = asked.filter(({ report: said }) => said?.draining === 1).map(({ server }) => server);
  const unable = asked.flatMap(({ server, report: said }) => (said?.unable === undefined ? [] : [`${server}: ${said.unable}`]));
  if (drained.length > 0) report.fact(`${drained.join(', ')} drains`);
  if (unable.length > 0) report.problem('WARNING', `cannot work: ${unable.join('; ')}`);
  if (have > 0 && working.length === 0) report.problem('CRITICAL', 'no relay takes mail');
}

function judgeScanners(report: PluginReport, surveyed: readonly Surveyed[], configured: number): void {
  if (configured === 0) return;
  const inspections = surveyed.flatMap(({ server, report: said }) => (said?.inspection === undefined ? [] : [{ server, ...said.inspection }]));
  const want = inspections.reduce((sum, { scanners }) => sum + scanners, 0);
  const have = inspections.reduce((sum, { scannersUp }) => sum + scannersUp, 0);
  if (want === 0) return report.fact('scanners not known yet');
  const text = `scanners ${have}/${want}`;
  const why = inspections.flatMap(({ server, scanners, scannersUp, why: reason = '' }) => (scannersUp < scanners ? [`${server}: ${reason}`] : []));
  if (have === 0) report.problem('CRITICAL', `${text} (${why.join('; ')})`);
  else if (why.length > 0) report.problem('WARNING', `${text} (${why.join('; ')})`);
  else report.fact(text);
  report.measure({ label: 'scanners', value: have, min: 0, max: want });
}

/** Only managers see the store; from a server that only relays nothing is said of it. */
function judgeStore(report: PluginReport, statuses: readonly ManagerStatus[]): void {
  if (statuses.length === 0) return;
  const down = statuses.find(({ store }) => !store.up);
  if (down === undefined) report.fact('store up');
  else report.problem('WARNING', `the store does not answer (${down.store.reason ?? 'no reason'}): going on with memory, orders are refused`);
  report.measure({ label: 'store', value: down === undefined ? 1 : 0, min: 0, max: 1 });
}

function judgeAgreement(report: PluginReport, surveyed: readonly Surveyed[], { warning = CLOCK_WARNING, critical = CLOCK_CRITICAL }: Thresholds): void {
  const differing = odd(surveyed).map(({ role, server }) => `${role} ${server}`);
  if (differing.length > 0) report.problem('WARNING', `another configuration than the others: ${differing.join(', ')}`);
  const clocks = surveyed.flatMap(({ server, clockOffsetMs }) => (clockOffsetMs === null ? [] : [{ server, clockOffsetMs }]));
  const worst = clocks.sort((a, b) => Math.abs(b.clockOffsetMs) - Math.abs(a.clockOffsetMs))[0];
  if (worst === undefined) return;
  const seconds = Math.abs(worst.clockOffsetMs) / MILLI;
  report.measure({ label: 'clock_offset', value: seconds, unit: 's', min: 0 }, { warning, critical }, `the clock of ${worst.server} is ${seconds.toFixed(1)} s off ours`);
}
