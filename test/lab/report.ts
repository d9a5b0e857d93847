import type { ScenarioResult } from './scenario.ts';

/** As it happens: one line a scenario. */
export function oneLine(result: ScenarioResult): string {
  const { ok, sent, accepted, lost, infectedDelivered, direct, maxDecisionMs, durationMs, problems } = result;
  const counts = `${sent} sent, ${accepted} accepted, ${lost} lost, ${infectedDelivered} viruses through, ${direct} direct, longest decision ${seconds(maxDecisionMs)}`;
  return `${ok ? 'ok' : 'NOT OK'}  ${counts} (${seconds(durationMs)})${problems.map((problem) => `\n           ${problem}`).join('')}`;
}

/** Numbers of sessions by site, as words. */
export function counted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([site, count]) => `${site} ${count}`)
    .join(', ');
}

/** At the end, for people. */
export function human(results: readonly ScenarioResult[]): string {
  const head = ['', 'SCENARIO', 'OK', 'SENT', 'ACCEPTED', 'STORED', 'LOST', 'VIRUS', 'DIRECT', 'AGAIN', 'DECISION', 'ANSWER'];
  const rows = results.map((one) => [
    String(one.number),
    one.name,
    one.ok ? 'yes' : 'NO',
    ...[one.sent, one.accepted, one.stored, one.lost, one.infectedDelivered, one.direct, one.later + one.broken].map(String),
    seconds(one.maxDecisionMs),
    seconds(one.maxAnswerMs),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  return [head, ...rows].map((row) => row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join('  ')).join('\n');
}

/** For docs/resilience.md. */
export function markdown(results: readonly ScenarioResult[]): string {
  const head = ['#', 'what happens', 'mails sent, accepted', 'lost', 'viruses through', 'direct', 'tried again', 'longest decision', 'what the clients noticed', 'what the operator saw'];
  const rows = results.map((one) => [
    String(one.number),
    `${one.name}${one.ok ? '' : ' (**not as it should be**)'}`,
    `${one.sent}, ${one.accepted}`,
    String(one.lost),
    `${one.infectedDelivered}${one.infectedDirect > 0 ? ` (${one.infectedDirect} directly)` : ''}`,
    String(one.direct),
    String(one.later + one.broken),
    seconds(one.maxDecisionMs),
    one.observations.map(({ what, afterMs }) => (afterMs === undefined ? what : `${what}: ${seconds(afterMs)}`)).join('; '),
    one.alerts.map(({ alert, where, afterS }) => `${alert}${where === '' ? '' : ` (${where})`} ${afterS} s`).join(', ') || 'nothing',
  ]);
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
