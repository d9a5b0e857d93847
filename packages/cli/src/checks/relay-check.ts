import { greetRelay, type RelayGreeting } from '@sekisho/channel';
import { measureCertificate } from './certificate-days.ts';
import type { PluginReport, Thresholds } from './plugin-report.ts';
import { parseRange } from './range.ts';
import type { SiteAccess } from './site-access.ts';
import type { Server, Site } from '../files/site.ts';

/** Load in percent of its limit: past it, the relay is marked and gets no new mail. */
const LOAD_WARNING = parseRange('100');
const PERCENT = 100;
const MILLI = 1000;

/** `sekisho check relay`: answers, and can it work. */
export async function checkRelay(
  report: PluginReport,
  { site, server, access }: { readonly site: Site; readonly server: Server; readonly access: SiteAccess },
  { timeoutMs, warning = LOAD_WARNING, critical }: { readonly timeoutMs: number } & Thresholds,
): Promise<void> {
  let answer: RelayGreeting;
  try {
    const expect = { role: 'relay', site: site.config.site } as const;
    answer = await greetRelay({ host: server.address, port: site.config.ports.relayControl, context: access.context, expect, timeoutMs });
  } catch (error) {
    report.problem('CRITICAL', `relay ${server.name} does not answer: ${error instanceof Error ? error.message : String(error)}`);
    return;
  }
  if (answer.name !== server.name) {
    report.problem('CRITICAL', `at the address of ${server.name} answers ${answer.name}: compare the addresses in site.yaml`);
    return;
  }
  judgeRelay(report, answer, { name: server.name, load: loadOf(site, answer.report), thresholds: { warning, critical } });
}

/** The largest of the relay's loads, in percent of the limit that site.yaml has for it. */
function loadOf(site: Site, { loadPerCoreMilli, hottestCoreMilli, sessions, maxSessions, bytesPerSecond, bytesPerSecondLimit }: RelayGreeting['report']): number {
  const { maxLoadPerCore, maxHottestCore } = site.config.manager;
  const parts = [
    loadPerCoreMilli / MILLI / maxLoadPerCore,
    hottestCoreMilli / MILLI / maxHottestCore,
    maxSessions === 0 ? 0 : sessions / maxSessions,
    bytesPerSecondLimit === 0 ? 0 : bytesPerSecond / bytesPerSecondLimit,
  ];
  return Math.round(Math.max(...parts) * PERCENT);
}

interface RelayJudgement {
  readonly name: string;
  /** Percent. */
  readonly load: number;
  readonly thresholds: Thresholds;
}

function judgeRelay(report: PluginReport, answer: RelayGreeting, { name, load, thresholds }: RelayJudgement): void {
  const { draining, unable, inspection, sessions, maxSessions, devices, bytesPerSecond, workers, workersWanted } = answer.report;
  report.fact(`relay ${name}: ${sessions} sessions of ${devices} devices`);
  if (unable !== undefined) report.problem('CRITICAL', `the relay cannot work: ${unable}`);
  if (draining === 1) report.problem('WARNING', 'the relay drains: it takes no new mail');
  if (workers !== undefined && workersWanted !== undefined) {
    if (workers < workersWanted && unable === undefined) report.problem('WARNING', `${workers} of ${workersWanted} workers`);
    report.measure({ label: 'workers', value: workers, min: 0, max: workersWanted });
  }
  report.measure({ label: 'load', value: load, unit: '%', min: 0 }, thresholds, `load ${load} % of its limit`);
  report.measure({ label: 'sessions', value: sessions, min: 0, max: maxSessions });
  report.measure({ label: 'devices', value: devices, min: 0 });
  report.measure({ label: 'bytes_per_second', value: bytesPerSecond, unit: 'B', min: 0 });
  if (inspection !== undefined) {
    const { scanners, scannersUp, why = '' } = inspection;
    if (scannersUp < scanners) report.problem(scannersUp === 0 ? 'CRITICAL' : 'WARNING', `scanners ${scannersUp}/${scanners}: ${why}`);
    else report.fact(`scanners ${scannersUp}/${scanners}`);
    report.measure({ label: 'scanners', value: scannersUp, min: 0, max: scanners });
  }
  report.measure({ label: 'time', value: answer.tookMs / MILLI, unit: 's', min: 0 });
  measureCertificate(report, `relay ${name}`, answer.certificateExpiresAtMs);
}
