import { type Greeting, greet } from '@sekisho/channel';
import type { ManagerStatus } from '@sekisho/manager';
import { existsSync } from 'node:fs';
import { measureCertificate } from './certificate-days.ts';
import type { PluginReport, Thresholds } from './plugin-report.ts';
import { parseRange } from './range.ts';
import type { SiteAccess } from './site-access.ts';
import type { Server, Site } from '../files/site.ts';

/** Seconds. An agent begins to ask the next manager after 0.3 s; this includes a handshake without resumption. */
const TIME_WARNING = parseRange('1');
const MILLI = 1000;

/** `sekisho check manager`: answers it at its port, and where it runs on this machine, what does it say of itself. */
export async function checkManager(
  report: PluginReport,
  { site, server, access }: { readonly site: Site; readonly server: Server; readonly access: SiteAccess },
  { timeoutMs, warning = TIME_WARNING, critical }: { readonly timeoutMs: number } & Thresholds,
): Promise<void> {
  let greeting: Greeting;
  try {
    const expect = { role: 'manager', site: site.config.site } as const;
    greeting = await greet({ host: server.address, port: site.config.ports.manager, context: access.context, expect, timeoutMs });
  } catch (error) {
    report.problem('CRITICAL', `manager ${server.name} does not answer: ${error instanceof Error ? error.message : String(error)}`);
    return;
  }
  if (greeting.name !== server.name) {
    report.problem('CRITICAL', `at the address of ${server.name} answers ${greeting.name}: compare the addresses in site.yaml`);
    return;
  }
  const seconds = greeting.tookMs / MILLI;
  report.fact(`manager ${server.name} answers`);
  report.measure({ label: 'time', value: seconds, unit: 's', min: 0 }, { warning, critical }, `it took ${seconds.toFixed(2)} s to answer`);
  const status = await localStatus(site, server);
  if (status !== undefined) judgeManager(report, status);
  measureCertificate(report, `manager ${server.name}`, greeting.certificateExpiresAtMs);
}

/** What the manager says over its socket for administration, if that is on this machine and open to us. */
export async function localStatus(site: Site, server: Server): Promise<ManagerStatus | undefined> {
  const socket = site.adminSocket(server);
  if (!existsSync(socket)) return undefined;
  try {
    // Not before it is needed: a check starts each minute, or each few seconds.
    const { adminRequest } = await import('@sekisho/manager');
    const { status, body } = await adminRequest(socket, 'GET', '/status');
    return status === 200 ? (body as ManagerStatus) : undefined;
  } catch {
    return undefined; // of another user, or nobody listens: what its port says is enough
  }
}

function judgeManager(report: PluginReport, { agents, direct, table, stopping }: ManagerStatus): void {
  report.fact(`${agents} agents`);
  if (stopping) report.problem('WARNING', 'it is stopping');
  if (table.panic) report.problem('CRITICAL', 'nearly all relays are marked, so the marks are distrusted');
  if (direct.agents > 0) report.problem('WARNING', `${direct.agents} agents connect their clients directly`);
  const usable = table.relays.filter(({ state }) => state !== 'down' && state !== 'stale' && state !== 'draining').length;
  if (usable === 0) report.problem('CRITICAL', 'no relay takes mail');
  report.measure({ label: 'agents', value: agents, min: 0 });
  report.measure({ label: 'direct', value: direct.agents, min: 0 });
  report.measure({ label: 'relays', value: usable, min: 0, max: table.relays.length });
}
