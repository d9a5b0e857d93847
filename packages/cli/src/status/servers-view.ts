import { CLOCK_DIFFERS_MS } from '@sekisho/channel';
import { odd, type Surveyed } from '../checks/site-survey.ts';
import { CERTIFICATE_WARNING_DAYS, daysLeft } from '../files/days-left.ts';
import { type Cell, table } from '../output.ts';
import { signed } from './manager-view.ts';

const DIGEST_CHARS = 8;

/** Every role of every server of the site, as this server sees them over the network: no manager is needed for that. */
export function serversView(surveyed: readonly Surveyed[], nowMs: number): string {
  const differing = new Set(odd(surveyed));
  const head = ['SERVER', 'ROLE', 'STATE', 'SESSIONS', 'WORKERS', 'SCANNERS', 'CONFIG', 'CLOCK', 'CERT'];
  const rows = surveyed.map((one) => row(one, differing.has(one), nowMs));
  const lost = surveyed.flatMap(({ server, role, problem }) => (problem === null ? [] : [`WHY ${role} ${server}: ${problem}`]));
  return [table(head, rows), ...lost].join('\n');
}

function row(one: Surveyed, isDifferent: boolean, nowMs: number): Cell[] {
  const { server, role, up, config, clockOffsetMs, certificateExpiresAtMs, report } = one;
  const digest = config?.slice(0, DIGEST_CHARS) ?? '-';
  const clock = clockOffsetMs === null ? '-' : signed(clockOffsetMs);
  const days = certificateExpiresAtMs === null ? undefined : daysLeft(certificateExpiresAtMs, nowMs);
  return [
    server,
    role,
    up ? stateOf(one) : { text: 'LOST', colour: 'red' },
    report === null ? '-' : `${report.sessions}/${report.maxSessions}`,
    report?.workers === undefined ? '-' : outOf(report.workers, report.workersWanted ?? report.workers),
    report?.inspection === undefined ? '-' : outOf(report.inspection.scannersUp, report.inspection.scanners),
    isDifferent ? { text: digest, colour: 'red' } : digest,
    Math.abs(clockOffsetMs ?? 0) > CLOCK_DIFFERS_MS ? { text: clock, colour: 'red' } : clock,
    days === undefined ? '-' : days < CERTIFICATE_WARNING_DAYS ? { text: `${days} d`, colour: 'red' } : `${days} d`,
  ];
}

function stateOf({ report }: Surveyed): Cell {
  if (report?.unable !== undefined) return { text: 'UNABLE', colour: 'red' };
  if (report?.draining === 1) return { text: 'DRAINS', colour: 'yellow' };
  return { text: 'UP', colour: 'green' };
}

function outOf(have: number, want: number): Cell {
  return { text: `${have}/${want}`, colour: have < want ? 'red' : 'green' };
}
