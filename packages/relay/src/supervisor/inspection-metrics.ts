import { UNINSPECTED_CAUSES, VIOLATIONS } from '@sekisho/inspect';
import type { Metrics } from '@sekisho/telemetry';
import { type InspectionCounts, VERDICTS } from '../inspect/inspection-tally.ts';
import { ACTIONS } from '../inspect/policy.ts';
import { type ScannerStatus } from '../scan/scanner-pool.ts';
import { UNSCANNABLE_CAUSES } from '../scan/scanner.ts';

/** What the metrics of the moment are computed from. */
export interface InspectionNow {
  /** In the order of the configuration; one that any worker can't use is down. */
  readonly scanners: readonly Pick<ScannerStatus, 'up' | 'signatures' | 'signaturesAt'>[];
  readonly spoolBytes: number;
  readonly differsForMs: number;
}

const PROTOCOLS = ['smtp', 'pop3'] as const;

/** The metrics of inspection, those of all workers added up. Registered when the relay inspects. */
export class InspectionMetrics {
  readonly #messages;
  readonly #unscannable;
  readonly #actions;
  readonly #uninspected;
  readonly #violations;
  readonly #bytes;
  readonly #scan;

  /** @param init scanners: how many are configured; they are labelled by their place in the list */
  constructor(metrics: Metrics, now: () => InspectionNow, init: { readonly scanners: number }) {
    this.#messages = metrics.counter({
      name: 'sekisho_relay_messages_total',
      help: 'Messages that were inspected, by verdict.',
      labels: { protocol: PROTOCOLS, verdict: VERDICTS },
    });
    this.#unscannable = metrics.counter({
      name: 'sekisho_relay_unscannable_messages_total',
      help: 'Messages without a verdict, by cause.',
      labels: { cause: UNSCANNABLE_CAUSES },
    });
    this.#actions = metrics.counter({
      name: 'sekisho_relay_message_actions_total',
      help: 'What was done with the messages that were inspected.',
      labels: { action: ACTIONS },
    });
    this.#uninspected = metrics.counter({
      name: 'sekisho_relay_uninspected_sessions_total',
      help: 'Sessions that passed unseen, by cause.',
      labels: { cause: UNINSPECTED_CAUSES },
    });
    this.#violations = metrics.counter({
      name: 'sekisho_relay_protocol_violations_total',
      help: 'Conversations that were broken off because a message could have been hidden in them.',
      labels: { code: VIOLATIONS },
    });
    this.#bytes = metrics.counter({ name: 'sekisho_relay_inspected_bytes_total', help: 'Bytes of messages that were inspected.' });
    this.#scan = metrics.histogram({ name: 'sekisho_relay_scan_seconds', help: 'From the end of a message to its verdict.' });
    registerGauges(metrics, now, Array.from({ length: init.scanners }, (_, index) => String(index + 1)));
  }

  add(counts: InspectionCounts): void {
    for (const protocol of PROTOCOLS)
      for (const verdict of VERDICTS) this.#messages.inc({ protocol, verdict }, counts.verdicts[protocol][verdict] ?? 0);
    for (const cause of UNSCANNABLE_CAUSES) this.#unscannable.inc({ cause }, counts.unscannable[cause] ?? 0);
    for (const action of ACTIONS) this.#actions.inc({ action }, counts.actions[action] ?? 0);
    for (const cause of UNINSPECTED_CAUSES) this.#uninspected.inc({ cause }, counts.uninspected[cause] ?? 0);
    for (const code of VIOLATIONS) this.#violations.inc({ code }, counts.violations[code] ?? 0);
    this.#bytes.inc({}, counts.bytes);
    for (const ms of counts.scanMs) this.#scan.observe({}, ms / 1000);
  }
}

function registerGauges(metrics: Metrics, now: () => InspectionNow, names: readonly string[]): void {
  const labels = { scanner: names };
  const ofEach = (value: (scanner: InspectionNow['scanners'][number]) => number) => (gauge: { set(labels: { scanner: string }, value: number): void }) =>
    now().scanners.forEach((scanner, index) => gauge.set({ scanner: names[index] ?? '' }, value(scanner)));
  metrics.gauge(
    { name: 'sekisho_relay_scanner_up', help: '1 while every worker of the relay can use this scanner.', labels },
    ofEach(({ up }) => (up ? 1 : 0)),
  );
  metrics.gauge(
    { name: 'sekisho_relay_scanner_signatures_version', help: 'The version of its signatures; 0 when it does not say.', labels },
    ofEach(({ signatures }) => signatures),
  );
  metrics.gauge(
    { name: 'sekisho_relay_scanner_signatures_timestamp_seconds', help: 'When its signatures were made; 0 when it does not say.', labels },
    ofEach(({ signaturesAt }) => signaturesAt / 1000),
  );
  metrics.gauge(
    { name: 'sekisho_relay_scanners_differ_seconds', help: 'For how long the scanners have had different signatures.' },
    (gauge) => gauge.set({}, now().differsForMs / 1000),
  );
  metrics.gauge({ name: 'sekisho_relay_spool_bytes', help: 'Messages that wait for their verdict, memory and disk.' }, (gauge) =>
    gauge.set({}, now().spoolBytes),
  );
}
