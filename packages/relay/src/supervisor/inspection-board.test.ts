import { createLogger, Metrics } from '@sekisho/telemetry';
import { expect, test } from 'vitest';
import { InspectionTally } from '../inspect/inspection-tally.ts';
import { DIFFER_ALARM_MS } from '../inspect/signature-agreement.ts';
import type { WorkerInspection } from '../worker.ts';
import { InspectionBoard } from './inspection-board.ts';

const scanner = (address: string, signatures: number, up = true) => ({ address, up, why: '', signatures, signaturesAt: signatures * 1000 });

function worker(scanners: WorkerInspection['scanners'], tally = new InspectionTally()): WorkerInspection {
  return { verdicts: { clean: 0, infected: 0, unscannable: 0, uninspected: 0 }, scanners, counts: tally.take(), spoolBytes: 7 };
}

function board(reports: WorkerInspection[]) {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({ role: 'relay', destination: { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) } });
  const metrics = new Metrics();
  const clock = { nowMs: 0 };
  const made = new InspectionBoard({ log, metrics, now: () => clock.nowMs, reports: () => reports }, { scanners: ['a', 'b'] });
  return { board: made, metrics, lines, clock };
}

test('what the workers did is added up, and a scanner is up when every worker can use it', async () => {
  const tally = new InspectionTally();
  tally.verdict('smtp', { result: { kind: 'infected', signature: 'X' }, action: 'rejected', bytes: 10, scanMs: 5, digest: '' });
  tally.verdict('pop3', { result: { kind: 'unscannable', cause: 'timeout', detail: '' }, action: 'deferred', bytes: 1, scanMs: 5, digest: '' });
  tally.uninspected('imap');
  tally.violation('bare_line_break');
  const first = worker([scanner('a', 5), scanner('b', 5)], tally);
  const { board: made, metrics } = board([first, worker([scanner('a', 5), scanner('b', 0, false)])]);
  made.add(first);
  const text = await metrics.text();
  for (const line of [
    'sekisho_relay_messages_total{protocol="smtp",verdict="infected"} 1',
    'sekisho_relay_messages_total{protocol="pop3",verdict="unscannable"} 1',
    'sekisho_relay_messages_total{protocol="pop3",verdict="clean"} 0',
    'sekisho_relay_unscannable_messages_total{cause="timeout"} 1',
    'sekisho_relay_message_actions_total{action="rejected"} 1',
    'sekisho_relay_uninspected_sessions_total{cause="imap"} 1',
    'sekisho_relay_protocol_violations_total{code="bare_line_break"} 1',
    'sekisho_relay_inspected_bytes_total 11',
    'sekisho_relay_scanner_up{scanner="1"} 1',
    'sekisho_relay_scanner_up{scanner="2"} 0',
    'sekisho_relay_scanner_signatures_version{scanner="2"} 5',
    'sekisho_relay_scanner_signatures_timestamp_seconds{scanner="1"} 5',
    'sekisho_relay_spool_bytes 14',
  ])
    expect(text).toContain(`${line}\n`);
});

test('scanners that differ for long are an alarm, once, and so is its end', async () => {
  const reports = [worker([scanner('a', 5), scanner('b', 4)])];
  const { board: made, metrics, lines, clock } = board(reports);
  const tell = (): void => made.add(reports[0]!);
  tell();
  clock.nowMs = DIFFER_ALARM_MS;
  tell();
  tell();
  expect(lines.map(({ event }) => event)).toEqual(['scanners_differ']);
  expect(await metrics.text()).toContain(`sekisho_relay_scanners_differ_seconds ${DIFFER_ALARM_MS / 1000}\n`);
  reports[0] = worker([scanner('a', 5), scanner('b', 5)]);
  tell();
  expect(lines.map(({ event }) => event)).toEqual(['scanners_differ', 'scanners_agree']);
  // One that is down says nothing about its signatures.
  reports[0] = worker([scanner('a', 6), scanner('b', 5, false)]);
  tell();
  expect(await metrics.text()).toContain('sekisho_relay_scanners_differ_seconds 0\n');
});
