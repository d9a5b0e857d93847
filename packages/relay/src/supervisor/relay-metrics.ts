import type { Metrics } from '@sekisho/telemetry';
import { type RefusalCode, REFUSALS } from '@sekisho/wire';
import { OUTCOMES, SESSION_STATES } from '../stream/outcome.ts';
import { type Counts, type Reject, REJECT_REASONS } from '../tally.ts';
import type { Unable, WorkerReport } from '../worker.ts';

const REFUSAL_CODES = Object.keys(REFUSALS) as RefusalCode[];
/** What a worker may lack, as a label. */
const LACKS = { descriptors: 'no descriptors left', dns: 'destination DNS dead' } as const satisfies Record<string, Unable>;
const LACKING = Object.keys(LACKS) as (keyof typeof LACKS)[];

/** What the metrics of the moment are computed from. */
export interface RelayNow {
  readonly reports: readonly WorkerReport[];
  readonly ready: number;
  readonly detectionsWaiting: number;
}

/** What becomes of a detection. */
const FATES = ['noted', 'dropped'] as const;

/** The relay's metrics: those of all workers, added up. */
export class RelayMetrics {
  readonly #outcomes;
  readonly #refusals;
  readonly #rejects;
  readonly #bytes;
  readonly #connect;
  readonly #restarts;
  readonly #detections;

  /** @param init certificateExpiresAtMs: milliseconds since 1970; configDigest: its first 48 bits */
  constructor(
    metrics: Metrics,
    now: () => RelayNow,
    init: { readonly certificateExpiresAtMs: number; readonly configDigest: number },
  ) {
    this.#outcomes = metrics.counter({
      name: 'sekisho_relay_sessions_total',
      help: 'Mail sessions that have ended, by how.',
      labels: { outcome: OUTCOMES },
    });
    this.#refusals = metrics.counter({
      name: 'sekisho_relay_refusals_total',
      help: 'Sessions, tickets and managers that were refused, by code (docs/errors.md).',
      labels: { code: REFUSAL_CODES },
    });
    this.#rejects = metrics.counter({
      name: 'sekisho_relay_rejected_connections_total',
      help: 'Connections that ended before they were of any use, by reason.',
      labels: { reason: REJECT_REASONS },
    });
    this.#bytes = metrics.counter({
      name: 'sekisho_relay_bytes_total',
      help: 'Bytes of mail sessions: up from the client, down to it.',
      labels: { direction: ['up', 'down'] },
    });
    this.#connect = metrics.histogram({
      name: 'sekisho_relay_connect_seconds',
      help: 'From the preamble of a session to its destination connected.',
    });
    this.#restarts = metrics.counter({
      name: 'sekisho_relay_worker_restarts_total',
      help: 'Workers that died or hung, and were replaced.',
    });
    this.#detections = metrics.counter({
      name: 'sekisho_relay_detections_total',
      help: 'Viruses found that a manager has noted, and those given up because too many waited.',
      labels: { fate: FATES },
    });
    registerGauges(metrics, now);
    metrics.gauge(
      { name: 'sekisho_relay_certificate_expires_timestamp_seconds', help: "When the relay's own certificate expires." },
      (gauge) => gauge.set({}, init.certificateExpiresAtMs / 1000),
    );
    metrics.gauge({ name: 'sekisho_relay_clock_timestamp_seconds', help: 'The clock of this server, Unix time.' }, (gauge) =>
      gauge.set({}, Date.now() / 1000),
    );
    metrics.gauge(
      { name: 'sekisho_relay_config_digest', help: 'The first 48 bits of the digest of the configuration.' },
      (gauge) => gauge.set({}, init.configDigest),
    );
  }

  add(counts: Counts): void {
    for (const outcome of OUTCOMES) this.#outcomes.inc({ outcome }, counts.outcomes[outcome] ?? 0);
    for (const code of REFUSAL_CODES) this.#refusals.inc({ code }, counts.refusals[code] ?? 0);
    for (const reason of REJECT_REASONS) this.#rejects.inc({ reason }, counts.rejects[reason] ?? 0);
    this.#bytes.inc({ direction: 'up' }, counts.bytesUp);
    this.#bytes.inc({ direction: 'down' }, counts.bytesDown);
    for (const ms of counts.connectMs) this.#connect.observe({}, ms / 1000);
  }

  refused(code: RefusalCode): void {
    this.#refusals.inc({ code });
  }

  rejected(reason: Reject): void {
    this.#rejects.inc({ reason });
  }

  detection(fate: (typeof FATES)[number]): void {
    this.#detections.inc({ fate });
  }

  restarted(): void {
    this.#restarts.inc({});
  }
}

function registerGauges(metrics: Metrics, now: () => RelayNow): void {
  metrics.gauge(
    { name: 'sekisho_relay_sessions', help: 'Mail sessions by state.', labels: { state: SESSION_STATES } },
    (gauge) => {
      for (const state of SESSION_STATES)
        gauge.set({ state }, now().reports.reduce((sum, { sessions }) => sum + sessions[state], 0));
    },
  );
  metrics.gauge({ name: 'sekisho_relay_devices', help: 'Devices connected.' }, (gauge) =>
    gauge.set({}, now().reports.reduce((sum, { devices }) => sum + devices, 0)),
  );
  metrics.gauge({ name: 'sekisho_relay_detections_waiting', help: 'Viruses found that no manager has noted yet.' }, (gauge) =>
    gauge.set({}, now().detectionsWaiting),
  );
  metrics.gauge({ name: 'sekisho_relay_workers', help: 'Workers that listen.' }, (gauge) => gauge.set({}, now().ready));
  metrics.gauge(
    {
      name: 'sekisho_relay_unable_workers',
      help: 'Workers that cannot do their work, by what they lack.',
      labels: { reason: LACKING },
    },
    (gauge) => {
      for (const reason of LACKING)
        gauge.set({ reason }, now().reports.filter(({ unable }) => unable === LACKS[reason]).length);
    },
  );
}
